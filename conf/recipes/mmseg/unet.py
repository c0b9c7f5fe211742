# U-Net (Ronneberger et al., 2015). Its encoder was never trained on ImageNet; the weights are those
# of the whole network on Cityscapes.
# Reports: B
# Parameters: 29,061,846
# Weights: mmassets.onedl.ai fcn_unet_s5-d16_4x4_512x1024_160k_cityscapes_20211210_145204-6860854e.pth
_base_ = "mmseg::unet/unet-s5-d16_fcn_4xb4-160k_cityscapes-512x1024.py"
load_from = "https://mmassets.onedl.ai/mmsegmentation/v0.5/unet/fcn_unet_s5-d16_4x4_512x1024_160k_cityscapes/fcn_unet_s5-d16_4x4_512x1024_160k_cityscapes_20211210_145204-6860854e.pth"
