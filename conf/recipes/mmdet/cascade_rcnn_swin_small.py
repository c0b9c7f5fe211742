# Cascade R-CNN on Swin-S, trained on ImageNet-1k.
# Reports: A
# Parameters: 93,895,686
# Weights: github.com swin_small_patch4_window7_224.pth
_base_ = "cascade_rcnn_swin_tiny.py"

model = dict(
    backbone=dict(
        depths=[2, 2, 18, 2],
        init_cfg=dict(
            checkpoint="https://github.com/SwinTransformer/storage/releases/download/v1.0.0/swin_small_patch4_window7_224.pth"
        ),
    )
)
