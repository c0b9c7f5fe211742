# ConvNeXt-T (Liu et al., 2022).
# Reports: E
# Parameters: 27,833,970
# Weights: mmassets.onedl.ai convnext-tiny_32xb128_in1k_20221207-998cf3e9.pth
_base_ = "mmpretrain::convnext/convnext-tiny_32xb128_in1k.py"
load_from = "https://mmassets.onedl.ai/mmclassification/v0/convnext/convnext-tiny_32xb128_in1k_20221207-998cf3e9.pth"

# What the library trains it with on ImageNet, here the user's choice as with every other network:
# smoothed labels, mix-up, cutmix, and an average of weights so slow that it needs 10,000 steps.
custom_hooks = []
model = dict(
    head=dict(loss=dict(_delete_=True, type="CrossEntropyLoss", loss_weight=1.0)), train_cfg=None
)
