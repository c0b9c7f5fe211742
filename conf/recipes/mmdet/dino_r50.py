# DINO (Zhang et al., 2023) with four scales, on a ResNet-50, trained on COCO.
# Score: 50.1 box AP on COCO at 800 x 1333 pixels
# Training: AdamW, learning rate 0.0002 for batches of 16, a tenth for the backbone, weight decay 0.0001, gradients clipped to 0.1; 12 epochs, a tenth of the rate from the 11th
# Licence: Apache-2.0
# Reports: none
# Parameters: 47,558,562
# Weights: download.openmmlab.com dino-4scale_r50_improved_8xb2-12e_coco_20230818_162607-6f47a913.pth
_base_ = "mmdet::dino/dino-4scale_r50_improved_8xb2-12e_coco.py"

model = dict(
    type="recycling.backends.mmengine_backend.networks.detectors.small_images.DINOForAnySize",
    backbone=dict(init_cfg=None),
)
load_from = "https://download.openmmlab.com/mmdetection/v3.0/dino/dino-4scale_r50_improved_8xb2-12e_coco/dino-4scale_r50_improved_8xb2-12e_coco_20230818_162607-6f47a913.pth"
