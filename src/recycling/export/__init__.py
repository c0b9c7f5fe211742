"""Trained models as ONNX files, checked against the library that trained them."""

from recycling.export.core import ExportError, export_model

__all__ = ["ExportError", "export_model"]
