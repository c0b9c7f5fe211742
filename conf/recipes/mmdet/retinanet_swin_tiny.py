# RetinaNet (Lin et al., 2017) on Swin-T (Liu et al., 2021), trained on ImageNet-1k.
# Reports: D
# Parameters: 37,006,456
# Weights: github.com swin_tiny_patch4_window7_224.pth
_base_ = "mmdet::swin/retinanet_swin-t-p4-w7_fpn_1x_coco.py"

optim_wrapper = dict(
    paramwise_cfg=dict(
        custom_keys={
            "relative_position_bias_table": dict(decay_mult=0.0),
            "norm": dict(decay_mult=0.0),
        }
    )
)
