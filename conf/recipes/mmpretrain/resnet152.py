# ResNet-152 (He et al., 2016).
# Reports: C
# Parameters: 58,180,690
# Weights: mmassets.onedl.ai resnet152_8xb32_in1k_20210901-4d7582fa.pth
_base_ = "mmpretrain::resnet/resnet152_8xb32_in1k.py"
load_from = "https://mmassets.onedl.ai/mmclassification/v0/resnet/resnet152_8xb32_in1k_20210901-4d7582fa.pth"
