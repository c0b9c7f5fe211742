"""Detectors of detectron2, behind the same seam as the other libraries.

Nothing here imports torch or detectron2 before a model is trained or used.
"""

from recycling.backends.detectron2_backend.adapter import Detectron2Backend

__all__ = ["Detectron2Backend"]
