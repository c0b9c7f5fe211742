"""Benchmarks: ``python -m bench NAME`` puts our code beside what one would use instead."""
