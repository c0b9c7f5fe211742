# OCRNet (Yuan et al., 2020) on HRNet-W48.
_base_ = "mmseg::ocrnet/ocrnet_hr48_4xb4-160k_ade20k-512x512.py"
