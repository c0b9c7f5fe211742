# SeMask-L FPN (Jain et al., 2021): Swin-L with semantic layers, and the head of Semantic FPN
# (Kirillov et al., 2019), as in the authors' code: what the layers add begins at zero, and of each
# batch the hardest 100,000 pixels an image count (OHEM; `loss` replaces it; below 316 pixels a side
# these are all). With over 19 classes, as there, the last two stages attend to the whole map. Batch
# norm is not across devices. Only their Google Drive has it whole: the weights are Swin-L's.
# Reports: B
# Parameters: 209,954,459
# Weights: mmassets.onedl.ai swin_large_patch4_window12_384_22k_20220412-6580f57d.pth
_base_ = "mmseg::swin/swin-large-patch4-window12-in22k-384x384-pre_upernet_8xb2-160k_ade20k-512x512.py"

norm_cfg = dict(type="BN", requires_grad=True)
model = dict(
    backbone=dict(
        type="recycling.backends.mmengine_backend.networks.segmenters.SeMaskSwin",
        num_classes=150,
        semantic_window_size=12,
    ),
    decode_head=dict(
        _delete_=True,
        type="FPNHead",
        in_channels=[192, 384, 768, 1536],
        in_index=[0, 1, 2, 3],
        feature_strides=[4, 8, 16, 32],
        channels=256,
        dropout_ratio=0.1,
        sampler=dict(type="OHEMPixelSampler", min_kept=100000),
        num_classes=150,
        norm_cfg=norm_cfg,
        align_corners=False,
        loss_decode=dict(type="CrossEntropyLoss", use_sigmoid=False, loss_weight=1.0),
    ),
    # The semantic priors follow the four stages.
    auxiliary_head=dict(
        _delete_=True,
        type="recycling.backends.mmengine_backend.networks.segmenters.SemanticPriorHead",
        in_index=[4, 5, 6, 7],
        num_classes=150,
        align_corners=False,
        loss_decode=dict(type="CrossEntropyLoss", use_sigmoid=False, loss_weight=0.4),
    ),
)
