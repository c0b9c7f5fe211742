# FCN (Long et al., 2015) on a ResNet-18 half as wide; the head sees three of its stages.
# Reports: none
# Parameters: 2,860,603
# Weights: none
_base_ = "mmseg::fcn/fcn_r18-d8_4xb2-80k_cityscapes-512x1024.py"

model = dict(
    pretrained=None,
    backbone=dict(
        base_channels=32, stem_channels=32, dilations=(1, 1, 1, 1), strides=(1, 2, 2, 2)
    ),
    decode_head=dict(
        in_channels=[64, 128, 256],
        in_index=(1, 2, 3),
        input_transform="resize_concat",
        channels=128,
        num_convs=1,
        kernel_size=1,
        concat_input=False,
    ),
    auxiliary_head=None,
)

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
