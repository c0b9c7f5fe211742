"""The files that other tools read and write: COCO, Pascal VOC, YOLO, class folders and CSV."""
