# YOLOv5-x with the head of YOLOv8 ("YOLOv5xu"). Needs ultralytics (AGPL-3.0); see yolov5_s.
# Reports: A
# Parameters: 97,209,038
# Weights: none
_base_ = "yolov5_s.py"

model = dict(size="x")
