"""Add annotations to others, as photographs that were labelled later are added to those before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pandas as pd

from recycling.annotations.core import AnnotationError, Annotations, free_ids, own_group
from recycling.errors import visible
from recycling.names import KnownNames


def joined(first: Annotations, second: Annotations) -> Annotations:
    """Both, where an image that is in both is as the second has it.

    Args:
        first: Keeps its ids, its groups and the order of its categories.
        second: What is new in it gets new ids, each image in a group of its own; its categories
            are found by name.

    Returns:
        The tables, images of the second after those of the first.

    Raises:
        AnnotationError: The second has two images of one file.

    Example:
        >>> from recycling.annotations import from_coco
        >>> image = {"id": 5, "file_name": "a.jpg", "width": 8, "height": 6}
        >>> coco = {"annotations": [], "categories": [{"id": 1, "name": "Glass"}]}
        >>> old = from_coco({"images": [image], **coco}, where="old")
        >>> new = from_coco({"images": [{**image, "file_name": "b.jpg"}], **coco}, where="new")
        >>> joined(old, new).images["image_id"].tolist()
        [5, 6]
    """
    second = _spelt_alike(first, second)
    there = dict(zip(first.images["file_name"], first.images["image_id"], strict=True))
    again = second.images["file_name"].isin(list(there))
    image_ids = _numbered(
        second.images["image_id"], second.images["file_name"], there, first.images["image_id"]
    )
    known = dict(zip(first.categories["name"], first.categories["category_id"], strict=True))
    category_ids = _numbered(
        second.categories["category_id"],
        second.categories["name"],
        known,
        first.categories["category_id"],
    )
    images = second.images.assign(image_id=second.images["image_id"].map(image_ids))
    groups = set(first.images["group"])
    images["group"] = [own_group(number, groups) for number in images["image_id"].tolist()]
    new_categories = second.categories.assign(
        category_id=second.categories["category_id"].map(category_ids)
    )[~second.categories["name"].isin(list(known))]
    replaced = [there[name] for name in second.images.loc[again, "file_name"]]
    kept = first.annotations[~first.annotations["image_id"].isin(replaced)]
    rows = second.annotations.assign(
        image_id=second.annotations["image_id"].map(image_ids),
        category_id=second.annotations["category_id"].map(category_ids),
        annotation_id=free_ids(
            set(first.annotations["annotation_id"].tolist()), len(second.annotations)
        ),
    )
    known_images = first.images.assign(
        **{side: _as_labelled(side, first.images, second.images) for side in ("width", "height")}
    )
    return replace(
        first,
        images=_below(known_images, images[~again]),
        annotations=_below(kept, rows),
        categories=_below(first.categories, new_categories),
    ).conform()


def _spelt_alike(first: Annotations, second: Annotations) -> Annotations:
    """The second, with the names of images that both have as the first has them."""
    names = first.images["file_name"].drop_duplicates().tolist()
    known = KnownNames(names)
    own = second.images["file_name"].tolist()
    meant = [name if (row := known.find(name)) is None else names[row] for name in own]
    known.say_rewritten("the annotations that are added", "images")
    seen: dict[str, str] = {}
    for name, as_known in zip(own, meant, strict=True):
        if as_known in seen:
            raise AnnotationError(
                f"the annotations that are added: {visible(seen[as_known])} and {visible(name)} "
                "are one image; keep one"
            )
        seen[as_known] = name
    return replace(second, images=second.images.assign(file_name=meant))


def _as_labelled(side: str, first: pd.DataFrame, second: pd.DataFrame) -> pd.Series[int]:
    """A side of the images of the first, as the second has it: places of labels are by its size."""
    labelled = dict(zip(second["file_name"], second[side], strict=True))
    return first["file_name"].map(labelled).fillna(first[side]).astype("int64")


def _numbered(
    own: pd.Series[int], names: pd.Series[str], there: Mapping[str, int], taken: pd.Series[int]
) -> dict[int, int]:
    """The new id of each: the one that its name has there, or a free one."""
    is_new = ~names.isin(list(there))
    free = iter(free_ids(set(taken.tolist()), int(is_new.sum())))
    return {
        number: there[name] if name in there else next(free)
        for number, name in zip(own.tolist(), names.tolist(), strict=True)
    }


def _below(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    tables = [table for table in (first, second) if len(table)]
    return pd.concat(tables, ignore_index=True) if tables else first
