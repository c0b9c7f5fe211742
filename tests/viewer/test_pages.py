"""What pages show and link to, without a browser."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from html import unescape
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl

import pandas as pd
import pytest
from kedro.io import DataCatalog
from markupsafe import Markup
from PIL import Image

from recycling.annotations import (
    ANNOTATIONS,
    CATEGORIES,
    IMAGES,
    Annotations,
    Cleaning,
    ImageFolder,
    check_images,
    clean,
)
from recycling.datasets import AnnotationsDataset, ImageFolderDataset, TableDataset
from recycling.diagnostics import LABEL_ERRORS
from recycling.diagnostics.label_errors.core import candidates
from recycling.predictions import Detections
from recycling.sides import TEST, Side
from recycling.viewer.addresses import Address
from recycling.viewer.core import ImageSet
from recycling.viewer.holdings import Holdings
from recycling.viewer.pages import (
    cleaning,
    data,
    folds,
    groups,
    image,
    label_errors,
    mistakes,
    predictions,
)
from recycling.viewer.predicted import Predicted
from recycling.viewer.tiles import Tile
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


def holdings_of(tmp_path: Path, **values: Any) -> Holdings:
    """What there is, by the name of its dataset, whose dots are written as two underscores."""
    named = {name.replace("__", "."): value for name, value in values.items()}
    datasets: dict[str, Any] = {
        f"{part}.images": ImageFolderDataset(filepath=tmp_path / f"{part}_images")
        for part in ("train", "test")
    }
    for name, value in named.items():
        path = tmp_path / name
        if isinstance(value, Annotations):
            datasets[name] = AnnotationsDataset(filepath=path)
        else:
            datasets[name] = TableDataset(table=name.split(".")[-1], filepath=path)
    catalog = DataCatalog(datasets)
    for name, value in named.items():
        catalog.save(name, value)
    place = SimpleNamespace(data=tmp_path)
    return Holdings(catalog, place, catalog.keys())


def page(holdings: Holdings, link: str) -> Written:
    """A page in the state that a link says."""
    path, _, query = link.partition("?")
    values = dict(parse_qsl(query))
    return Written(holdings, Address(path, values), lambda: None)


@pytest.fixture
def truth(annotations: Annotations) -> Annotations:
    """With a crowd of Paper beside the Paper of the first image."""
    crowd = annotations.annotations[:1].assign(annotation_id=9, iscrowd=True)
    rows = pd.concat([annotations.annotations, crowd], ignore_index=True)
    return replace(annotations, annotations=rows)


def test_a_cell_of_the_folds_opens_as_many_annotations_as_it_counts(truth, tmp_path):
    dealt = pd.DataFrame({"image_id": [1, 2, 3], "fold": [0, 1, 1]})
    holdings = holdings_of(tmp_path, train__annotations=truth, folds=dealt)
    view = page(holdings, "/folds")
    folds.build(view)
    (row,) = re.findall(r"<tr><td>Paper</td>.*?</tr>", view.parts[-1])
    link, text = re.findall(r'<a href="(.*?)">(.*?)</a>', row)[0]
    assert text == "1 (50%)"
    opened = page(holdings, unescape(link))
    images = opened.image_set()
    html = data._annotations(opened, images, data.filtered_images(opened, images))
    assert "1 annotations" in html


def test_a_crowd_region_is_none_of_the_objects_that_are_counted(truth, tmp_path):
    images = ImageSet("test", truth, ImageFolder(tmp_path))
    side = Side("det.yolox", "det", "yolox", None, {TEST: truth})
    assert predictions.truth_title(Predicted((), (side,), TEST, images), 1) == "truth: 1 object"


def changes(raw: Annotations, tmp_path: Path, **rules: Any) -> list[Tile]:
    """What the page of cleaning shows of each change."""
    (tmp_path / "train_images").mkdir()
    Image.new("RGB", (80, 60)).save(tmp_path / "train_images/1.png")
    raw = raw.of_images([1])
    checks = check_images(raw.images, ImageFolder(tmp_path / "train_images"))
    _, audit = clean(raw, checks, Cleaning.model_validate(rules))
    holdings = holdings_of(tmp_path, train__raw_annotations=raw, train__image_checks=checks)
    shown = cleaning._Changes(page(holdings, "/cleaning"), "train", audit)
    return list(map(shown.tile, audit.index, audit.to_dict("records")))


def test_what_cleaning_moved_is_shown_where_its_image_shows_it(annotations, tmp_path):
    image, moved = changes(annotations, tmp_path, image_size="rescale")
    for tile in (image, moved):
        assert (tile.width, tile.height) == (80, 60)
        assert [shape.box for shape in tile.shapes] == [[4, 4, 24, 24]] * len(tile.shapes)


def test_what_was_added_and_then_corrected_is_shown(annotations, tmp_path):
    one = {"file_name": "1.png", "category": "Metal", "box": [10, 5, 30, 15]}
    entries = [one | {"add": True}, one | {"new_category": "Paper"}]
    *_, added, corrected = changes(
        annotations, tmp_path, image_size="rescale", correct_annotations={"corrections": entries}
    )
    assert [len(tile.shapes) for tile in (added, corrected)] == [1, 2]
    assert corrected.lines[0] == "Metal → Paper"


def test_candidates_of_all_tasks_come_before_those_of_one(tmp_path):
    tables = {"label_errors": LABEL_ERRORS.empty(), "seg__label_errors": LABEL_ERRORS.empty()}
    holdings = holdings_of(tmp_path, **tables)
    assert label_errors.tables_of(holdings) == ["label_errors", "seg.label_errors"]


def test_candidates_of_images_that_have_another_id_now_are_not_shown(annotations, tmp_path):
    rows = annotations.annotations.assign(quality=0.1, kind="spurious", category="", models="")
    table = candidates(annotations, rows)

    def shown(images):
        now = ImageSet("train", replace(annotations, images=images), ImageFolder(tmp_path))
        return label_errors.on_their_images(now, table)["file_name"].tolist()

    images = annotations.images
    assert shown(images) == ["1.png", "2.png", "2.png"]
    assert shown(images.assign(file_name=["1.png", "3.png", "2.png"])) == ["1.png"]
    assert shown(images[1:]) == ["2.png", "2.png"]


@pytest.fixture
def predicted(annotations: Annotations, tmp_path: Path) -> Predicted:
    """Nothing is found but what is not there, on the first image."""
    box = {"image_id": 1, "category_id": 7, "score": 0.9, "x_min": 20.0, "y_min": 20.0}
    found = Detections(pd.DataFrame([{**box, "x_max": 30.0, "y_max": 28.0}]))
    side = Side("det.yolox", "det", "yolox", None, {TEST: annotations}, {TEST: [found]})
    images = ImageSet("det.yolox", annotations, ImageFolder(tmp_path))
    return Predicted(("det.yolox",), (side,), TEST, images)


def opened(tmp_path: Path, predicted: Predicted, link: str) -> str:
    """The mistakes that a link leads to, and what stands above them."""
    view = page(holdings_of(tmp_path), link)
    by = mistakes._by_overlap if view.address.text("order") == "iou" else mistakes._by_loss
    return str(by(view, predicted, 0.3))


@pytest.mark.parametrize(
    ("asked", "n"),
    [
        ("", 3),
        ("&kind=false+positive", 1),
        ("&kind=miss", 2),
        ("&size=small", 2),
        ("&true=Metal", 1),
    ],
)
def test_images_by_iou_are_those_with_a_mistake_that_is_asked_for(predicted, tmp_path, asked, n):
    html = opened(tmp_path, predicted, f"/mistakes?order=iou{asked}")
    assert f"{n} images" in html


@pytest.mark.parametrize("asked", ["", "order=iou&size=large&true=Paper&said=nothing"])
def test_a_count_of_mistakes_opens_as_many(predicted, tmp_path, asked):
    html = opened(tmp_path, predicted, f"/mistakes?{asked}")
    cells = re.findall(r'href="(/mistakes[^"]*)"[^>]*>([1-9])<', html)
    assert len(cells) == 3  # Paper and Metal are missed, Metal is seen where nothing is
    for link, count in cells:
        assert f"{count} mistakes" in opened(tmp_path, predicted, unescape(link))


def test_a_kind_of_mistakes_opens_as_many_as_it_counts(predicted, tmp_path):
    html = opened(tmp_path, predicted, "/mistakes?order=iou&true=Paper&said=nothing")
    kinds = re.findall(r'href="(/mistakes[^"]*)"[^>]*>[a-z ]+: ([1-9])<', html)
    assert [count for _, count in kinds] == ["1", "3"]
    for link, count in kinds:
        assert f"{count} mistakes" in opened(tmp_path, predicted, unescape(link))


def test_a_large_group_says_how_many_of_it_are_shown_and_where_the_others_are(tmp_path):
    rows = pd.DataFrame({"image_id": range(1, 61)})
    table = rows.assign(file_name=rows["image_id"].astype(str), width=4, height=4)
    many = Annotations(
        IMAGES.conform(table.assign(group="a", extra=None), where="images"),
        ANNOTATIONS.empty(),
        CATEGORIES.empty(),
    )
    view = page(holdings_of(tmp_path, train__annotations=many), "/groups")
    ids = list(range(1, 61))
    html = groups._group(view, view.image_set(), "a", ids, dict.fromkeys(ids, 0))
    assert "group a: 60 images, fold 0, the first 48 of them" in html
    opened = page(view.holdings, unescape(re.findall(r'<a href="(.*?)">show all', html)[0]))
    assert len(data.filtered_images(opened, opened.image_set())) == 60
    few = groups._group(view, view.image_set(), "a", ids[:3], {})
    assert "<h2>group a: 3 images</h2>" in few


def test_the_list_that_an_image_leads_back_to_is_the_one_that_it_was_opened_from(truth, tmp_path):
    holdings = holdings_of(tmp_path, train__annotations=truth)
    listed = "/?set=train.annotations&show=annotations&order=largest&page=2"
    link = data._link_that_keeps_filters(page(holdings, listed))(1, 1)
    view = page(holdings, link)
    assert image._links(view, view.image_set(), 1, [1])["back"] == listed
