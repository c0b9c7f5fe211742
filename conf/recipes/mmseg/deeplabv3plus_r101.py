# DeepLabV3+ (Chen et al., 2018) on a ResNet-101.
# Reports: none
# Parameters: 62,575,846
# Weights: mmassets.onedl.ai resnet101_v1c-e67eebb6.pth
_base_ = "mmseg::deeplabv3plus/deeplabv3plus_r101-d8_4xb4-160k_ade20k-512x512.py"
