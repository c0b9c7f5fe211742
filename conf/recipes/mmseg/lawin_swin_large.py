# Lawin Transformer (Yan et al., 2022) with Swin-L. The decoder is that of the authors' code: stages
# are brought to 768 channels (202.6 M parameters; the paper counts 201.2 M, nearer to 512: set
# `model.decode_head.embed_channels`), contexts are pooled half by maximum, half by mean. What
# surrounds it is mmseg's Swin-L: an auxiliary loss, no batch norm across devices. Nobody has
# published it whole: the weights are Swin-L's.
# Reports: B
# Parameters: 204,292,858
# Weights: mmassets.onedl.ai swin_large_patch4_window12_384_22k_20220412-6580f57d.pth
_base_ = "mmseg::swin/swin-large-patch4-window12-in22k-384x384-pre_upernet_8xb2-160k_ade20k-512x512.py"

model = dict(
    decode_head=dict(
        _delete_=True,
        type="recycling.backends.mmengine_backend.networks.segmenters.LawinHead",
        in_channels=[192, 384, 768, 1536],
        in_index=[0, 1, 2, 3],
        channels=512,
        embed_channels=768,
        dropout_ratio=0.1,
        num_classes=150,
        norm_cfg=dict(type="BN", requires_grad=True),
        align_corners=False,
        loss_decode=dict(type="CrossEntropyLoss", use_sigmoid=False, loss_weight=1.0),
    ),
)
