# MNASNet-B1 (Tan et al., 2019), torchvision's: mmpretrain has none. Only what surrounds the
# network is ResNet's.
# Reports: C
# Parameters: 3,125,370
# Weights: download.pytorch.org mnasnet1.0_top1_73.512-f206786ef8.pth
_base_ = "mmpretrain::resnet/resnet18_8xb32_in1k.py"

model = dict(
    backbone=dict(
        _delete_=True,
        type="recycling.backends.mmengine_backend.networks.classifiers.torchvision_features.TorchvisionFeatures",
        architecture="mnasnet1_0",
        features="layers",
        init_cfg=dict(
            type="Pretrained",
            checkpoint="https://download.pytorch.org/models/mnasnet1.0_top1_73.512-f206786ef8.pth",
        ),
    ),
    head=dict(in_channels=1280),
)
