"""Fusing the boxes of several detectors: a folder a method, and what they share."""
