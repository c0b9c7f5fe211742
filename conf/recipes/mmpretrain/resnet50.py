# ResNet-50 (He et al., 2016).
# Reports: C, E
# Parameters: 23,544,914
# Weights: mmassets.onedl.ai resnet50_8xb32_in1k_20210831-ea4938fc.pth
_base_ = "mmpretrain::resnet/resnet50_8xb32_in1k.py"
load_from = "https://mmassets.onedl.ai/mmclassification/v0/resnet/resnet50_8xb32_in1k_20210831-ea4938fc.pth"
