# TOOD (Feng et al., 2021) with deformable convolutions in the last two stages of its ResNeXt-101 and
# in the first two layers of its head. Nobody has published it whole: it starts from the weights of
# tood_x101, trained on COCO, which it has all. What is new begins without offsets; as in DCNv2 (Zhu
# et al., 2019), its modulation begins at a half, so these layers give half of what they gave there.
# Base: tood_x101
# Reports: D
# Parameters: 97,652,094
# Weights: download.openmmlab.com tood_x101_64x4d_fpn_mstrain_2x_coco_20211211_003519-a4f36113.pth
_base_ = "mmdet::tood/tood_x101-64x4d-dconv-c4-c5_fpn_ms-2x_coco.py"

model = dict(backbone=dict(init_cfg=None))
load_from = "https://download.openmmlab.com/mmdetection/v2.0/tood/tood_x101_64x4d_fpn_mstrain_2x_coco/tood_x101_64x4d_fpn_mstrain_2x_coco_20211211_003519-a4f36113.pth"
