# DDQ DETR (Zhang et al., 2023) with four scales, on a ResNet-50, trained on COCO.
# Score: 51.4 box AP on COCO at 800 x 1333 pixels
# Training: AdamW, learning rate 0.0002 for batches of 16, a tenth for the backbone, weight decay 0.05, gradients clipped to 0.1; 12 epochs; 2,000 steps of warm-up, a tenth of the rate from the 11th
# Licence: Apache-2.0
# Reports: none
# Parameters: 48,340,228
# Weights: download.openmmlab.com ddq-detr-4scale_r50_8xb2-12e_coco_20230809_170711-42528127.pth
_base_ = "mmdet::ddq/ddq-detr-4scale_r50_8xb2-12e_coco.py"

model = dict(
    type="recycling.backends.mmengine_backend.networks.detectors.ddq.DDQDETRThatLoads",
    backbone=dict(init_cfg=None),
)
load_from = "https://download.openmmlab.com/mmdetection/v3.0/ddq/ddq-detr-4scale_r50_8xb2-12e_coco/ddq-detr-4scale_r50_8xb2-12e_coco_20230809_170711-42528127.pth"
