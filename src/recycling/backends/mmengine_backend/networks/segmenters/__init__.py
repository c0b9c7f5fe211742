"""Segmenters that mmseg does not have, or has only for one size or number of classes.

A recipe names a class by its whole path, so nothing here is imported before a network needs it::

    decode_head=dict(type="recycling.backends.mmengine_backend.networks.segmenters.LawinHead", ...)

They are in mmseg's registry, too, under their own names.
"""

from recycling.backends.mmengine_backend.networks.segmenters.beit import BEiTAnySize
from recycling.backends.mmengine_backend.networks.segmenters.lawin import LawinHead
from recycling.backends.mmengine_backend.networks.segmenters.mask2former import (
    Mask2FormerAnyClassesHead,
)
from recycling.backends.mmengine_backend.networks.segmenters.semask import (
    SemanticPriorHead,
    SeMaskSwin,
)
from recycling.backends.mmengine_backend.networks.segmenters.torchvision_encoder import (
    TorchvisionEncoder,
)
from recycling.backends.mmengine_backend.networks.segmenters.unet_heads import (
    UNetHead,
    UNetPlusPlusHead,
)
from recycling.backends.mmengine_backend.networks.segmenters.unet_plus_plus import UNetPlusPlus

__all__ = [
    "BEiTAnySize",
    "LawinHead",
    "Mask2FormerAnyClassesHead",
    "SeMaskSwin",
    "SemanticPriorHead",
    "TorchvisionEncoder",
    "UNetHead",
    "UNetPlusPlus",
    "UNetPlusPlusHead",
]
