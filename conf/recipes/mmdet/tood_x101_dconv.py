# TOOD (Feng et al., 2021) with deformable convolutions in the last two stages of its ResNeXt-101 and
# in its head. Nobody has published it whole: the backbone is trained on ImageNet.
# Reports: D
# Parameters: 97,652,094
# Weights: mmassets.onedl.ai resnext101_64x4d-ee2c6f71.pth
_base_ = "mmdet::tood/tood_x101-64x4d-dconv-c4-c5_fpn_ms-2x_coco.py"

model = dict(
    backbone=dict(
        init_cfg=dict(
            checkpoint="https://mmassets.onedl.ai/pretrain/third_party/resnext101_64x4d-ee2c6f71.pth"
        )
    )
)
