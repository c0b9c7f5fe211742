# The features of ResNet-34 and EfficientNet-B0 side by side, under one linear layer.
# Reports: C
# Parameters: 25,324,494
# Weights: mmassets.onedl.ai resnet34_8xb32_in1k_20210831-f257d4e6.pth, mmassets.onedl.ai efficientnet-b0_3rdparty_8xb32-aa_in1k_20220119-8d939117.pth
_base_ = "mmpretrain::resnet/resnet34_8xb32_in1k.py"

model = dict(
    backbone=dict(
        _delete_=True,
        type="recycling.backends.mmengine_backend.networks.classifiers.concatenated.ConcatenatedBackbones",
        backbones=[
            dict(
                type="ResNet",
                depth=34,
                out_indices=(3,),
                init_cfg=dict(
                    type="Pretrained",
                    checkpoint="https://mmassets.onedl.ai/mmclassification/v0/resnet/resnet34_8xb32_in1k_20210831-f257d4e6.pth",
                    prefix="backbone.",
                ),
            ),
            dict(
                type="EfficientNet",
                arch="b0",
                init_cfg=dict(
                    type="Pretrained",
                    checkpoint="https://mmassets.onedl.ai/mmclassification/v0/efficientnet/efficientnet-b0_3rdparty_8xb32-aa_in1k_20220119-8d939117.pth",
                    prefix="backbone.",
                ),
            ),
        ],
    ),
    neck=None,
    head=dict(in_channels=512 + 1280),
)
