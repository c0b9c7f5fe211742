"""What to do where an image has another size than its entry says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from recycling.annotations.cleaning.audit import NO_AUDIT, changed, combined
from recycling.annotations.cleaning.registry import Cleaned, RuleSettings, cleaning_rule
from recycling.annotations.cleaning.rows import with_rows, without_images
from recycling.annotations.core import BOX, AnnotationError, Annotations
from recycling.annotations.geometry import Placement
from recycling.annotations.images.decoding import EXIF_TURNED
from recycling.errors import Faults, listed
from recycling.names import shown_name

RULE = "image_size"
_SHOWN = 3  # images named for each kind
_TURNED, _SCALED, _SWAPPED, _OTHER = (
    "turned by EXIF",
    "of another scale",
    "with width and height swapped",
    "of another shape",
)


class ImageSize(RuleSettings):
    """What to do where an image has another size than its entry says; a word alone will do."""

    action: Literal["error", "drop", "rescale"] = Field(
        default="error",
        description="stop, drop the image, or make entry, boxes and masks those of the image",
    )

    @model_validator(mode="before")
    @classmethod
    def _a_word_is_the_action(cls, value: Any) -> Any:
        return {"action": value} if isinstance(value, str) else value


@cleaning_rule(RULE, ImageSize, position=35, needs=("checks",))
def image_size(
    annotations: Annotations,
    checks: pd.DataFrame,
    *,
    action: Literal["error", "drop", "rescale"] = "error",
) -> Cleaned:
    """Stop where an image has another size than its entry says, or put that right.

    A size may differ because EXIF turns the image and the entry is of the image as it is stored;
    because the image was scaled since; or because the entry has width and height swapped.
    "rescale" turns and scales boxes and masks with the image in the first two cases. In the third
    it corrects the entry, if the boxes show that it is only the entry: one reaches outside the
    size of its entry, and none outside the image.

    Args:
        annotations: The tables.
        checks: What `check_images` found.
        action: "error" stops, "drop" drops the images, "rescale" makes entries, boxes and masks
            those of the images.

    Returns:
        The tables, and the audit.

    Raises:
        AnnotationError: There are such images, and they are an error; or they cannot be rescaled,
            since nothing shows how their boxes are to be understood, or a mask is damaged or of
            another size than its entry or, where that has its sides swapped, than the image.
    """
    other = _of_other_size(annotations, checks)
    if other.empty:
        return annotations, NO_AUDIT
    if action == "error":
        raise AnnotationError(
            f"{RULE}: {_told(other, len(annotations.images))}; set image_size: rescale in the "
            "cleaning rules to make entries, boxes and masks those of the images, or image_size: "
            "drop"
        )
    if action == "drop":
        reasons = {
            image_id: f"its image is {_size(shown)}, its entry says {_size(entry)}: {kind}"
            for image_id, kind, shown, entry in zip(
                other["image_id"], other["kind"], other["shown"], other["entry"], strict=True
            )
        }
        return without_images(annotations, RULE, reasons)
    _check_can_be_rescaled(annotations, other)
    return _rescaled(annotations, other)


def placements(annotations: Annotations, checks: pd.DataFrame) -> dict[int, Placement]:
    """Where images show their annotations, by id, if they are not of the size of their entries.

    Args:
        annotations: The tables, before this rule.
        checks: What `check_images` found.
    """
    other = _of_other_size(annotations, checks)
    return _placed(other[other["kind"] != _OTHER])


def _placed(other: pd.DataFrame) -> dict[int, Placement]:
    return {
        image_id: Placement(shown if kind == _SWAPPED else entry, shown, orientation)
        for image_id, entry, shown, orientation, kind in zip(
            other["image_id"].tolist(),
            other["entry"],
            other["shown"],
            other["orientation"],
            other["kind"],
            strict=True,
        )
    }


def _of_other_size(annotations: Annotations, checks: pd.DataFrame) -> pd.DataFrame:
    """The images whose size differs: id, name, `entry` and `shown` size, orientation, `kind`."""
    columns = ["image_id", "width", "height", "orientation"]
    seen = checks.loc[checks["width"].notna(), columns]
    images = annotations.images.merge(seen, on="image_id", suffixes=("", "_shown"))
    differs = (images["width"] != images["width_shown"]) | (
        images["height"] != images["height_shown"]
    )
    other = images[differs.to_numpy(dtype=bool)]
    entry = list(zip(other["width"].tolist(), other["height"].tolist(), strict=True))
    shown = list(zip(other["width_shown"].tolist(), other["height_shown"].tolist(), strict=True))
    numbers = [None if pd.isna(number) else int(number) for number in other["orientation"]]
    kinds = list(map(_kind, entry, shown, numbers))
    return pd.DataFrame(
        {
            "image_id": other["image_id"].to_numpy(),
            "file_name": other["file_name"].to_numpy(),
            "entry": pd.Series(entry, dtype=object),
            "shown": pd.Series(shown, dtype=object),
            "orientation": pd.Series(
                [n if k == _TURNED else None for n, k in zip(numbers, kinds, strict=True)],
                dtype=object,
            ),
            "kind": pd.Series(kinds, dtype=object),
        }
    )


def _kind(entry: tuple[int, int], shown: tuple[int, int], orientation: int | None) -> str:
    """Why a size differs; what is exact goes before what is so but for rounding."""
    is_turned = orientation in EXIF_TURNED
    stored = shown[::-1]
    if entry == stored:
        return _TURNED if is_turned else _SWAPPED
    if _have_one_shape(entry, shown):
        return _SCALED
    return _TURNED if is_turned and _have_one_shape(entry, stored) else _OTHER


def _have_one_shape(size: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether one size is the other scaled, both sides by the same factor, but for rounding."""
    (width, height), (other_width, other_height) = sorted([size, other])
    return (
        abs(width - other_width * height / other_height) <= 1
        or abs(height - other_height * width / other_width) <= 1
    )


