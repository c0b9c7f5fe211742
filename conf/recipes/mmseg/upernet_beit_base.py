# UPerNet on BEiT (Bao et al., 2021), base. The weights are those of the whole network on ADE20K:
# the library's config names a file that a user would have to convert first.
# Reports: B
# Parameters: 163,265,366
# Weights: mmassets.onedl.ai upernet_beit-base_8x2_640x640_160k_ade20k-eead221d.pth
_base_ = "mmseg::beit/beit-base_upernet_8xb2-160k_ade20k-640x640.py"
load_from = "https://mmassets.onedl.ai/mmsegmentation/v0.5/beit/upernet_beit-base_8x2_640x640_160k_ade20k/upernet_beit-base_8x2_640x640_160k_ade20k-eead221d.pth"

model = dict(
    pretrained=None,
    backbone=dict(type="recycling.backends.mmengine_backend.networks.segmenters.BEiTAnySize"),
    # The library's default, synchronised batch norm, needs several processes.
    neck=dict(norm_cfg=dict(type="BN", requires_grad=True)),
)
