# Swin-B (Liu et al., 2021), pretrained on ImageNet-21k, for images of any size.
# Reports: none
# Parameters: 86,761,674
# Weights: mmassets.onedl.ai swin_base_patch4_window7_224_22kto1k-f967f799.pth
_base_ = "mmpretrain::swin_transformer/swin-base_16xb64_in1k.py"
load_from = "https://mmassets.onedl.ai/mmclassification/v0/swin-transformer/convert/swin_base_patch4_window7_224_22kto1k-f967f799.pth"

# Smoothed labels, mix-up and cutmix are the user's choice, as with every other network.
model = dict(
    backbone=dict(pad_small_map=True),
    head=dict(loss=dict(_delete_=True, type="CrossEntropyLoss", loss_weight=1.0)),
    train_cfg=None,
)
