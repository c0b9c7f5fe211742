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
