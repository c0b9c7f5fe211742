"""What the catalog holds, looked up once: sets of images, and what was predicted of them."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import pandas as pd
from kedro.io import DataCatalog
from numpy.typing import NDArray

from recycling.annotations import Annotations, ImageFolder
from recycling.datasets import PathDataset
from recycling.errors import listed
from recycling.limits import limits
from recycling.reporting.layout import category_colours
from recycling.sides import Side, Workplace
from recycling.splitting import Folds

Size = Literal["small", "medium", "large"]

SIZES: dict[Size, tuple[float, float]] = {
    "small": (0.0, 32.0**2),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, float("inf")),
}
"""Square pixels, from and up to, as COCO has them."""

_IMAGE_SET = re.compile(r"(?:.+[._])?(?:annotations|truth|crops)")
_PART = re.compile(r"(?<![^._])(train|pool|test)(?![^._])")
_PREDICTED = re.compile(
    r"(?P<side>(?P<thing>(?:cls|det|seg)\.\w+)(?:\.fold(?:\d+|_all))?)"
    r"\.(?:test|out_of_fold)_predictions"
)


class ViewerError(ValueError):
    """What an address or a user asks for is not there: one line, what, and what there is."""


@dataclass(frozen=True)
class Category:
    """A category, as it is shown everywhere.

    Attributes:
        category_id: Its number.
        name: Its name.
        colour: As HTML has it, such as `#2f7ed8`.
    """

    category_id: int
    name: str
    colour: str


@dataclass(frozen=True)
class ImageSet:
    """A set of images with what is annotated on them.

    Attributes:
        name: The dataset of its annotations.
        annotations: The annotations.
        folder: The folder of the images.
    """

    name: str
    annotations: Annotations
    folder: ImageFolder

    @cached_property
    def categories(self) -> dict[int, Category]:
        """The categories by id, in the order of the table."""
        return categories_of(self.annotations.categories)

    @cached_property
    def images(self) -> dict[int, dict[str, Any]]:
        """The rows of the images by id, in the order of the table."""
        rows = self.annotations.images.to_dict("records")
        return {int(row["image_id"]): {str(key): row[key] for key in row} for row in rows}

    @cached_property
    def _sorted(self) -> tuple[NDArray[np.int64], pd.DataFrame]:
        table = self.annotations.annotations.sort_values("image_id", kind="stable")
        return table["image_id"].to_numpy(dtype=np.int64), table

    def on(self, image_id: int) -> pd.DataFrame:
        """The annotations of one image, in the order of the table."""
        ids, table = self._sorted
        first, last = np.searchsorted(ids, [image_id, image_id + 1])
        return table.iloc[first:last]

    def image(self, image_id: int) -> dict[str, Any]:
        """The row of an image.

        Raises:
            ViewerError: There is no such image.
        """
        if image_id not in self.images:
            raise ViewerError(f"{self.name}: no image {image_id}; there are {len(self.images):,}")
        return self.images[image_id]

    def file(self, image_id: int) -> Path:
        """The file of an image.

        Raises:
            ViewerError: There is no such image, or its file lies outside the folder.
        """
        name = self.image(image_id)["file_name"]
        root = self.folder.path.resolve()
        path = Path(os.path.normpath(root / name))
        followed = path.resolve() if limits().links == "inside" else path
        if not followed.is_relative_to(root):
            raise ViewerError(f"{name}: lies outside {self.folder.path}, and is not shown")
        return path


class Holdings:
    """What the catalog holds; whatever is written anew is read anew.

    Args:
        catalog: Of the environment.
        workplace: Looks up models, ensembles and files.
        names: Of the datasets that there may be.
        files: CSV files that may be read wherever they are.
    """

    def __init__(
        self,
        catalog: DataCatalog,
        workplace: Workplace,
        names: Iterable[str],
        files: Sequence[Path] = (),
    ) -> None:
        self.catalog, self.workplace, self.files = catalog, workplace, tuple(files)
        self.names = sorted(name for name in names if not name.startswith("params:"))
        self._kept: dict[tuple[str, str], tuple[Any, Any]] = {}
        self._looking = threading.RLock()  # images are asked for at once; a catalog is for one

    def is_there(self, name: str) -> bool:
        """Whether a dataset is there."""
        with self._looking:
            return name in self.catalog and bool(self.catalog.exists(name))

    def there(self, form: str) -> list[str]:
        """The datasets of these names that are there.

        Args:
            form: A regular expression of the whole name.
        """
        return [n for n in self.names if re.fullmatch(form, n) and self.is_there(n)]

    def load(self, name: str) -> Any:
        """The value of a dataset, kept until it is written anew.

        Raises:
            ViewerError: It is not there.
        """
        if not self.is_there(name):
            raise ViewerError(f"{name}: not there; kedro status says what makes it")
        dataset = self._dataset(name)
        return self.keep("value", name, _stamp(dataset), dataset.load)

    def _dataset(self, name: str) -> PathDataset[Any]:
        # The dataset itself: a load through the catalog would validate what is only looked at.
        with self._looking:
            dataset = self.catalog.get(name)
        assert isinstance(dataset, PathDataset)
        return dataset

    def keep(self, kind: str, name: str, stamp: Any, make: Callable[[], Any]) -> Any:
        """What `make` gives, made anew where the stamp is another one than before."""
        kept = self._kept.get((kind, name))
        if kept is None or kept[0] != stamp:
            kept = self._kept[kind, name] = (stamp, make())
        return kept[1]

    @property
    def image_sets(self) -> list[str]:
        """The sets of images that are there; what is trained on and predicted comes first."""
        first = ("train.annotations", "test.annotations", "pool.annotations")
        found = [name for name in self.there(_IMAGE_SET.pattern) if part_of(name)]
        return sorted(found, key=lambda n: first.index(n) if n in first else len(first))

    def image_set(self, name: str) -> ImageSet:
        """A set of images.

        Raises:
            ViewerError: There is none of that name.
        """
        part = part_of(name) if _IMAGE_SET.fullmatch(name) else None
        if part is None or name not in self.names:
            known = listed(self.image_sets) or "none yet; kedro run makes them"
            raise ViewerError(f"no images {name!r}; there are {known}")
        annotations = self.load(name)
        make = lambda: ImageSet(name, annotations, self.folder(part))  # noqa: E731
        return cast(ImageSet, self.keep("set", name, id(annotations), make))

    def folder(self, part: str) -> ImageFolder:
        """The folder of the images of a part: `train`, `pool` or `test`."""
        return ImageFolder(self._dataset(f"{part}.images").filepath)

    def folder_of_thumbnails(self) -> Path:
        """Where reduced images are kept."""
        return self._dataset("thumbnails").filepath

    def folds(self) -> dict[int, int]:
        """The fold of each labelled image; empty where there are none yet."""
        if not self.is_there("folds"):
            return {}
        folds: Folds = self.load("folds")
        return dict(zip(folds["image_id"].tolist(), folds["fold"].tolist(), strict=True))

    @property
    def sides(self) -> list[str]:
        """Models, their folds where they have several, and ensembles, that have predicted."""
        found: dict[str, set[str]] = {}
        for name in self.there(_PREDICTED.pattern):
            match = _PREDICTED.fullmatch(name)
            assert match is not None
            found.setdefault(match["thing"], set()).add(match["side"])
        return [
            name
            for thing, sides in sorted(found.items())
            for name in (thing, *(sorted(sides - {thing}) if len(sides) > 1 else ()))
        ] + [str(path) for path in self.files]

    def side(self, name: str) -> Side:
        """A model, an ensemble or a CSV file, as `kedro compare` takes it.

        Raises:
            ViewerError: A CSV file lies outside the data.
            ExperimentError: There is no such side.
        """
        if name.endswith(".csv"):
            self._check_file(Path(name))
        elif self.workplace.is_run(name):
            raise ViewerError(f"no model, ensemble or CSV file {name!r}; {self._known_sides()}")
        made = [n for n in self.there(_PREDICTED.pattern) if n.startswith(f"{name}.")]
        stamps = tuple(_stamp(self._dataset(n)) for n in made)
        return cast(Side, self.keep("side", name, stamps, lambda: self.workplace.side(name)))

    def checkpoints(self, side: str) -> list[str]:
        """The datasets of the checkpoints of a model, or of one fold of it."""
        return self.there(rf"{re.escape(side)}(\.fold(\d+|_all))?\.checkpoint")

    def best_member(self, ensemble: str) -> str | None:
        """The member of an ensemble that scores best; None where that is not known."""
        name = f"{ensemble}.explanation"
        if not self.is_there(name):
            return None
        members: dict[str, Any] = self.load(name).get("members") or {}
        if not members:
            return None
        best = max(members, key=lambda member: float(members[member]["score"]))
        side = f"{ensemble.partition('.')[0]}.{best}"
        return side if side in self.sides else None

    def _known_sides(self) -> str:
        return f"there are {listed(self.sides)}" if self.sides else "nothing has predicted yet"

    def _check_file(self, path: Path) -> None:
        data = self.workplace.data.resolve()
        if path not in self.files and not path.resolve().is_relative_to(data):
            raise ViewerError(
                f"{path}: lies outside {self.workplace.data}; name it when the viewer starts: "
                f"kedro view {path.name}"
            )


def categories_of(table: pd.DataFrame) -> dict[int, Category]:
    """The categories by id, each with the colour that it has in every figure.

    Args:
        table: Schema `recycling.annotations.CATEGORIES`.

    >>> table = pd.DataFrame({"category_id": [7], "name": ["Glass"]})
    >>> categories_of(table)[7].name
    'Glass'
    """
    colours = category_colours(len(table))
    return {
        int(number): Category(int(number), str(name), "#{:02x}{:02x}{:02x}".format(*colour))
        for number, name, colour in zip(table["category_id"], table["name"], colours, strict=True)
    }


def part_of(name: str) -> str | None:
    """The part of the data whose images a dataset is about; None where it is about none.

    >>> part_of("det.round.fold0.pool_annotations"), part_of("train.raw_annotations")
    ('pool', 'train')
    """
    found = _PART.findall(name)
    return found[-1] if found else None


def chosen_images(
    images: ImageSet,
    *,
    category_id: int | None = None,
    size: Size | None = None,
    group: str | None = None,
    fold: int | None = None,
    folds: dict[int, int] | None = None,
) -> list[int]:
    """The ids of the images that all conditions are true of, in the order of the table.

    Args:
        images: The images.
        category_id: They show one of this category.
        size: They show one of this size (and of that category).
        group: They are of this group.
        fold: They are of this fold.
        folds: The fold of each image.
    """
    table = images.annotations.images
    keep = np.ones(len(table), dtype=np.bool_)
    if category_id is not None or size is not None:
        shown = chosen_annotations(images, category_id=category_id, size=size)
        keep &= table["image_id"].isin(shown["image_id"]).to_numpy()
    if group is not None:
        keep &= (table["group"] == group).to_numpy(dtype=np.bool_)
    if fold is not None:
        keep &= (table["image_id"].map(folds or {}) == fold).to_numpy(dtype=np.bool_)
    return [int(number) for number in table.loc[keep, "image_id"]]


def chosen_annotations(
    images: ImageSet,
    *,
    category_id: int | None = None,
    size: Size | None = None,
    image_ids: Sequence[int] | None = None,
    order: Literal["table", "largest", "smallest"] = "table",
) -> pd.DataFrame:
    """The annotations that all conditions are true of.

    Args:
        images: The images that they are on.
        category_id: Of this category.
        size: Of this size, by their area.
        image_ids: On these images.
        order: As in the table, or by area.
    """
    table = images.annotations.annotations
    keep = np.ones(len(table), dtype=np.bool_)
    if category_id is not None:
        keep &= (table["category_id"] == category_id).to_numpy()
    if size is not None:
        low, high = SIZES[size]
        keep &= ((table["area"] >= low) & (table["area"] < high)).to_numpy()
    if image_ids is not None:
        keep &= table["image_id"].isin(image_ids).to_numpy()
    found = table[keep]
    if order == "table":
        return found
    return found.sort_values("area", ascending=order == "smallest", kind="stable")


def _stamp(dataset: PathDataset[Any]) -> float | None:
    return dataset.written()
