# K-Net (Zhang et al., 2021) on UPerNet with Swin-L.
# Reports: B
# Parameters: 246,864,810
# Weights: mmassets.onedl.ai swin_large_patch4_window7_224_22k_20220308-d5bdebaf.pth
_base_ = "mmseg::knet/knet-s3_swin-l_upernet_8xb2-adamw-80k_ade20k-640x640.py"
