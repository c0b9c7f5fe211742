# EfficientNet-B3 (Tan and Le, 2019), pretrained on 300 x 300 pixels.
# Reports: C
# Parameters: 10,723,898
# Weights: mmassets.onedl.ai efficientnet-b3_3rdparty_8xb32-aa_in1k_20220119-5b4887a0.pth
_base_ = "mmpretrain::efficientnet/efficientnet-b3_8xb32_in1k.py"
load_from = "https://mmassets.onedl.ai/mmclassification/v0/efficientnet/efficientnet-b3_3rdparty_8xb32-aa_in1k_20220119-5b4887a0.pth"
