# Cascade R-CNN on Swin-L (windows of 12, images of 384 pixels), trained on ImageNet-22k.
# Reports: A
# Parameters: 240,626,928
# Weights: github.com swin_large_patch4_window12_384_22k.pth
_base_ = "cascade_rcnn_swin_base.py"

model = dict(
    backbone=dict(
        embed_dims=192,
        num_heads=[6, 12, 24, 48],
        init_cfg=dict(
            checkpoint="https://github.com/SwinTransformer/storage/releases/download/v1.0.0/swin_large_patch4_window12_384_22k.pth"
        ),
    ),
    neck=dict(in_channels=[192, 384, 768, 1536]),
)
