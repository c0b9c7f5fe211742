# UNet++ (Zhou et al., 2018) on a classifier trained on ImageNet, as in
# segmentation_models_pytorch: a ResNet-50 of torchvision, or what the setting `encoder` names. The
# weights are the encoder's. Without the paper's losses on all nodes of the top level.
# Reports: B
# Parameters: 48,987,195
# Weights: download.pytorch.org resnet50-11ad3fa6.pth
_base_ = "./unet_imagenet.py"

model = dict(
    decode_head=dict(
        type="recycling.backends.mmengine_backend.networks.segmenters.UNetPlusPlusHead"
    )
)
