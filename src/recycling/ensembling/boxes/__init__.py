"""Fusing the boxes of several detectors: one file a method."""
