"""mmpretrain, mmdet and mmseg behind one adapter, through mmengine's Runner.

Nothing here imports torch or one of the libraries before a model is trained or used.
"""

from recycling.backends.mmengine_backend.adapter import MMEngineBackend

__all__ = ["MMEngineBackend"]
