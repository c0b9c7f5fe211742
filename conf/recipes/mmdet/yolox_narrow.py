# YOLOX (Ge et al., 2021) as wide as the nano model, with whole instead of depthwise convolutions,
# which a CPU computes faster.
# Reports: none
# Parameters: 2,243,405
# Weights: none
_base_ = "mmdet::yolox/yolox_tiny_8xb8-300e_coco.py"

model = dict(
    backbone=dict(widen_factor=0.25),
    neck=dict(in_channels=[64, 128, 256], out_channels=64),
    bbox_head=dict(in_channels=64, feat_channels=64),
)
# Averaged weights lag behind in so short a training.
custom_hooks = []
# One group of parameters, so that the optimiser's step is one kernel.
optim_wrapper = dict(paramwise_cfg=None)
