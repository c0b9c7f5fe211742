"""Predictions on any images: with models in memory, in tiles, written in several formats."""

from recycling.inference.core import (
    Fuse,
    InferenceError,
    Predictor,
    crops_of,
    in_memory,
    whole_images,
)
from recycling.inference.tiles import Tiles, tiled

__all__ = [
    "Fuse",
    "InferenceError",
    "Predictor",
    "Tiles",
    "crops_of",
    "in_memory",
    "tiled",
    "whole_images",
]
