# Cascade R-CNN (Cai and Vasconcelos, 2018) on a ResNet-50, trained on COCO.
# Reports: none
# Parameters: 69,179,516
# Weights: download.openmmlab.com cascade_rcnn_r50_fpn_20e_coco_bbox_mAP-0.41_20200504_175131-e9872a90.pth
_base_ = "mmdet::cascade_rcnn/cascade-rcnn_r50_fpn_20e_coco.py"

model = dict(backbone=dict(init_cfg=None))
load_from = "https://download.openmmlab.com/mmdetection/v2.0/cascade_rcnn/cascade_rcnn_r50_fpn_20e_coco/cascade_rcnn_r50_fpn_20e_coco_bbox_mAP-0.41_20200504_175131-e9872a90.pth"
