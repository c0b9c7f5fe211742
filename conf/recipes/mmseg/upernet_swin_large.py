# UPerNet (Xiao et al., 2018) on Swin-L (Liu et al., 2021; windows of 12, images of 384 pixels).
# Reports: B
# Parameters: 233,855,946
# Weights: mmassets.onedl.ai swin_large_patch4_window12_384_22k_20220412-6580f57d.pth
_base_ = "mmseg::swin/swin-large-patch4-window12-in22k-384x384-pre_upernet_8xb2-160k_ade20k-512x512.py"
