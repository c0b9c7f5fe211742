# FCOS (Tian et al., 2019) on a ResNet-18 a quarter as wide, for objects of 20 to 100 pixels.
# Reports: none
# Parameters: 984,290
# Weights: none
_base_ = "mmdet::fcos/fcos_r18_fpn_gn-head-center-normbbox-centeronreg-giou_8xb8-amp-lsj-200e_coco.py"

model = dict(
    backbone=dict(base_channels=16, stem_channels=16, out_indices=(1, 2, 3), init_cfg=None),
    neck=dict(
        in_channels=[32, 64, 128], out_channels=64, start_level=0, num_outs=3, add_extra_convs=False
    ),
    bbox_head=dict(
        in_channels=64,
        feat_channels=64,
        stacked_convs=2,
        strides=[8, 16, 32],
        regress_ranges=((-1, 24), (24, 48), (48, 1e8)),
        norm_cfg=dict(type="BN"),
    ),
)
# One group of parameters, so that the optimiser's step is one kernel.
optim_wrapper = dict(paramwise_cfg=None)
