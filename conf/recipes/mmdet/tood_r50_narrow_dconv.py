# TOOD narrow with deformable convolutions in the last two stages of its backbone and in its head.
# Reports: none
# Parameters: 838,225
# Weights: none
_base_ = "./tood_r50_narrow.py"

model = dict(
    backbone=dict(
        dcn=dict(type="DCNv2", deformable_groups=1, fallback_on_stride=False),
        stage_with_dcn=(False, False, True, True),
    ),
    bbox_head=dict(num_dcn=2),
)
