# Mask2Former (Cheng et al., 2021) on Swin-L. Needs mmdet.
_base_ = "mmseg::mask2former/mask2former_swin-l-in22k-384x384-pre_8xb2-160k_ade20k-640x640.py"

model = dict(
    decode_head=dict(
        type="recycling.backends.mmengine_backend.segmenters.Mask2FormerAnyClassesHead"
    )
)
