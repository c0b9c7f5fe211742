# Cascade R-CNN on Swin-B (windows of 12, images of 384 pixels), trained on ImageNet-22k.
# Reports: A
# Parameters: 132,060,340
# Weights: github.com swin_base_patch4_window12_384_22k.pth
_base_ = "cascade_rcnn_swin_tiny.py"

model = dict(
    backbone=dict(
        embed_dims=128,
        depths=[2, 2, 18, 2],
        num_heads=[4, 8, 16, 32],
        window_size=12,
        pretrain_img_size=384,
        drop_path_rate=0.3,
        init_cfg=dict(
            checkpoint="https://github.com/SwinTransformer/storage/releases/download/v1.0.0/swin_base_patch4_window12_384_22k.pth"
        ),
    ),
    neck=dict(in_channels=[128, 256, 512, 1024]),
)
