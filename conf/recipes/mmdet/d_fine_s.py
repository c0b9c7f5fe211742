# D-FINE-S (Peng et al., 2024; HGNetV2-B0), trained on COCO. Needs transformers (Apache-2.0).
# Score: 48.5 box AP on COCO at 640 pixels
# Training: AdamW, learning rate 0.0002 for batches of 32, half of it for the backbone, weight decay 0.0001, gradients clipped to 0.1, weights averaged with 0.9999; 132 epochs, the last 12 without distortion, expansion and crops; constant after 500 steps of warm-up
# Licence: Apache-2.0
# Reports: none
# Parameters: 10,231,997
# Weights: huggingface.co model.safetensors
model = dict(
    type="recycling.backends.mmengine_backend.networks.detectors.d_fine.DFine",
    num_classes=80,
    features=dict(
        stem_channels=[3, 16, 16],
        stage_in_channels=[16, 64, 256, 512],
        stage_mid_channels=[16, 32, 64, 128],
        stage_out_channels=[64, 256, 512, 1024],
        stage_num_blocks=[1, 1, 2, 1],
        stage_downsample=[False, True, True, True],
        stage_light_block=[False, False, True, True],
        stage_kernel_size=[3, 3, 5, 5],
        stage_numb_of_layers=[3, 3, 3, 3],
        use_learnable_affine_block=True,
        hidden_sizes=[128, 256, 512, 1024],
        out_indices=[2, 3, 4],
    ),
    network=dict(
        freeze_backbone_batch_norms=False,
        encoder_in_channels=[256, 512, 1024],
        hidden_expansion=0.5,
        depth_mult=0.34,
        decoder_layers=3,
        decoder_n_points=[3, 6, 3],
    ),
    data_preprocessor=dict(
        type="DetDataPreprocessor",
        mean=[0, 0, 0],
        std=[255, 255, 255],
        bgr_to_rgb=True,
        pad_size_divisor=32,
    ),
    test_cfg=dict(score_thr=0.0, max_per_img=300),
)
load_from = "https://huggingface.co/ustc-community/dfine-small-coco/resolve/main/model.safetensors"
optim_wrapper = dict(
    paramwise_cfg=dict(
        norm_decay_mult=0.0,
        custom_keys={"network.model.backbone": dict(lr_mult=0.5)},
        # Heads are of the decoder and of the whole network.
        bypass_duplicate=True,
    )
)
# As the authors train it (configs/dfine/include/dataloader.yml), with the library's transforms;
# without the change of the input's size by batch.
published_size = 640
published = [
    dict(type="PhotoMetricDistortion"),
    dict(type="Expand", mean=[0, 0, 0], to_rgb=False, ratio_range=(1, 4)),
    dict(type="MinIoURandomCrop", min_ious=(0.1, 0.3, 0.5, 0.7, 0.9), min_crop_size=0.3),
    dict(type="RandomFlip", prob=0.5),
    # The canvas of an expansion is up to four times as large.
    dict(type="Resize", scale=(640, 640), keep_ratio=True),
    dict(type="FilterAnnotations", min_gt_bbox_wh=(1, 1)),
]
