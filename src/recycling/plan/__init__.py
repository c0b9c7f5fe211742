"""What `models.yml` and the parameters say, resolved before anything runs."""
