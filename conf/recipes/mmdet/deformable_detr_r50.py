# Deformable DETR (Zhu et al., 2021) with refined boxes in two stages, on a ResNet-50, trained on COCO.
# Score: 47.0 box AP on COCO at 800 x 1333 pixels
# Training: AdamW, learning rate 0.0002 for batches of 32, a tenth for the backbone, weight decay 0.0001, gradients clipped to 0.1; 50 epochs, a tenth of the rate from the 40th
# Licence: Apache-2.0
# Reports: none
# Parameters: 41,087,906
# Weights: download.openmmlab.com deformable-detr-refine-twostage_r50_16xb2-50e_coco_20221021_184714-acc8a5ff.pth
_base_ = "mmdet::deformable_detr/deformable-detr-refine-twostage_r50_16xb2-50e_coco.py"

model = dict(
    type="recycling.backends.mmengine_backend.networks.detectors.small_images.DeformableDETRForAnySize",
    backbone=dict(init_cfg=None),
)
load_from = "https://download.openmmlab.com/mmdetection/v3.0/deformable_detr/deformable-detr-refine-twostage_r50_16xb2-50e_coco/deformable-detr-refine-twostage_r50_16xb2-50e_coco_20221021_184714-acc8a5ff.pth"
