# Cascade R-CNN (Cai and Vasconcelos, 2018) on Swin-T (Liu et al., 2021), trained on ImageNet-1k.
# Reports: A
# Parameters: 72,577,782
# Weights: github.com swin_tiny_patch4_window7_224.pth
_base_ = "mmdet::cascade_rcnn/cascade-rcnn_r50_fpn_20e_coco.py"

model = dict(
    backbone=dict(
        _delete_=True,
        type="SwinTransformer",
        embed_dims=96,
        depths=[2, 2, 6, 2],
        num_heads=[3, 6, 12, 24],
        window_size=7,
        drop_path_rate=0.2,
        convert_weights=True,
        init_cfg=dict(
            type="Pretrained",
            checkpoint="https://github.com/SwinTransformer/storage/releases/download/v1.0.0/swin_tiny_patch4_window7_224.pth",
        ),
    ),
    neck=dict(in_channels=[96, 192, 384, 768]),
)
optim_wrapper = dict(
    paramwise_cfg=dict(
        custom_keys={
            "absolute_pos_embed": dict(decay_mult=0.0),
            "relative_position_bias_table": dict(decay_mult=0.0),
            "norm": dict(decay_mult=0.0),
        }
    )
)
# The library has published no Cascade R-CNN on Swin; this is how it trains Mask R-CNN on Swin for long.
published = "mmdet::swin/mask-rcnn_swin-t-p4-w7_fpn_ms-crop-3x_coco.py"
