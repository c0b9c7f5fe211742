# ResNet-18 (He et al., 2016) with the stem that the library uses for small pictures.
_base_ = "mmpretrain::resnet/resnet18_8xb16_cifar10.py"

augmentation = [
    dict(type="RandomResizedCrop", scale="image_size", crop_ratio_range=(0.6, 1.0)),
    dict(type="RandomFlip", prob=0.5, direction="horizontal"),
]
