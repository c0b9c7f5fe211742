# RTMDet-tiny (Lyu et al., 2022), narrower.
_base_ = "mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py"
