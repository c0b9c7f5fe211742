# ResNet-101 (He et al., 2016).
# Reports: C
# Parameters: 42,537,042
# Weights: mmassets.onedl.ai resnet101_8xb32_in1k_20210831-539c63f8.pth
_base_ = "mmpretrain::resnet/resnet101_8xb32_in1k.py"
load_from = "https://mmassets.onedl.ai/mmclassification/v0/resnet/resnet101_8xb32_in1k_20210831-539c63f8.pth"
