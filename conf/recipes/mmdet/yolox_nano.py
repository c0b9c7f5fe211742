# YOLOX-nano (Ge et al., 2021): anchor-free, one stage, no pretrained backbone needed.
_base_ = "mmdet::yolox/yolox_nano_8xb8-300e_coco.py"
