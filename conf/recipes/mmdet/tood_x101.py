# TOOD (Feng et al., 2021) on a ResNeXt-101-64x4d, trained on COCO.
# Reports: D
# Parameters: 89,937,384
# Weights: download.openmmlab.com tood_x101_64x4d_fpn_mstrain_2x_coco_20211211_003519-a4f36113.pth
_base_ = "mmdet::tood/tood_x101-64x4d_fpn_ms-2x_coco.py"

model = dict(backbone=dict(init_cfg=None))
load_from = "https://download.openmmlab.com/mmdetection/v2.0/tood/tood_x101_64x4d_fpn_mstrain_2x_coco/tood_x101_64x4d_fpn_mstrain_2x_coco_20211211_003519-a4f36113.pth"
