# RTMDet-tiny (Lyu et al., 2022; CSPNeXt), trained on COCO.
# Score: 40.9 box AP on COCO at 640 pixels
# Training: AdamW, learning rate 0.004 for batches of 256, weight decay 0.05; 300 epochs; 1,000 steps of warm-up, cosine in the second half down to 0.05 of the rate
# Licence: Apache-2.0
# Reports: none
# Parameters: 4,875,798
# Weights: download.openmmlab.com rtmdet_tiny_8xb32-300e_coco_20220902_112414-78e30dcc.pth
_base_ = "mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py"

model = dict(backbone=dict(init_cfg=None))
load_from = "https://download.openmmlab.com/mmdetection/v3.0/rtmdet/rtmdet_tiny_8xb32-300e_coco/rtmdet_tiny_8xb32-300e_coco_20220902_112414-78e30dcc.pth"
