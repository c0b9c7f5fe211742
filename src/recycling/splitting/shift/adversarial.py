"""Adversarial validation: can a classifier tell train from test images by cheap features?

If it can, the two parts were not taken alike, and a score on held-out train images need not hold on
the test part: "validation 90 %, test 20 %". It asks for no label and no submission.

Sources: FastML, "Adversarial validation", 2016, http://fastml.com/adversarial-validation-part-one/;
Pan et al., "Adversarial Validation Approach to Concept Drift Problem in User Targeting Automation
Systems at Uber", 2020, https://arxiv.org/abs/2004.03045. Reports A and C went without.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NewType

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, field_validator
from typing_extensions import TypedDict

from recycling.annotations import IMAGES, near_duplicate_groups
from recycling.annotations.images.checks import FEATURES
from recycling.registry import Settings
from recycling.splitting.shift.shared_images import SharedImages, shared_images
from recycling.splitting.shift.two_sample_test import (
    TwoSampleTest,
    area_under_curve,
    classifier_two_sample_test,
)
from recycling.splitting.shift.verdict import not_measured, shared_sentence, verdict
from recycling.tables import Column, Dtype, Schema, register_table

ShiftFeatures = NewType("ShiftFeatures", pd.DataFrame)
"""One row a feature, the one that tells most first, alone or with others; schema `SHIFT`."""

TestLikeness = NewType("TestLikeness", pd.DataFrame)
"""One row an image whose features are known; schema `TEST_LIKENESS`."""

_MAYBE: Dtype = "Float64"  # missing where nothing was measured

SHIFT = Schema(
    "shift",
    (
        Column("feature", "string", "a column of the image checks", unique=True),
        Column("train_mean", _MAYBE, "its mean over the train images", nullable=True),
        Column("test_mean", _MAYBE, "its mean over the test images", nullable=True),
        Column(
            "difference",
            _MAYBE,
            "test mean less train mean, in standard deviations within a part (Cohen's d); missing "
            "where the feature is constant in both",
            nullable=True,
        ),
        Column(
            "auc",
            _MAYBE,
            "how well the feature alone, by order, tells the parts apart: 0.5 not at all, 1 fully",
            nullable=True,
        ),
        Column(
            "importance",
            _MAYBE,
            "AUC that the classifier loses when the feature's values are shuffled",
            nullable=True,
        ),
        Column("train_missing", "float64", "share of the train images without it, 0 to 1"),
        Column("test_missing", "float64", "share of the test images without it, 0 to 1"),
    ),
)
register_table("shift", SHIFT, ShiftFeatures)

TEST_LIKENESS = Schema(
    "likeness to test",
    (
        Column("part", "string", "where the image is", values=("train", "test")),
        Column("image_id", "int64", "the image's number in its part"),
        Column(
            "probability",
            "float64",
            "that it is a test image, both parts given equal weight, by a classifier that did not "
            "see it; p / (1 - p) weighs a train image as the test part would",
            minimum=0,
            maximum=1,
        ),
    ),
)
register_table("test_likeness", TEST_LIKENESS, TestLikeness)

MIN_IMAGES = 20
"""Images that each part needs: below, a classifier learns nothing."""

SHOWN = 5
"""How many images the summary names of each kind."""


class AdversarialValidation(Settings):
    """How train and test images are compared."""

    n_splits: int = Field(default=5, ge=2, description="number of folds")
    seed: int = Field(default=0, ge=0, description="of all that is drawn")
    permutations: int = Field(
        default=39,
        ge=19,
        description=(
            "how often train and test are shuffled to see what chance gives; each takes as long "
            "as the comparison itself, and 39 tell p-values down to 0.025"
        ),
    )
    features: tuple[str, ...] = Field(
        default=FEATURES,
        min_length=1,
        description=(
            "columns of the image checks to compare by; leave out what training evens out, such "
            "as width and height where images are resized to one size"
        ),
    )
    near_duplicate_distance: int | None = Field(
        default=8,
        ge=0,
        le=64,
        description=(
            "images whose perceptual hashes differ in at most this many of 64 bits look alike; "
            "null: only images of the same bytes are searched"
        ),
    )

    @field_validator("features")
    @classmethod
    def _are_features(cls, features: tuple[str, ...]) -> tuple[str, ...]:
        for feature in features:
            if feature not in FEATURES:
                raise ValueError(f"no feature {feature!r}; there are {', '.join(FEATURES)}")
            if features.count(feature) > 1:
                raise ValueError(f"feature {feature!r} is there twice; name it once")
        return features


class ShiftSummary(TypedDict):
    """The outcome of a comparison of train and test images.

    Attributes:
        verdict: The outcome in a sentence.
        shared: Which test images are in the train part, in a sentence.
        auc: How well a classifier tells the parts apart; None, like what follows, if not measured.
        low: Lower end of its 95 % interval.
        high: Upper end.
        chance: What shuffled parts give in 5 of 100 cases.
        p_value: How often shuffled parts give such an AUC or a higher one.
        n_train: Train images that were compared.
        n_test: Test images that were compared.
        train_left_out: Train images without any feature: their files could not be read.
        test_left_out: The same of the test part.
        exact_duplicates: Test images of the same bytes as a train image.
        near_duplicates: Other test images that look like a train image.
        duplicate_pairs: The first of them: train image, test image.
        train_most_like_test: The train images that look most like test images.
        test_least_like_train: The test images that look least like train images.
    """

    verdict: str
    shared: str
    auc: float | None
    low: float | None
    high: float | None
    chance: float | None
    p_value: float | None
    n_train: int
    n_test: int
    train_left_out: int
    test_left_out: int
    exact_duplicates: int
    near_duplicates: int
    duplicate_pairs: list[list[int]]
    train_most_like_test: list[int]
    test_least_like_train: list[int]


@dataclass(frozen=True)
class Shift:
    """How train and test images differ.

    Attributes:
        features: What each feature tells; schema `SHIFT`.
        likeness: How much each image looks like a test image; schema `TEST_LIKENESS`. No rows if
            nothing was measured.
        summary: The outcome in numbers and sentences.
    """

    features: ShiftFeatures
    likeness: TestLikeness
    summary: ShiftSummary


def adversarial_validation(
    train_images: pd.DataFrame,
    train_checks: pd.DataFrame,
    test_images: pd.DataFrame,
    test_checks: pd.DataFrame,
    settings: AdversarialValidation | None = None,
) -> Shift:
    """Compare train and test images by features that need no label.

    Images of a group, and images that look alike, are held out together. Of two near-duplicates,
    one in train and one in test, a classifier would otherwise learn the wrong answer by heart.
    A group's name means the same in both parts.

    Args:
        train_images: The train images, with their groups; schema `IMAGES`.
        train_checks: What `recycling.annotations.check_images` found; schema `IMAGE_CHECKS`.
            Images that it lacks, or that have no feature, are counted and left out.
        test_images: The test images. Ids may be the same as in the train part.
        test_checks: What was found of them.
        settings: Folds, shuffles, features; by default five folds by all features.

    Returns:
        Features, images and summary. Where a part has too few images or groups, the summary's
        verdict says so and nothing else is filled in but the features' means.
    """
    settings = settings or AdversarialValidation()
    train = _with_features(train_images, train_checks, settings).assign(part="train")
    test = _with_features(test_images, test_checks, settings).assign(part="test")
    shared = shared_images(train, test, max_distance=settings.near_duplicate_distance)
    all_images = _grouped(pd.concat([train, test], ignore_index=True), settings)
    known = all_images[list(settings.features)].notna().any(axis="columns")
    images = all_images[known].reset_index(drop=True)
    left_out = all_images["part"][~known]
    fault = _too_few(images, left_out, settings)
    result = None if fault else _two_sample_test(images, settings)
    features = _feature_table(images, result, settings)
    likeness = TEST_LIKENESS.empty()
    if result is not None:
        table = images[["part", "image_id"]].assign(probability=result.probability)
        likeness = TEST_LIKENESS.conform(table, where="likeness to test")
    sentence = verdict(result, features) if result else fault
    summary = _summary(sentence, result, images, left_out, shared, likeness)
    return Shift(ShiftFeatures(features), TestLikeness(likeness), summary)


def _with_features(
    images: pd.DataFrame, checks: pd.DataFrame, settings: AdversarialValidation
) -> pd.DataFrame:
    """The images in the order of their ids, with their hashes and features."""
    images = images[["image_id", "file_name", "group"]].sort_values("image_id", ignore_index=True)
    columns = ["sha256", "phash", *settings.features]
    found = checks.set_index("image_id")[columns].reindex(images["image_id"])
    return pd.concat([images, found.reset_index(drop=True)], axis="columns")


def _grouped(images: pd.DataFrame, settings: AdversarialValidation) -> pd.DataFrame:
    """Join the groups of images that look alike, in whichever part they are."""
    numbered = images.assign(image_id=np.arange(len(images)))
    joined = near_duplicate_groups(
        IMAGES.conform(numbered.assign(width=1, height=1, extra=None), where="images"),
        numbered,
        max_distance=settings.near_duplicate_distance or 0,
    )
    return images.assign(group=joined["group"])


def _too_few(
    images: pd.DataFrame, left_out: pd.Series[str], settings: AdversarialValidation
) -> str:
    """Why there is nothing to compare, if there is not."""
    for part in ("train", "test"):
        of_part = images[images["part"] == part]
        n_left_out = int((left_out == part).sum())
        if len(of_part) < MIN_IMAGES:
            return not_measured(part, len(of_part), n_left_out, MIN_IMAGES)
        n_groups = of_part["group"].nunique()
        if n_groups < 2 * settings.n_splits:
            return (
                f"Not measured: the {len(of_part)} {part} images form {n_groups} groups (images "
                f"that look alike are one), and {settings.n_splits} folds need "
                f"{2 * settings.n_splits}; set fewer n_splits or a smaller near_duplicate_distance"
            )
    return ""


def _two_sample_test(images: pd.DataFrame, settings: AdversarialValidation) -> TwoSampleTest:
    features = images[list(settings.features)]
    return classifier_two_sample_test(
        features.to_numpy(dtype=np.float64, na_value=np.nan),
        _in_test(images),
        _group_codes(images),
        n_splits=settings.n_splits,
        n_permutations=settings.permutations,
        random_state=settings.seed,
    )


def _feature_table(
    images: pd.DataFrame, result: TwoSampleTest | None, settings: AdversarialValidation
) -> pd.DataFrame:
    groups, in_test = _group_codes(images), _in_test(images)
    rows = []
    for i, feature in enumerate(settings.features):
        values = images[feature].to_numpy(dtype=np.float64, na_value=np.nan)
        known = ~np.isnan(values)
        train, test = values[known & ~in_test], values[known & in_test]
        difference = auc = None
        if len(train) and len(test):
            if np.ptp(train) or np.ptp(test):
                spread = np.sqrt((train.var() + test.var()) / 2)
                difference = (test.mean() - train.mean()) / spread
            auc = area_under_curve(values[known], in_test[known], groups[known])[0]
        rows.append(
            {
                "feature": feature,
                "train_mean": train.mean() if len(train) else None,
                "test_mean": test.mean() if len(test) else None,
                "difference": difference,
                "auc": max(auc, 1 - auc) if auc is not None else None,
                "importance": result.importance[i] if result else None,
                "train_missing": _share(~known[~in_test]),
                "test_missing": _share(~known[in_test]),
            }
        )
    table = SHIFT.conform(pd.DataFrame(rows), where="shift")
    # A feature that another one stands in for has no importance, and yet tells much by itself.
    strength = pd.concat([table["auc"] - 0.5, table["importance"]], axis="columns").max(axis=1)
    order = strength.sort_values(ascending=False, kind="stable", na_position="last").index
    return table.loc[order].reset_index(drop=True)


def _summary(
    sentence: str,
    result: TwoSampleTest | None,
    images: pd.DataFrame,
    left_out: pd.Series[str],
    shared: SharedImages,
    likeness: pd.DataFrame,
) -> ShiftSummary:
    n_test = int(_in_test(images).sum())
    by_likeness = likeness.sort_values("probability", ascending=False, kind="stable")
    most = {
        part: by_likeness.loc[by_likeness["part"] == part, "image_id"].head(SHOWN).tolist()
        for part in ("train", "test")
    }
    return ShiftSummary(
        verdict=sentence,
        shared=shared_sentence(shared),
        auc=result.auc if result else None,
        low=result.low if result else None,
        high=result.high if result else None,
        chance=result.chance if result else None,
        p_value=result.p_value if result else None,
        n_train=len(images) - n_test,
        n_test=n_test,
        train_left_out=int((left_out == "train").sum()),
        test_left_out=int((left_out == "test").sum()),
        exact_duplicates=shared.exact,
        near_duplicates=shared.near,
        duplicate_pairs=[list(pair) for pair in shared.pairs[:SHOWN]],
        train_most_like_test=most["train"],
        test_least_like_train=most["test"],
    )


def _in_test(images: pd.DataFrame) -> NDArray[np.bool_]:
    return (images["part"] == "test").to_numpy(dtype=bool)


def _group_codes(images: pd.DataFrame) -> NDArray[np.int64]:
    return pd.factorize(images["group"])[0].astype(np.int64)


def _share(those: NDArray[np.bool_]) -> float:
    return float(those.mean()) if len(those) else 0.0
