# DenseNet-121 (Huang et al., 2017).
# Reports: E
# Parameters: 6,972,306
# Weights: mmassets.onedl.ai densenet121_4xb256_in1k_20220426-07450f99.pth
_base_ = "mmpretrain::densenet/densenet121_4xb256_in1k.py"
load_from = "https://mmassets.onedl.ai/mmclassification/v0/densenet/densenet121_4xb256_in1k_20220426-07450f99.pth"
