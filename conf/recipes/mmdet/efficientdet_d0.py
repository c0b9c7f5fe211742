# EfficientDet-D0 (Tan et al., 2020), made for 512 pixels, trained on COCO. Needs effdet (Apache-2.0).
# Reports: A
# Parameters: 3,833,267
# Weights: github.com tf_efficientdet_d0_34-f153e0cf.pth
name = "tf_efficientdet_d0"
checkpoint = "https://github.com/rwightman/efficientdet-pytorch/releases/download/v0.1/tf_efficientdet_d0_34-f153e0cf.pth"
detectors = "recycling.backends.mmengine_backend.networks.detectors.efficientdet"

model = dict(
    type="SingleStageDetector",
    data_preprocessor=dict(
        type="DetDataPreprocessor",
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=128,
    ),
    backbone=dict(
        type=f"{detectors}.EfficientDetFeatures",
        name=name,
        init_cfg=dict(type="Pretrained", checkpoint=checkpoint),
    ),
    bbox_head=dict(
        type=f"{detectors}.EfficientDetHead",
        name=name,
        num_classes=80,
        init_cfg=dict(type="Pretrained", checkpoint=checkpoint),
        anchor_generator=dict(
            type="AnchorGenerator",
            octave_base_scale=4,
            scales_per_octave=3,
            ratios=[1.0, 0.5, 2.0],
            strides=[8, 16, 32, 64, 128],
            center_offset=0.5,
            # The order in which the official weights have them.
            scale_major=False,
        ),
        bbox_coder=dict(type="DeltaXYWHBBoxCoder"),
        loss_cls=dict(type="FocalLoss", use_sigmoid=True, gamma=1.5, alpha=0.25),
        # 50 times the paper's Huber loss of 0.1, the mean of the four offsets.
        loss_bbox=dict(type="SmoothL1Loss", beta=0.1, loss_weight=50 * 0.1 / 4),
    ),
    train_cfg=dict(
        assigner=dict(
            type="MaxIoUAssigner",
            pos_iou_thr=0.5,
            neg_iou_thr=0.5,
            min_pos_iou=0,
            gt_max_assign_all=False,
            ignore_iof_thr=-1,
        ),
        sampler=dict(type="PseudoSampler"),
        allowed_border=-1,
        pos_weight=-1,
    ),
    test_cfg=dict(
        nms_pre=1000,
        min_bbox_size=0,
        score_thr=0.05,
        nms=dict(type="nms", iou_threshold=0.5),
        max_per_img=100,
    ),
)
# Scales of 0.1 to 2 and a crop, as the paper has it; the library's config of it is for any detector.
published = "mmdet::common/lsj-200e_coco-detection.py"
