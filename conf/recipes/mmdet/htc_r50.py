# Hybrid Task Cascade (Chen et al., 2019) without its semantic branch, on a ResNet-50. It learns from
# masks too. Published on COCO only with that branch; of those weights all others fit.
# Reports: none
# Parameters: 77,186,970
# Weights: download.openmmlab.com htc_r50_fpn_20e_coco_20200319-fe28c577.pth
_base_ = "mmdet::htc/htc-without-semantic_r50_fpn_1x_coco.py"

model = dict(
    backbone=dict(init_cfg=None),
    roi_head=dict(
        type="recycling.backends.mmengine_backend.networks.detectors.hybrid_task_cascade."
        "BoxOnlyHybridTaskCascadeRoIHead"
    ),
)
load_from = "https://download.openmmlab.com/mmdetection/v2.0/htc/htc_r50_fpn_20e_coco/htc_r50_fpn_20e_coco_20200319-fe28c577.pth"
