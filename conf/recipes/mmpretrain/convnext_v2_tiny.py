# ConvNeXt V2-T (Woo et al., 2023), trained as a masked autoencoder, then on ImageNet-21k and ImageNet-1k.
# Score: 83.89 % of ImageNet-1k right at 224 pixels
# Training: AdamW, learning rate 0.0032 for batches of 1,024, weight decay 0.05; 300 epochs; 40 epochs of warm-up, cosine
# Licence: CC-BY-NC
# Reports: none
# Parameters: 27,880,338
# Weights: mmassets.onedl.ai convnext-v2-tiny_fcmae-in21k-pre_3rdparty_in1k_20230104-8cc8b8f2.pth
_base_ = "mmpretrain::convnext_v2/convnext-v2-tiny_32xb32_in1k.py"
load_from = "https://mmassets.onedl.ai/mmclassification/v0/convnext-v2/convnext-v2-tiny_fcmae-in21k-pre_3rdparty_in1k_20230104-8cc8b8f2.pth"

# As of convnext_tiny: what the library mixes, smooths and averages is the user's choice here.
custom_hooks = []
model = dict(
    head=dict(loss=dict(_delete_=True, type="CrossEntropyLoss", loss_weight=1.0)), train_cfg=None
)
