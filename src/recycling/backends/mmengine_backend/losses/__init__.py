"""Losses of the classes that the libraries have not, or have with a fault.

A config names a class by its whole path, so nothing that needs torch is imported before a network
does::

    loss=dict(type="recycling.backends.mmengine_backend.losses.soft_f1.SoftF1Loss")

All are called the way mmpretrain, mmdet and mmseg call theirs.
"""
