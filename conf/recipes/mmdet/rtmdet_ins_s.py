# RTMDet-Ins-s (Lyu et al., 2022; CSPNeXt), trained on COCO. It learns from masks too.
# Score: 44.0 box AP and 38.7 mask AP on COCO at 640 pixels
# Training: AdamW, learning rate 0.004 for batches of 256, weight decay 0.05; 300 epochs; 1,000 steps of warm-up, cosine in the second half down to 0.05 of the rate
# Licence: Apache-2.0
# Reports: none
# Parameters: 10,156,221
# Weights: download.openmmlab.com rtmdet-ins_s_8xb32-300e_coco_20221121_212604-fdc5d7ec.pth
_base_ = "mmdet::rtmdet/rtmdet-ins_s_8xb32-300e_coco.py"

model = dict(
    # The library pads images to one size before they are a batch.
    data_preprocessor=dict(pad_mask=True),
    backbone=dict(init_cfg=None),
    bbox_head=dict(
        type="recycling.backends.mmengine_backend.networks.detectors.boxes_of_masks.BoxOnlyRTMDetInsHead"
    ),
)
load_from = "https://download.openmmlab.com/mmdetection/v3.0/rtmdet/rtmdet-ins_s_8xb32-300e_coco/rtmdet-ins_s_8xb32-300e_coco_20221121_212604-fdc5d7ec.pth"
# What it was published with in its last 20 epochs, without mosaic and mixup: these mixes of mmdet
# cannot move masks.
published_size = 640
published = [
    dict(type="RandomResize", scale=(640, 640), ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(
        type="RandomCrop", crop_size=(640, 640), recompute_bbox=True, allow_negative_crop=True
    ),
    dict(type="FilterAnnotations", min_gt_bbox_wh=(1, 1)),
    dict(type="YOLOXHSVRandomAug"),
    dict(type="RandomFlip", prob=0.5),
]
