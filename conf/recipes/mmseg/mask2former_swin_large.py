# Mask2Former (Cheng et al., 2021) on Swin-L. Needs mmdet.
# Reports: none
# Parameters: 215,453,056
# Weights: mmassets.onedl.ai swin_large_patch4_window12_384_22k_20220412-6580f57d.pth
_base_ = "mmseg::mask2former/mask2former_swin-l-in22k-384x384-pre_8xb2-160k_ade20k-640x640.py"

model = dict(
    decode_head=dict(
        type="recycling.backends.mmengine_backend.networks.segmenters.Mask2FormerAnyClassesHead"
    )
)
