# SegFormer (Xie et al., 2021) with MiT-B5.
_base_ = "mmseg::segformer/segformer_mit-b5_8xb2-160k_ade20k-640x640.py"
