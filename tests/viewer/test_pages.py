"""What pages show and link to, without a browser."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from kedro.io import DataCatalog
from markupsafe import Markup

from recycling.annotations import Annotations, ImageFolder
from recycling.datasets import AnnotationsDataset, ImageFolderDataset, TableDataset
from recycling.sides import TEST, Side
from recycling.viewer.addresses import Address
from recycling.viewer.core import ImageSet
from recycling.viewer.holdings import Holdings
from recycling.viewer.pages import data, folds, predictions
from recycling.viewer.predicted import Predicted
from recycling.viewer.views import View


@dataclass(frozen=True)
class Written(View):
    """A page whose parts are kept as text."""

    parts: list[str] = field(default_factory=list)

    def html(self, content: Markup) -> None:
        self.parts.append(str(content))

    def say(self, text: str) -> None:
        self.parts.append(text)

    def title(self, text: str) -> None:
        self.parts.append(text)


def page(holdings: Holdings, link: str) -> Written:
    """A page in the state that a link says."""
    path, _, query = link.partition("?")
    values = dict(pair.split("=", 1) for pair in query.split("&") if pair)
    return Written(holdings, Address(path, values), lambda: None)


@pytest.fixture
def truth(annotations: Annotations) -> Annotations:
    """With a crowd of Paper beside the Paper of the first image."""
    crowd = annotations.annotations[:1].assign(annotation_id=9, iscrowd=True)
    rows = pd.concat([annotations.annotations, crowd], ignore_index=True)
    return replace(annotations, annotations=rows)


@pytest.fixture
def holdings(truth: Annotations, tmp_path: Path) -> Holdings:
    """Images for training with their folds."""
    catalog = DataCatalog(
        {
            "train.annotations": AnnotationsDataset(filepath=tmp_path / "train"),
            "train.images": ImageFolderDataset(filepath=tmp_path / "images"),
            "folds": TableDataset(table="folds", filepath=tmp_path / "folds.parquet"),
        }
    )
    catalog.save("train.annotations", truth)
    catalog.save("folds", pd.DataFrame({"image_id": [1, 2, 3], "fold": [0, 1, 1]}))
    place = SimpleNamespace(data=tmp_path)
    return Holdings(catalog, place, catalog.keys())  # type: ignore[arg-type]


def test_a_cell_of_the_folds_opens_as_many_annotations_as_it_counts(holdings):
    view = page(holdings, "/folds")
    folds.build(view)
    (row,) = re.findall(r"<tr><td>Paper</td>.*?</tr>", view.parts[-1])
    link, text = re.findall(r'<a href="(.*?)">(.*?)</a>', row)[0]
    assert text == "1 (50%)"
    opened = page(holdings, link.replace("&amp;", "&"))
    images = opened.image_set()
    html = data._annotations(opened, images, data.filtered_images(opened, images))
    assert "1 annotations" in html


def test_a_crowd_region_is_none_of_the_objects_that_are_counted(truth, tmp_path):
    images = ImageSet("test", truth, ImageFolder(tmp_path))
    side = Side("det.yolox", "det", "yolox", None, {TEST: truth})
    assert predictions.truth_title(Predicted((), (side,), TEST, images), 1) == "truth: 1 object"
