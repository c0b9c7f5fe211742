# ResNet-34 (He et al., 2016).
# Reports: C
# Parameters: 21,293,906
# Weights: mmassets.onedl.ai resnet34_8xb32_in1k_20210831-f257d4e6.pth
_base_ = "mmpretrain::resnet/resnet34_8xb32_in1k.py"
load_from = "https://mmassets.onedl.ai/mmclassification/v0/resnet/resnet34_8xb32_in1k_20210831-f257d4e6.pth"
