# SegFormer (Xie et al., 2021) with MiT-B5.
# Reports: B
# Parameters: 81,972,683
# Weights: mmassets.onedl.ai mit_b5_20220624-658746d9.pth
_base_ = "mmseg::segformer/segformer_mit-b5_8xb2-160k_ade20k-640x640.py"
