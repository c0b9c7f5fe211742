# A network of timm: EfficientNet-Lite0 (Tan and Le, 2019; Liu, 2020), or what the setting `backbone`
# names. Needs timm (Apache-2.0).
# Reports: none
# Parameters: 3,394,066
# Weights: github.com tf_efficientnet_lite0-0aa007d2.pth
_base_ = "mmpretrain::resnet/resnet18_8xb32_in1k.py"

model = dict(
    data_preprocessor=dict(mean=[127.5] * 3, std=[127.5] * 3),
    backbone=dict(
        _delete_=True,
        type="recycling.backends.mmengine_backend.networks.timm_backbone.TimmBackbone",
        model_name="tf_efficientnet_lite0",
    ),
    head=dict(in_channels=1280),
)
