# EfficientDet-D4 (Tan et al., 2020), made for 1024 pixels, trained on COCO. Needs effdet
# (Apache-2.0).
# Reports: A
# Parameters: 20,561,675
# Weights: github.com tf_efficientdet_d4_49-f56376d9.pth
_base_ = "efficientdet_d0.py"

name = "tf_efficientdet_d4"
checkpoint = "https://github.com/rwightman/efficientdet-pytorch/releases/download/v0.1/tf_efficientdet_d4_49-f56376d9.pth"
model = dict(
    backbone=dict(name=name, init_cfg=dict(checkpoint=checkpoint)),
    bbox_head=dict(name=name, init_cfg=dict(checkpoint=checkpoint)),
)
