# FCN (Long et al., 2015) on a ResNet-101.
_base_ = "mmseg::fcn/fcn_r101-d8_4xb4-160k_ade20k-512x512.py"
