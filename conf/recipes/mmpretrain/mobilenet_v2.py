# MobileNetV2 (Sandler et al., 2018).
# Reports: E
# Parameters: 2,246,930
# Weights: mmassets.onedl.ai mobilenet_v2_batch256_imagenet_20200708-3b2dc3af.pth
_base_ = "mmpretrain::mobilenet_v2/mobilenet-v2_8xb32_in1k.py"
load_from = "https://mmassets.onedl.ai/mmclassification/v0/mobilenet_v2/mobilenet_v2_batch256_imagenet_20200708-3b2dc3af.pth"
