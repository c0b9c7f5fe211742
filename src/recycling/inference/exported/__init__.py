"""Exported models: ONNX files that predict without the library that trained them."""

from recycling.inference.exported.facts import Exported, read_exported
from recycling.inference.exported.model import OnnxModel, is_exported, onnx_predictor

__all__ = ["Exported", "OnnxModel", "is_exported", "onnx_predictor", "read_exported"]
