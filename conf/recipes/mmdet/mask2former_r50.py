# Mask2Former for instances (Cheng et al., 2022) on a ResNet-50, trained on COCO. It learns from
# masks, and its boxes are those around the masks that it finds.
# Score: 45.7 box AP and 42.9 mask AP on COCO at 800 x 1333 pixels
# Training: AdamW, learning rate 0.0001 for batches of 16, a tenth for the backbone, weight decay 0.05, gradients clipped to 0.01; 368,750 steps (50 epochs), a tenth of the rate from 327,778, again from 355,092
# Licence: Apache-2.0
# Reports: none
# Parameters: 44,005,387
# Weights: download.openmmlab.com mask2former_r50_8xb2-lsj-50e_coco_20220506_191028-41b088b6.pth
_base_ = "mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco.py"

model = dict(
    backbone=dict(init_cfg=None),
    panoptic_fusion_head=dict(
        type="recycling.backends.mmengine_backend.networks.detectors.boxes_of_masks.BoxesOfMasks"
    ),
)
load_from = "https://download.openmmlab.com/mmdetection/v3.0/mask2former/mask2former_r50_8xb2-lsj-50e_coco/mask2former_r50_8xb2-lsj-50e_coco_20220506_191028-41b088b6.pth"
