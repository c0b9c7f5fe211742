# EfficientNet-B0 (Tan and Le, 2019), pretrained on 224 x 224 pixels.
# Reports: C, E
# Parameters: 4,030,606
# Weights: mmassets.onedl.ai efficientnet-b0_3rdparty_8xb32-aa_in1k_20220119-8d939117.pth
_base_ = "mmpretrain::efficientnet/efficientnet-b0_8xb32_in1k.py"
load_from = "https://mmassets.onedl.ai/mmclassification/v0/efficientnet/efficientnet-b0_3rdparty_8xb32-aa_in1k_20220119-8d939117.pth"
