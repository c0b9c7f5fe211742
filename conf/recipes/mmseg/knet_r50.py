# K-Net (Zhang et al., 2021) on UPerNet with a ResNet-50.
_base_ = "mmseg::knet/knet-s3_r50-d8_upernet_8xb2-adamw-80k_ade20k-512x512.py"
