"""What is registered in these tests is registered by them alone."""

collect_ignore = ["keep_all.py"]
