"""Whether folds leak: groups, duplicates and near-duplicates that are in two folds."""

from __future__ import annotations

import numpy as np
import pandas as pd

from recycling.annotations import Annotations, StoredAnnotations
from recycling.annotations.images.same_files import first_of_same
from recycling.errors import listed
from recycling.names import shown_name
from recycling.splitting.core import Folds, SplitError, fold_of_image
from recycling.stored_tables import whole


def check_leaks(
    annotations: Annotations | StoredAnnotations,
    folds: Folds,
    checks: pd.DataFrame | None = None,
    *,
    max_distance: int | None = 8,
) -> None:
    """Check that nothing that must stay together is in two folds.

    That is a group, and entries of one file; and, where `checks` are given, images of the same
    bytes and images that look alike. For a hold-out this holds between fold 0 and fold 1. Images
    that the checks do not have, or could not read, are only checked by group and file name.

    Args:
        annotations: The images, with their groups.
        folds: The fold of every image.
        checks: What `recycling.annotations.check_images` found; schema `IMAGE_CHECKS`.
        max_distance: Largest number of differing bits, of 64, between the perceptual hashes of
            images that look alike; None leaves that check out.

    Raises:
        SplitError: The first group, or the first pair of images, that crosses folds, with the
            folds and what to do; or the first images that are in no fold.
    """
    images = whole(annotations.images)
    fold = fold_of_image(images, folds)
    images = images.assign(fold=fold.to_numpy())
    _check_groups(images)
    _check_files(images)
    if checks is None:
        return
    found = checks[checks["image_id"].isin(fold.index)].sort_values("image_id", ignore_index=True)
    found = found.assign(fold=fold.loc[found["image_id"]].to_numpy())
    _check_duplicates(found.dropna(subset="sha256", ignore_index=True))
    if max_distance is not None:
        _check_near_duplicates(found.dropna(subset="phash", ignore_index=True), max_distance)


def _check_groups(images: pd.DataFrame) -> None:
    crossing = images.groupby("group")["fold"].nunique()
    crossing = crossing[crossing > 1]
    if len(crossing):
        group = crossing.index[0]
        members = images[images["group"] == group].sort_values(["fold", "image_id"])
        members_shown = [
            f"{image} in fold {fold}"
            for image, fold in zip(members["image_id"], members["fold"], strict=True)
        ]
        raise SplitError(
            f"folds: group {group!r} crosses folds (image {listed(members_shown, 5)}); "
            f"{len(crossing)} of {images['group'].nunique()} groups do; split by group"
        )


def _check_files(images: pd.DataFrame) -> None:
    """Refuse entries of one file in two folds, whether or not it is at hand."""
    images = images.assign(file=first_of_same(images))
    crossing = images[images.groupby("file")["fold"].transform("nunique") > 1]
    if len(crossing):
        first = crossing.iloc[0]
        same = crossing[crossing["file"] == first["file"]]
        second = same[same["fold"] != first["fold"]].iloc[0]
        raise SplitError(
            f"folds: {_named(first, second)} are one file, {shown_name(first['file_name'])}; "
            f"{crossing['file'].nunique()} files are in several folds; switch on the cleaning "
            "rule drop_duplicate_images or group_near_duplicates"
        )


def _check_duplicates(found: pd.DataFrame) -> None:
    """Refuse images of the same bytes in two folds."""
    crossing = found[found.groupby("sha256")["fold"].transform("nunique") > 1]
    if len(crossing):
        copies = crossing.groupby("sha256").size()
        in_one_fold = crossing.groupby(["sha256", "fold"]).size()
        n_pairs = _n_pairs(copies) - _n_pairs(in_one_fold)
        first = crossing.iloc[0]
        same = crossing[crossing["sha256"] == first["sha256"]]
        second = same[same["fold"] != first["fold"]].iloc[0]
        raise SplitError(
            f"folds: {_named(first, second)} have the same bytes; {n_pairs} pairs of duplicates "
            "cross folds; switch on the cleaning rule that drops duplicate images, or the one that "
            "groups near-duplicates"
        )


def _check_near_duplicates(found: pd.DataFrame, max_distance: int) -> None:
    """Refuse images that look alike in two folds."""
    from recycling.annotations.images.near_duplicates import near_duplicate_links

    # Of many images alike, links are few and pairs are many; and if a pair is parted, a link is.
    first, second = near_duplicate_links(found["phash"], max_distance)
    fold = found["fold"].to_numpy()
    crossing = np.flatnonzero(fold[first] != fold[second])
    if len(crossing):
        pair = found.iloc[first[crossing[0]]], found.iloc[second[crossing[0]]]
        raise SplitError(
            f"folds: {_named(*pair)} look alike (perceptual hashes within {max_distance} of 64 "
            f"bits); at least {len(crossing)} pairs of near-duplicates cross folds; switch on the "
            "cleaning rule that groups near-duplicates, or set near_duplicate_distance"
        )


def _n_pairs(sizes: pd.Series[int]) -> int:
    return int((sizes * (sizes - 1) // 2).sum())


def _named(first: pd.Series, second: pd.Series) -> str:
    labels = (f"{image['image_id']} (fold {image['fold']})" for image in (first, second))
    return f"images {' and '.join(labels)}"
