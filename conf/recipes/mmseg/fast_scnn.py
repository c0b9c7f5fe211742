# Fast-SCNN (Poudel et al., 2019).
_base_ = "mmseg::fastscnn/fast_scnn_8xb4-160k_cityscapes-512x1024.py"

model = dict(decode_head=dict(loss_decode=dict(use_sigmoid=False)), auxiliary_head=None)

augmentation = [
    dict(type="RandomFlip", prob=0.5),
    dict(
        type="RandomResize",
        scale=("image_size", "image_size"),
        ratio_range=(0.8, 1.25),
        keep_ratio=True,
    ),
    dict(type="RandomCrop", crop_size=("image_size", "image_size")),
]
