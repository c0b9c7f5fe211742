"""One fixed validation part instead of folds: fold 0 is held out, fold 1 is the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, model_validator

from recycling.errors import listed
from recycling.registry import Settings
from recycling.splitting.axes import columns_of
from recycling.splitting.contents import Contents
from recycling.splitting.core import SplitError
from recycling.splitting.image_columns import as_label, image_column
from recycling.splitting.settings import Splitting, splitting_method

Value = str | bool | int | float | None


class HoldOut(Settings):
    """Which images are held out; exactly one of the three ways to say it."""

    share: float | None = Field(
        default=None, gt=0, lt=1, description="this part of the images, balanced on the axes"
    )
    image_ids: tuple[int, ...] | None = Field(
        default=None, min_length=1, description="these images"
    )
    where: dict[str, tuple[Value, ...]] | None = Field(
        default=None,
        min_length=1,
        description=(
            "images with one of these values in each of these columns of the images table or "
            "keys of its `extra`; null is an image without the value"
        ),
    )

    @model_validator(mode="after")
    def _one_way(self) -> HoldOut:
        given = [name for name in HoldOut.model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"give exactly one of {', '.join(HoldOut.model_fields)}, "
                f"not {' and '.join(given) or 'none'}"
            )
        return self


class HoldOutPart(Splitting):
    """One fixed validation part: fold 0 is held out, fold 1 is the rest."""

    method: Literal["hold_out"] = "hold_out"
    hold_out: HoldOut = Field(description="which images are held out")

    @model_validator(mode="before")
    @classmethod
    def _says_which(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and value.get("hold_out") is None:
            raise ValueError(
                f"method 'hold_out' needs hold_out, with one of {', '.join(HoldOut.model_fields)}"
            )
        return value


@splitting_method("hold_out", HoldOutPart)
def hold_out(contents: Contents, settings: HoldOutPart) -> NDArray[np.int64]:
    """Divide the images into a part that is held out and the rest.

    Train models on ``folds: [0]`` only: fold 1 would train on the validation part.

    Args:
        contents: The images, ordered by id, and what is on them.
        settings: Which images are held out. A share is balanced on the axes; the seed decides
            which of the equally good shares it is.

    Returns:
        (images,) 0 where an image is held out, 1 for the rest.

    Raises:
        SplitError: An image, a column or a value is not there, a group would be cut, or one of
            the parts would be empty.
    """
    asked = settings.hold_out
    if asked.share is not None:
        held_out = _share(contents, asked.share, settings.axes, settings.seed)
    elif asked.image_ids is not None:
        held_out = _image_ids(contents, asked.image_ids)
    else:
        held_out = _where(contents, asked.where or {})
    _check_parts(contents.images, held_out)
    return np.where(held_out, 0, 1)


def _share(contents: Contents, share: float, axes: Sequence[str], seed: int) -> NDArray[np.bool_]:
    from recycling.splitting.group_kfold import assign_groups

    fold: NDArray[np.int64] = assign_groups(
        columns_of(contents, axes).to_numpy(),
        contents.images["group"].to_numpy(dtype=object),
        np.array([share, 1 - share]),
        np.random.default_rng(seed),
    )
    return np.equal(fold, 0)


def _image_ids(contents: Contents, image_ids: tuple[int, ...]) -> NDArray[np.bool_]:
    known = contents.images["image_id"]
    unknown = [image_id for image_id in image_ids if image_id not in set(known)]
    if unknown:
        raise SplitError(
            f"hold_out.image_ids: there is no image {', '.join(map(str, unknown[:5]))}; "
            f"{len(unknown)} of {len(image_ids)} are like that; correct or remove them"
        )
    return known.isin(image_ids).to_numpy()


def _where(contents: Contents, where: dict[str, tuple[Value, ...]]) -> NDArray[np.bool_]:
    held_out = np.ones(len(contents.images), dtype=bool)
    for column, values in where.items():
        key = f"hold_out.where.{column}"
        label = image_column(contents.images, column, where=key).map(as_label)
        asked = [as_label(value) for value in values]
        for value in asked:
            if not (label.isna() if value is None else label == value).any():
                known = sorted(set(label.dropna()))
                raise SplitError(
                    f"{key}: no image has {value or 'no value'}; there are {listed(known)}"
                )
        held_out &= (label.isin(asked) | (label.isna() & (None in asked))).to_numpy()
    return held_out


def _check_parts(images: pd.DataFrame, held_out: NDArray[np.bool_]) -> None:
    n_held_out = int(held_out.sum())
    if n_held_out in (0, len(images)):
        what = "holds out every image" if n_held_out else "holds out no image"
        raise SplitError(
            f"hold_out {what} of {len(images)}, in {images['group'].nunique()} groups that stay "
            "whole; both parts need some, choose others"
        )
    parts = pd.Series(held_out).groupby(images["group"].to_numpy()).nunique()
    if (parts > 1).any():
        group = parts.index[parts > 1][0]
        inside = images["group"].to_numpy() == group
        left = images["image_id"][inside & ~held_out]
        raise SplitError(
            f"hold_out cuts group {group!r}: image {', '.join(map(str, left[:5]))} of it is not "
            f"held out, image {images['image_id'][inside & held_out].iloc[0]} is; "
            f"{int((parts > 1).sum())} of {len(parts)} groups are cut; hold out whole groups"
        )
