"""Trained models as ONNX files, checked against the library that trained them."""

from recycling.export.card import model_card, run_of
from recycling.export.core import ExportError, export_model

__all__ = ["ExportError", "export_model", "model_card", "run_of"]
