# ResNet-34 with a head each for mask, gender and age: 3 x 2 x 3 = 18 classes, whose probabilities are
# the products of the heads'. A class is named after its values, "worn/male/young": so do the labels
# read from three columns of a CSV file (ClassCsvDataset), class folders or COCO categories with such
# names do as well, and classes of other names have to be all combinations in order. Any network with
# one linear head becomes one with several by model.head.type and model.head.heads.
# Reports: C
# Parameters: 21,288,776
# Weights: mmassets.onedl.ai resnet34_8xb32_in1k_20210831-f257d4e6.pth
_base_ = "./resnet34.py"

model = dict(
    head=dict(
        type="recycling.backends.mmengine_backend.networks.classifiers.multi_attribute_head.MultiAttributeHead",
        # Each loss counts by its weight in the sum.
        heads=[
            dict(name="mask", size=3, weight=1.0),
            dict(name="gender", size=2, weight=1.0),
            dict(name="age", size=3, weight=1.0),
        ],
    )
)