def _told(other: pd.DataFrame, n_images: int) -> str:
    kinds = []
    for kind, rows in other.groupby("kind", sort=False):
        first = rows.iloc[0]
        names = [shown_name(name) for name in rows["file_name"]]
        names[0] += f" is {_size(first['shown'])}, its entry says {_size(first['entry'])}"
        kinds.append(f"{len(rows)} {kind} ({listed(names, _SHOWN)})")
    return (
        f"{len(other)} of {n_images} images have another size than their entries say: "
        f"{', '.join(kinds)}"
    )


def _check_can_be_rescaled(annotations: Annotations, other: pd.DataFrame) -> None:
    odd = other[other["kind"] == _OTHER]
    if len(odd):
        raise AnnotationError(
            f"{RULE}: {_told(odd, len(annotations.images))}; what was cut off or added cannot be "
            "known: correct these entries, or set image_size: drop"
        )
    swapped = other[other["kind"] == _SWAPPED]
    if swapped.empty:
        return
    limits = swapped.set_index("image_id")
    boxes = annotations.annotations[annotations.annotations["image_id"].isin(limits.index)]
    corner = boxes[["x_max", "y_max"]].to_numpy()
    entry, shown = (
        np.array(limits[column].loc[boxes["image_id"]].tolist()).reshape(-1, 2)
        for column in ("entry", "shown")
    )
    if len(boxes) and not ((corner > entry).any() and (corner <= shown + 1).all()):
        raise AnnotationError(
            f"{RULE}: {_told(swapped, len(annotations.images))}, and their boxes do not show "
            "whether the entries are wrong or the images were turned: correct these entries, or "
            "set image_size: drop"
        )


def _rescaled(annotations: Annotations, other: pd.DataFrame) -> Cleaned:
    placed = _placed(other)
    table = annotations.annotations
    where = table["image_id"].isin(list(placed)).to_numpy()
    rows = table[where]
    on = [placed[image_id] for image_id in rows["image_id"].tolist()]
    boxes = np.array(
        [placement.box(box) for placement, box in zip(on, rows[BOX].to_numpy(), strict=True)]
    ).reshape(-1, 4)
    texts = [None if pd.isna(text) else text for text in rows["segmentation"]]
    moved_texts = _moved_texts(
        rows, on, texts, dict(zip(other["image_id"], other["file_name"], strict=True))
    )
    reason = dict(zip(other["image_id"].tolist(), other["kind"], strict=True))
    moved, audit = with_rows(
        annotations,
        RULE,
        where,
        {
            **dict(zip(BOX, boxes.T, strict=True)),
            "area": rows["area"].to_numpy() * [np.prod(placement.scale) for placement in on],
            "segmentation": pd.array(moved_texts, "string"),
        },
        [f"its image is {reason[image_id]}" for image_id in rows["image_id"].tolist()],
    )
    images = annotations.images
    shown = {image_id: placement.shown for image_id, placement in placed.items()}
    resized = images["image_id"].isin(list(shown))
    before = images[resized]
    sizes = np.array([shown[image_id] for image_id in before["image_id"].tolist()])
    after = before.assign(width=sizes[:, 0], height=sizes[:, 1])
    reasons = [f"the image is {reason[image_id]}" for image_id in before["image_id"].tolist()]
    sides = {  # pandas aligns with floats between
        side: images[side].where(~resized, after[side]).astype(images[side].dtype)
        for side in ("width", "height")
    }
    return replace(moved, images=images.assign(**sides)), combined(
        [changed(RULE, "image", before, after, reasons), audit]
    )


def _moved_texts(
    rows: pd.DataFrame,
    on: Sequence[Placement],
    texts: Sequence[str | None],
    file_names: Mapping[int, str],
) -> list[str | None]:
    """The segmentation of each row where it is shown."""
    faults = Faults(RULE, AnnotationError)
    moved: list[str | None] = []
    for annotation_id, image_id, placement, text in zip(
        rows["annotation_id"], rows["image_id"], on, texts, strict=True
    ):
        try:
            moved.append(placement.segmentation(text))
        except AnnotationError as error:
            kind = f"the mask cannot be rescaled: {error}, or set image_size: drop"
            faults.add(kind, f"annotation {annotation_id} on {shown_name(file_names[image_id])}")
    faults.raise_if_any()
    return moved


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"
