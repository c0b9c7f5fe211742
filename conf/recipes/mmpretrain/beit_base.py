# BEiT, base (Bao et al., 2021), pretrained on ImageNet-21k with images of 224 pixels, for images
# of any size.
# Reports: none
# Parameters: 85,775,826
# Weights: mmassets.onedl.ai beit-base_3rdparty_in1k_20221114-c0a4df23.pth
_base_ = "mmpretrain::beit/benchmarks/beit-base-p16_8xb128-coslr-100e_in1k.py"
load_from = "https://mmassets.onedl.ai/mmclassification/v0/beit/beit-base_3rdparty_in1k_20221114-c0a4df23.pth"

# Smoothed labels, mix-up and cutmix are the user's choice, as with every other network.
model = dict(
    backbone=dict(
        type="recycling.backends.mmengine_backend.networks.classifiers.beit.BEiTAnySize", init_cfg=None
    ),
    head=dict(loss=dict(_delete_=True, type="CrossEntropyLoss", loss_weight=1.0)),
    train_cfg=None,
)
