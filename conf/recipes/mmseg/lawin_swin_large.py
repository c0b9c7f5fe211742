# Lawin Transformer (Yan et al., 2022) with Swin-L. The weights are Swin-L's.
# Reports: B
# Parameters: 203,210,746
# Weights: mmassets.onedl.ai swin_large_patch4_window12_384_22k_20220412-6580f57d.pth
_base_ = "mmseg::swin/swin-large-patch4-window12-in22k-384x384-pre_upernet_8xb2-160k_ade20k-512x512.py"

model = dict(
    decode_head=dict(
        _delete_=True,
        type="recycling.backends.mmengine_backend.networks.segmenters.LawinHead",
        in_channels=[192, 384, 768, 1536],
        in_index=[0, 1, 2, 3],
        channels=512,
        dropout_ratio=0.1,
        num_classes=150,
        norm_cfg=dict(type="BN", requires_grad=True),
        align_corners=False,
        loss_decode=dict(type="CrossEntropyLoss", use_sigmoid=False, loss_weight=1.0),
    ),
)
