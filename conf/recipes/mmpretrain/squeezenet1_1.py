# SqueezeNet 1.1 (Iandola et al., 2016), torchvision's: mmpretrain has none. Only what surrounds
# the network is ResNet's. Its last layer is linear behind the average, where the paper's is a
# convolution with a ReLU before it.
# Reports: E
# Parameters: 731,730
# Weights: download.pytorch.org squeezenet1_1-b8a52dc0.pth
_base_ = "mmpretrain::resnet/resnet18_8xb32_in1k.py"

model = dict(
    backbone=dict(
        _delete_=True,
        type="recycling.backends.mmengine_backend.networks.classifiers.torchvision_features.TorchvisionFeatures",
        architecture="squeezenet1_1",
        features="features",
        init_cfg=dict(
            type="Pretrained",
            checkpoint="https://download.pytorch.org/models/squeezenet1_1-b8a52dc0.pth",
        ),
    ),
    head=dict(in_channels=512),
)
