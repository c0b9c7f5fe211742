# MobileNetV3, large (Howard et al., 2019).
# Reports: E
# Parameters: 4,225,090
# Weights: mmassets.onedl.ai mobilenet-v3-large_8xb128_in1k_20221114-0ed9ed9a.pth
_base_ = "mmpretrain::mobilenet_v3/mobilenet-v3-large_8xb128_in1k.py"
load_from = "https://mmassets.onedl.ai/mmclassification/v0/mobilenet_v3/mobilenet-v3-large_8xb128_in1k_20221114-0ed9ed9a.pth"
