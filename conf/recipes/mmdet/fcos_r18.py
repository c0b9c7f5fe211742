# FCOS (Tian et al., 2019) on ResNet-18.
_base_ = "mmdet::fcos/fcos_r18_fpn_gn-head-center-normbbox-centeronreg-giou_8xb8-amp-lsj-200e_coco.py"
