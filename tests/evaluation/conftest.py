"""What pytest leaves alone here."""

# It registers what it holds when it is imported, so only the test that is about it does so.
collect_ignore = ["own_metric.py"]
