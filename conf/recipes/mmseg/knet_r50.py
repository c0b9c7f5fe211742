# K-Net (Zhang et al., 2021) on UPerNet with a ResNet-50.
# Reports: B
# Parameters: 79,620,982
# Weights: mmassets.onedl.ai resnet50_v1c-2cccc1ad.pth
_base_ = "mmseg::knet/knet-s3_r50-d8_upernet_8xb2-adamw-80k_ade20k-512x512.py"
