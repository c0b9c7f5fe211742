# FCOS (Tian et al., 2019) with a light head on a network of timm: EfficientNet-Lite0 (Tan and Le, 2019;
# Liu, 2020), or what the setting `backbone` names. Needs timm (Apache-2.0). The weights are the
# backbone's.
# Reports: none
# Parameters: 3,682,515
# Weights: github.com tf_efficientnet_lite0-0aa007d2.pth
_base_ = "mmdet::fcos/fcos_r18_fpn_gn-head-center-normbbox-centeronreg-giou_8xb8-amp-lsj-200e_coco.py"

model = dict(
    data_preprocessor=dict(mean=[127.5] * 3, std=[127.5] * 3),
    backbone=dict(
        _delete_=True,
        type="recycling.backends.mmengine_backend.networks.timm_backbone.TimmBackbone",
        model_name="tf_efficientnet_lite0",
        strides=[8, 16, 32],
    ),
    neck=dict(in_channels=[40, 112, 320], out_channels=96, start_level=0, num_outs=4),
    bbox_head=dict(
        in_channels=96,
        feat_channels=96,
        stacked_convs=2,
        strides=[8, 16, 32, 64],
        regress_ranges=((-1, 64), (64, 128), (128, 256), (256, 1e8)),
    ),
)
optim_wrapper = dict(paramwise_cfg=None)
