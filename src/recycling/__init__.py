"""Recognising waste in photographs: from annotated images to ensembled predictions."""

__version__ = "0.1.0"
