# Grounding DINO (Liu et al., 2023) on a Swin-T, fine-tuned: it is asked for the classes by their names. Needs transformers (Apache-2.0).
# Score: 58.1 box AP on COCO at 800 x 1333 pixels
# Training: AdamW, learning rate 0.0001 for batches of 32, a tenth for the backbone, weight decay 0.0001, gradients clipped to 0.1; 12 epochs, a tenth of the rate from the 11th
# Licence: Apache-2.0
# Reports: none
# Parameters: 172,914,717
# Weights: download.openmmlab.com groundingdino_swint_ogc_mmdet-822d7e9d.pth
_base_ = "mmdet::grounding_dino/grounding_dino_swin-t_finetune_16xb2_1x_coco.py"

load_from = "https://download.openmmlab.com/mmdetection/v3.0/grounding_dino/groundingdino_swint_ogc_mmdet-822d7e9d.pth"

model = dict(
    type="recycling.backends.mmengine_backend.networks.detectors.grounding_dino.GroundingDINOOfClasses",
    language_model=dict(
        _delete_=True,
        type="recycling.backends.mmengine_backend.networks.detectors.grounding_dino.BertOfNames",
        vocabulary="",
        network=dict(hidden_size=768, num_hidden_layers=12),
    ),
    backbone=dict(with_cp=False),
    encoder=dict(num_cp=0),
)
