# ResNet-D (He et al., 2019: deep stem, averaging shortcuts) of 18 layers, a quarter as wide.
# Reports: none
# Parameters: 704,042
# Weights: none
_base_ = "mmpretrain::resnet/resnetv1d50_8xb32_in1k.py"

model = dict(
    backbone=dict(depth=18, base_channels=16, stem_channels=16), head=dict(in_channels=128)
)

augmentation = [
    dict(type="RandomResizedCrop", scale="image_size", crop_ratio_range=(0.6, 1.0)),
    dict(type="RandomFlip", prob=0.5, direction="horizontal"),
]
