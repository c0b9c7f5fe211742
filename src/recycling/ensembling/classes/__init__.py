"""Fusing the class probabilities of several classifiers: one file a method."""
