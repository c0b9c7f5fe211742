# DeepLabV3 (Chen et al., 2017) on a ResNet-101.
# Reports: B
# Parameters: 87,098,998
# Weights: mmassets.onedl.ai resnet101_v1c-e67eebb6.pth
_base_ = "mmseg::deeplabv3/deeplabv3_r101-d8_4xb4-160k_ade20k-512x512.py"
