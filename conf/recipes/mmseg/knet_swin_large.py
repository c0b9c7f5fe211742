# K-Net (Zhang et al., 2021) on UPerNet with Swin-L.
_base_ = "mmseg::knet/knet-s3_swin-l_upernet_8xb2-adamw-80k_ade20k-640x640.py"
