"""Searching for an ensemble: candidates, the search, what the choice is worth."""
