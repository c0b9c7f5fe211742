# OCRNet (Yuan et al., 2020) on HRNet-W48.
# Reports: B
# Parameters: 70,361,574
# Weights: mmassets.onedl.ai hrnetv2_w48-d2186c55.pth
_base_ = "mmseg::ocrnet/ocrnet_hr48_4xb4-160k_ade20k-512x512.py"
