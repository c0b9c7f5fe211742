# UPerNet on ConvNeXt-L (Liu et al., 2022), about as large as Swin-L.
# Reports: B
# Parameters: 234,887,766
# Weights: mmassets.onedl.ai convnext-large_3rdparty_in21k_20220301-e6e0ea0a.pth
_base_ = "mmseg::convnext/convnext-large_upernet_8xb2-amp-160k_ade20k-640x640.py"
