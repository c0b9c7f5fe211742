# EfficientNet-B5 (Tan and Le, 2019), pretrained on 456 x 456 pixels.
# Reports: E
# Parameters: 28,377,666
# Weights: mmassets.onedl.ai efficientnet-b5_3rdparty_8xb32-aa_in1k_20220119-2cab8b78.pth
_base_ = "mmpretrain::efficientnet/efficientnet-b5_8xb32_in1k.py"
load_from = "https://mmassets.onedl.ai/mmclassification/v0/efficientnet/efficientnet-b5_3rdparty_8xb32-aa_in1k_20220119-2cab8b78.pth"
