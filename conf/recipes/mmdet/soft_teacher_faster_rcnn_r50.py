# Soft Teacher (Xu et al., 2021) for Faster R-CNN on a ResNet-50, trained on ImageNet: also learns from
# images without labels, those of a round of pseudo-labels (train_on: labeled+ROUND), one for each
# labelled image. Its teacher is what is kept.
# Score: 33.8 box AP on COCO at 800 x 1333 pixels, where a tenth of its images are labelled
# Training: SGD, learning rate 0.01 for batches of 8 labelled and 32 other images, weight decay 0.0001; 180,000 steps; 500 of warm-up, a tenth of the rate from 120,000, again from 160,000
# Licence: Apache-2.0
# Reports: none
# Parameters: 41,394,306
# Weights: mmassets.onedl.ai resnet50_msra-5891d200.pth
_base_ = "mmdet::soft_teacher/soft-teacher_faster-rcnn_r50-caffe_fpn_180k_semi-0.1-coco.py"

# Of the labelled images.
published_size = 800
published = {{_base_.sup_pipeline}}
