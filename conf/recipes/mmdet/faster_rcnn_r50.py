# Faster R-CNN (Ren et al., 2015) with a feature pyramid on a ResNet-50, trained on COCO.
# Reports: none
# Parameters: 41,394,306
# Weights: download.openmmlab.com faster_rcnn_r50_fpn_mstrain_3x_coco_20210524_110822-e10bd31c.pth
_base_ = "mmdet::faster_rcnn/faster-rcnn_r50_fpn_ms-3x_coco.py"

model = dict(backbone=dict(init_cfg=None))
load_from = "https://download.openmmlab.com/mmdetection/v2.0/faster_rcnn/faster_rcnn_r50_fpn_mstrain_3x_coco/faster_rcnn_r50_fpn_mstrain_3x_coco_20210524_110822-e10bd31c.pth"
