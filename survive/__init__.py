"""Runs that are stopped at hundreds of points, and what the next makes of it: `make survive`."""
