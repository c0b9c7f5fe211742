# UNet++ (Zhou et al., 2018) with the paper's widths and, which it has not, batch norm; a loss on
# each node of the top level ("deep supervision"). There are no official weights.
# Reports: B
# Parameters: 9,047,244
# Weights: none
_base_ = "mmseg::unet/unet-s5-d16_fcn_4xb4-160k_cityscapes-512x1024.py"

norm_cfg = dict(type="BN", requires_grad=True)
head = dict(
    type="FCNHead",
    in_channels=32,
    channels=32,
    num_convs=0,
    concat_input=False,
    dropout_ratio=0,
    num_classes=19,
    norm_cfg=norm_cfg,
    align_corners=False,
    loss_decode=dict(type="CrossEntropyLoss", use_sigmoid=False, loss_weight=1.0),
)
model = dict(
    backbone=dict(
        _delete_=True,
        type="recycling.backends.mmengine_backend.networks.segmenters.UNetPlusPlus",
        base_channels=32,
        norm_cfg=norm_cfg,
    ),
    decode_head=dict(_delete_=True, in_index=3, **head),
    auxiliary_head=[dict(in_index=node, **head) for node in range(3)],
)
