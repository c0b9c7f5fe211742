# ResNet-18 (He et al., 2016).
# Reports: C, E
# Parameters: 11,185,746
# Weights: mmassets.onedl.ai resnet18_8xb32_in1k_20210831-fbbb1da6.pth
_base_ = "mmpretrain::resnet/resnet18_8xb32_in1k.py"
load_from = "https://mmassets.onedl.ai/mmclassification/v0/resnet/resnet18_8xb32_in1k_20210831-fbbb1da6.pth"
