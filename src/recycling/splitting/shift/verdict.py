"""The outcome of a comparison of train and test images, in words."""

from __future__ import annotations

import pandas as pd

from recycling.splitting.shift.shared_images import SharedImages
from recycling.splitting.shift.two_sample_test import TwoSampleTest

MISLEADS = 0.7
"""From this AUC on, a score on held-out train images is called into doubt; a convention."""

NAMED = 0.6
"""A feature is named if it alone reaches this AUC; a convention."""

MOST_NAMED = 3
"""More features than these do not make a sentence clearer."""

_LESS_AND_MORE = {
    "width": ("narrower", "wider"),
    "height": ("less tall", "taller"),
    "file_size": ("in smaller files", "in larger files"),
    "brightness": ("darker", "brighter"),
    "contrast": ("lower in contrast", "higher in contrast"),
    "saturation": ("less saturated", "more saturated"),
    "sharpness": ("blurrier", "sharper"),
    "red": ("less red", "redder"),
    "green": ("less green", "greener"),
    "blue": ("less blue", "bluer"),
}

_IMPLIED_BY = {
    "height": "width",
    "red": "brightness",
    "green": "brightness",
    "blue": "brightness",
}


def verdict(result: TwoSampleTest, features: pd.DataFrame) -> str:
    """Whether a classifier tells the parts apart, by which features, and what that means.

    Args:
        result: What the classifier could do.
        features: The features and their means; schema `SHIFT`, the one that tells most first.

    Returns:
        A sentence without a full stop, like "AUC 0.97 (0.95 to 0.98; by chance up to 0.56): test
        images are darker (brightness 0.31, in train 0.52); validation on train may mislead".
    """
    measured = (
        f"AUC {result.auc:.2f} ({result.low:.2f} to {result.high:.2f}; "
        f"by chance up to {result.chance:.2f})"
    )
    if result.auc <= result.chance:
        return f"{measured}: train and test cannot be told apart by these features"
    difference = _named(features) or (
        f"test images differ in how features spread or go together, {features['feature'][0]} "
        "the most, and hardly in any one alone"
    )
    doubt = "; validation on train may mislead" if result.auc >= MISLEADS else ", if not by much"
    return f"{measured}: {difference}{doubt}"


def not_measured(part: str, n_images: int, n_left_out: int, needed: int) -> str:
    """That a part has too few images, and that their files may be the reason.

    >>> not_measured("test", n_images=3, n_left_out=0, needed=20)
    'Not measured: 3 test images have features, and 20 are needed'
    """
    of_files = f"; the files of {n_left_out} more were not read: are they there?"
    return (
        f"Not measured: {n_images} {part} images have features, and {needed} are needed"
        f"{of_files if n_left_out else ''}"
    )


def shared_sentence(shared: SharedImages) -> str:
    """What test images the train part holds, and one of them.

    >>> shared_sentence(SharedImages(searched=80, exact=0, near=0, pairs=[]))
    'None of 80 test images is, or looks like, a train image'
    """
    if not shared.searched:
        return "Whether test images are in train is not known: no files were read"
    if not shared.pairs:
        return f"None of {shared.searched} test images is, or looks like, a train image"
    train_id, test_id = shared.pairs[0]
    return (
        f"Of {shared.searched} test images {shared.exact} have the same bytes as a train image and "
        f"{shared.near} more look like one (the first: test image {test_id}, train image "
        f"{train_id}); they flatter a score"
    )


def short_number(value: float) -> str:
    """Three digits, or all those before the point: 0.328, 98,491.

    >>> short_number(0.32784), short_number(98491.2)
    ('0.328', '98,491')
    """
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _named(features: pd.DataFrame) -> str:
    """The features that tell most by themselves; empty if none does."""
    named = features[(features["auc"] >= NAMED).fillna(False)].sort_values(
        "auc", ascending=False, kind="stable"
    )
    # A feature that another named one implies need not be named.
    repeats = named["feature"].map(_IMPLIED_BY).isin(named["feature"])
    rows = named[~repeats][["feature", "train_mean", "test_mean"]].head(MOST_NAMED)
    phrases = [
        f"{_LESS_AND_MORE[feature][int(test_mean > train_mean)]} ({feature.replace('_', ' ')} "
        f"{short_number(test_mean)}, in train {short_number(train_mean)})"
        for feature, train_mean, test_mean in rows.itertuples(index=False, name=None)
    ]
    return f"test images are {', '.join(phrases)}" if phrases else ""
