# RetinaNet (Lin et al., 2017) on a ResNet-18 a quarter as wide, for objects of 20 to 100 pixels.
# Reports: none
# Parameters: 1,047,822
# Weights: none
_base_ = "mmdet::retinanet/retinanet_r18_fpn_1x_coco.py"

model = dict(
    backbone=dict(
        base_channels=16,
        stem_channels=16,
        out_indices=(1, 2, 3),
        frozen_stages=-1,
        norm_eval=False,
        init_cfg=None,
    ),
    neck=dict(
        in_channels=[32, 64, 128], out_channels=64, start_level=0, num_outs=3, add_extra_convs=False
    ),
    bbox_head=dict(
        in_channels=64,
        feat_channels=64,
        stacked_convs=2,
        anchor_generator=dict(octave_base_scale=2, strides=[8, 16, 32]),
    ),
)
# One group of parameters, so that the optimiser's step is one kernel.
optim_wrapper = dict(paramwise_cfg=None)
