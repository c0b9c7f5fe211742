# FCN (Long et al., 2015) on a ResNet-101.
# Reports: B
# Parameters: 68,483,702
# Weights: mmassets.onedl.ai resnet101_v1c-e67eebb6.pth
_base_ = "mmseg::fcn/fcn_r101-d8_4xb4-160k_ade20k-512x512.py"
