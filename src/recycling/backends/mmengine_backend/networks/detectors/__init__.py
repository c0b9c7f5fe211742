"""Detectors that mmdet does not have, or has only broken, for large images or with masks.

A recipe names a class by its whole path, so that nothing here is imported before a network needs
it::

    bbox_head=dict(type="recycling.backends.mmengine_backend.networks.detectors.ssd.SSDHeadWithoutLossModule")

EfficientDet, D-FINE and YOLOv5 come from libraries that are optional: effdet and transformers (both
Apache-2.0) and ultralytics (AGPL-3.0: whoever gives away or serves what uses it must publish all of
it under that licence, or buy another one).
"""
