# Semantic FPN (Kirillov et al., 2019) on a network of timm: EfficientNet-Lite0 (Tan and Le, 2019; Liu,
# 2020), or what the setting `backbone` names. Needs timm (Apache-2.0). The weights are the backbone's.
# Reports: none
# Parameters: 3,398,219
# Weights: github.com tf_efficientnet_lite0-0aa007d2.pth
_base_ = "mmseg::sem_fpn/fpn_r50_4xb4-160k_ade20k-512x512.py"

model = dict(
    pretrained=None,
    data_preprocessor=dict(mean=[127.5] * 3, std=[127.5] * 3),
    backbone=dict(
        _delete_=True,
        type="recycling.backends.mmengine_backend.networks.timm_backbone.TimmBackbone",
        model_name="tf_efficientnet_lite0",
        strides=[4, 8, 16, 32],
    ),
    neck=dict(in_channels=[24, 40, 112, 320], out_channels=64),
    decode_head=dict(in_channels=[64] * 4, channels=64),
)

augmentation = [
    dict(type="RandomFlip", prob=0.5),
    dict(
        type="RandomResize",
        scale=("image_size", "image_size"),
        ratio_range=(0.8, 1.25),
        keep_ratio=True,
    ),
    dict(type="RandomCrop", crop_size=("image_size", "image_size")),
]
