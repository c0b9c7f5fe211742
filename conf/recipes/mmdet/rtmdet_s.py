# RTMDet-s (Lyu et al., 2022; CSPNeXt), trained on COCO.
# Score: 44.5 box AP on COCO at 640 pixels
# Training: AdamW, learning rate 0.004 for batches of 256, weight decay 0.05; 300 epochs; 1,000 steps of warm-up, cosine in the second half down to 0.05 of the rate
# Licence: Apache-2.0
# Reports: none
# Parameters: 8,859,834
# Weights: download.openmmlab.com rtmdet_s_8xb32-300e_coco_20220905_161602-387a891e.pth
_base_ = "mmdet::rtmdet/rtmdet_s_8xb32-300e_coco.py"

model = dict(backbone=dict(init_cfg=None))
load_from = "https://download.openmmlab.com/mmdetection/v3.0/rtmdet/rtmdet_s_8xb32-300e_coco/rtmdet_s_8xb32-300e_coco_20220905_161602-387a891e.pth"
