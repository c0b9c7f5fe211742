# UPerNet on ConvNeXt-L (Liu et al., 2022), about as large as Swin-L.
_base_ = "mmseg::convnext/convnext-large_upernet_8xb2-amp-160k_ade20k-640x640.py"
