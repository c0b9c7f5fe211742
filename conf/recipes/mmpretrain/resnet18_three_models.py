# Three ResNet-18, one each for mask, gender and age, composed into 18 classes. They share nothing
# but their training. Classes are named as for resnet34_three_heads.
# Reports: C
# Parameters: 33,533,640
# Weights: mmassets.onedl.ai resnet18_8xb32_in1k_20210831-fbbb1da6.pth
_base_ = "./resnet34_three_heads.py"
load_from = None

resnet18 = dict(
    type="ResNet",
    depth=18,
    out_indices=(3,),
    init_cfg=dict(
        type="Pretrained",
        checkpoint="https://mmassets.onedl.ai/mmclassification/v0/resnet/resnet18_8xb32_in1k_20210831-fbbb1da6.pth",
        prefix="backbone.",
    ),
)
model = dict(
    backbone=dict(
        _delete_=True,
        type="recycling.backends.mmengine_backend.networks.classifiers.concatenated.ConcatenatedBackbones",
        backbones=[resnet18, resnet18, resnet18],
    ),
    neck=None,
    # Each head sees the features of one network only.
    head=dict(in_channels=[512, 512, 512]),
)
