# YOLOv5-s with the head of YOLOv8 ("YOLOv5su"). Needs ultralytics (AGPL-3.0), whose published
# weights are not taken: to load them runs code. Made for mosaic and long schedules.
# Reports: A
# Parameters: 9,126,062
# Weights: none
model = dict(
    type="recycling.backends.mmengine_backend.networks.detectors.yolov5.YOLOv5",
    size="s",
    num_classes=80,
    data_preprocessor=dict(
        type="DetDataPreprocessor",
        mean=[0, 0, 0],
        std=[255, 255, 255],
        bgr_to_rgb=True,
        pad_size_divisor=32,
        # Grey, as ultralytics pads.
        pad_value=0.447,
    ),
    test_cfg=dict(
        nms_pre=3000, score_thr=0.001, nms=dict(type="nms", iou_threshold=0.7), max_per_img=100
    ),
)
# As ultralytics trains YOLOv5 (cfg/default.yaml: mosaic, scale, translate, hsv, fliplr), with the
# library's transforms: colours are added to, where ultralytics multiplies them.
published_size = 640
published = [
    dict(type="Mosaic", img_scale=(640, 640), pad_val=114.0),
    dict(
        type="RandomAffine",
        max_rotate_degree=0.0,
        max_translate_ratio=0.1,
        scaling_ratio_range=(0.5, 1.5),
        max_shear_degree=0.0,
        border=(-320, -320),
        border_val=(114, 114, 114),
    ),
    dict(type="YOLOXHSVRandomAug", hue_delta=3, saturation_delta=178, value_delta=102),
    dict(type="RandomFlip", prob=0.5),
    dict(type="FilterAnnotations", min_gt_bbox_wh=(1, 1)),
]
