# Swin-T (Liu et al., 2021), pretrained on ImageNet-1k, for images of any size.
# Reports: none
# Parameters: 27,533,196
# Weights: mmassets.onedl.ai swin_tiny_224_b16x64_300e_imagenet_20210616_090925-66df6be6.pth
_base_ = "mmpretrain::swin_transformer/swin-tiny_16xb64_in1k.py"
load_from = "https://mmassets.onedl.ai/mmclassification/v0/swin-transformer/swin_tiny_224_b16x64_300e_imagenet_20210616_090925-66df6be6.pth"

# Smoothed labels, mix-up and cutmix are the user's choice, as with every other network.
model = dict(
    backbone=dict(pad_small_map=True),
    head=dict(loss=dict(_delete_=True, type="CrossEntropyLoss", loss_weight=1.0)),
    train_cfg=None,
)
