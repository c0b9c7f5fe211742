# ShuffleNet V2, 1x (Ma et al., 2018).
# Reports: E
# Parameters: 1,272,054
# Weights: mmassets.onedl.ai shufflenet_v2_batch1024_imagenet_20200812-5bf4721e.pth
_base_ = "mmpretrain::shufflenet_v2/shufflenet-v2-1x_16xb64_in1k.py"
load_from = "https://mmassets.onedl.ai/mmclassification/v0/shufflenet_v2/shufflenet_v2_batch1024_imagenet_20200812-5bf4721e.pth"
