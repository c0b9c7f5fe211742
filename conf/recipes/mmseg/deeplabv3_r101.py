# DeepLabV3 (Chen et al., 2017) on a ResNet-101.
_base_ = "mmseg::deeplabv3/deeplabv3_r101-d8_4xb4-160k_ade20k-512x512.py"
