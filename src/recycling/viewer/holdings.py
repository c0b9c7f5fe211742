"""What the catalog holds, looked up once: sets of images, and what was predicted of them."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

from kedro.io import DataCatalog

from recycling.annotations import ImageFolder
from recycling.datasets import PathDataset
from recycling.errors import listed
from recycling.sides import Side, Workplace
from recycling.splitting import Folds
from recycling.viewer.core import ImageSet, ViewerError, data_address

_IMAGE_SET = re.compile(r"(?:.+[._])?(?:annotations|truth|crops)")
_PART = re.compile(r"(?<![^._])(train|pool|test)(?![^._])")
_PREDICTED = re.compile(
    r"(?P<side>(?P<thing>(?:cls|det|seg)\.\w+)(?:\.fold(?:\d+|_all))?)"
    r"\.(?:test|out_of_fold)_predictions"
)

_TRUTH = ("train.annotations", "folds", "test.annotations", "cls.test_crops")
"""What says what is on the images that sides have predicted on."""


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
        return self.keep("value", name, dataset.written(), dataset.load)

    def png(self, name: str) -> str:
        """A figure, which is stored as PNG, in the address of an image."""
        return data_address("png", self._dataset(name).content())

    def _dataset(self, name: str) -> PathDataset[Any]:
        # The dataset itself: a load through the catalog would validate what is only looked at.
        with self._looking:
            dataset = self.catalog.get(name)
        assert isinstance(dataset, PathDataset)
        return dataset

    def keep(self, kind: str, name: str, stamp: Any, make: Callable[[], Any]) -> Any:
        """What `make` gives, made anew where the stamp is another one than before.

        One value is kept of each name: what changes with a slider belongs to the stamp.

        Args:
            kind: What it is, such as `value` of a dataset.
            name: Which one of its kind.
            stamp: What it is made of: a time, or other kept values, which then stay alive.
            make: Makes it.
        """
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
        make = partial(ImageSet, name, annotations, self.folder(part))
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
        make = partial(self.workplace.side, name)
        return cast(Side, self.keep("side", name, self._stamp(name), make))

    def _stamp(self, side: str) -> object:
        """What tells a side from the same one before: when all that it is made of was written."""
        if ":" in side and not side.endswith(".csv"):
            run = self.workplace.runs.find(side.rpartition(":")[0])
            return run.run_id, run.state, len(run.nodes)
        # With the other seeds of a model, whose names begin as its own does.
        model = ".".join(side.split(".")[:2])
        made = [n for n in self.there(_PREDICTED.pattern) if n.startswith(model)]
        truth = [n for n in _TRUTH if self.is_there(n)]
        stamp: dict[str, object] = {n: self._dataset(n).written() for n in (*made, *truth)}
        if (file := Path(side)).is_file():
            stamp[side] = (file.stat().st_mtime_ns, file.stat().st_size)
        return stamp

    def checkpoints(self, side: str) -> list[str]:
        """The datasets of the checkpoints of a model, or of one fold of it."""
        return self.there(rf"{re.escape(side)}(\.fold(\d+|_all))?\.checkpoint")

    def best_member(self, ensemble: str) -> str | None:
        """The member of an ensemble that scores best, or a fold of it that has predicted the same.

        None where that is not known.
        """
        name = f"{ensemble}.explanation"
        if not self.is_there(name):
            return None
        members: dict[str, Any] = self.load(name).get("members") or {}
        scores = {m: own["score"] for m, own in members.items() if own["score"] is not None}
        if not scores:
            return None
        best = max(scores, key=scores.__getitem__)
        side = f"{ensemble.partition('.')[0]}.{best.removesuffix('.csv')}"
        found = self.there(rf"{re.escape(side)}(\.fold(\d+|_all))?\.test_predictions")
        if len(found) < 2:
            return side if found else None
        # Each fold has predicted the test images by itself, as the ensemble has.
        return found[0].removesuffix(".test_predictions")

    def _known_sides(self) -> str:
        return f"there are {listed(self.sides)}" if self.sides else "nothing has predicted yet"

    def _check_file(self, path: Path) -> None:
        data = self.workplace.data.resolve()
        if path not in self.files and not path.resolve().is_relative_to(data):
            raise ViewerError(
                f"{path}: lies outside {self.workplace.data}; name it when the viewer starts: "
                f"kedro view {path.name}"
            )


def part_of(name: str) -> str | None:
    """The part of the data whose images a dataset is about; None where it is about none.

    >>> part_of("det.round.fold0.pool_annotations"), part_of("train.raw_annotations")
    ('pool', 'train')
    """
    found = _PART.findall(name)
    return found[-1] if found else None
