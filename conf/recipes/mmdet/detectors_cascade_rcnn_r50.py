# DetectoRS (Qiao et al., 2021): Cascade R-CNN on a ResNet-50 with switchable convolutions and a
# recursive pyramid, trained on COCO.
# Reports: none
# Parameters: 123,675,775
# Weights: download.openmmlab.com detectors_cascade_rcnn_r50_1x_coco-32a10ba0.pth
_base_ = "mmdet::detectors/detectors_cascade-rcnn_r50_1x_coco.py"

model = dict(backbone=dict(init_cfg=None), neck=dict(rfp_backbone=dict(pretrained=None)))
load_from = "https://download.openmmlab.com/mmdetection/v2.0/detectors/detectors_cascade_rcnn_r50_1x_coco/detectors_cascade_rcnn_r50_1x_coco-32a10ba0.pth"
