"""Fusing the label maps of several segmenters: one file a method."""
