"""Augmented copies of the clean training images, made once, with a sheet that describes them."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline, node

from recycling.annotations import Annotations, ImageChecks, ImageFolder, LabeledImages
from recycling.augmented_sets import (
    AugmentedSet,
    AugmentedSets,
    AugmentedSetSettings,
    make_augmented_set,
)
from recycling.plan import Plan
from recycling.reporting import augmented_sheet


def create_pipeline(plan: Plan) -> Pipeline:
    """Two nodes for each set that is described: the set, and its sheet."""
    return Pipeline([own for name in plan.augmented_sets for own in set_nodes(name)])


def set_nodes(name: str) -> list[Node]:
    """The nodes of one set."""
    made, space = f"{name}.augmented_set", f"augmented_sets.{name}"
    return [
        node(
            make_set,
            {
                "annotations": "train.annotations",
                "images": "train.images",
                "checks": "train.image_checks",
                "settings": f"params:augmented_sets.{name}",
                "sets": "augmented_sets",
            },
            made, name="make_augmented_set", namespace=space,
        ),
        node(describe_set, [made, "train.annotations", "train.images"],
             f"{name}.augmented_sheet", name="describe_augmented_set", namespace=space),
    ]  # fmt: skip


def make_set(
    annotations: Annotations,
    images: ImageFolder,
    checks: ImageChecks,
    settings: AugmentedSetSettings,
    sets: AugmentedSets,
) -> AugmentedSet:
    """Make a set, or find it where it was made before of the same images and settings.

    Args:
        annotations: What is on the images.
        images: Their files.
        checks: Know what is in the files.
        settings: The transforms, how many copies, the seed.
        sets: The folder of all sets.
    """
    known = checks.dropna(subset="sha256")
    sha256 = dict(zip(known["image_id"].tolist(), known["sha256"].tolist(), strict=True))
    return make_augmented_set(LabeledImages(annotations, images), settings, sets.path, sha256)


def describe_set(augmented_set: AugmentedSet, annotations: Annotations, images: ImageFolder) -> str:
    """A page: what was made of what, counts by category, examples."""
    return augmented_sheet(augmented_set, LabeledImages(annotations, images))
