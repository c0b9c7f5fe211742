# U-Net (Ronneberger et al., 2015), a quarter as wide.
_base_ = "mmseg::unet/unet-s5-d16_fcn_4xb4-160k_cityscapes-512x1024.py"

model = dict(
    backbone=dict(base_channels=16),
    decode_head=dict(in_channels=16, channels=16),
    auxiliary_head=dict(in_channels=32, channels=16),
)
