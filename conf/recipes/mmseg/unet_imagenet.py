# U-Net (Ronneberger et al., 2015) on a classifier trained on ImageNet, as in
# segmentation_models_pytorch: a ResNet-50 of torchvision, or what the setting `encoder` names. The
# weights are the encoder's.
# Reports: B
# Parameters: 32,522,555
# Weights: download.pytorch.org resnet50-11ad3fa6.pth
_base_ = "mmseg::unet/unet-s5-d16_fcn_4xb4-160k_cityscapes-512x1024.py"

model = dict(
    backbone=dict(
        _delete_=True,
        type="recycling.backends.mmengine_backend.networks.segmenters.TorchvisionEncoder",
        encoder="resnet50",
        init_cfg=dict(
            type="Pretrained",
            checkpoint="https://download.pytorch.org/models/resnet50-11ad3fa6.pth",
        ),
    ),
    decode_head=dict(
        _delete_=True,
        type="recycling.backends.mmengine_backend.networks.segmenters.UNetHead",
        in_channels=[64, 256, 512, 1024, 2048],
        dropout_ratio=0,
        num_classes=19,
        norm_cfg=dict(type="BN", requires_grad=True),
        align_corners=False,
        loss_decode=dict(type="CrossEntropyLoss", use_sigmoid=False, loss_weight=1.0),
    ),
    auxiliary_head=None,
)
