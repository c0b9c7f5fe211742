# SSD (Liu et al., 2016) on VGG-16, trained on COCO at 512 pixels; its anchors are 20 to 542 pixels,
# so other image sizes may want `anchors`.
# Reports: D
# Parameters: 25,713,756
# Weights: download.openmmlab.com ssd512_coco_20210803_022849-0a47a1ca.pth
_base_ = "mmdet::ssd/ssd512_coco.py"

model = dict(
    # The coarsest level is as large as one place of 512 pixels.
    data_preprocessor=dict(pad_size_divisor=512),
    backbone=dict(init_cfg=None),
    bbox_head=dict(type="recycling.backends.mmengine_backend.networks.detectors.ssd.SSDHeadWithoutLossModule"),
)
load_from = "https://download.openmmlab.com/mmdetection/v2.0/ssd/ssd512_coco/ssd512_coco_20210803_022849-0a47a1ca.pth"
