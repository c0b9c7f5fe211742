"""Train and test mean the same by a category, whatever order their files list them in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from recycling.annotations import (
    ANNOTATIONS,
    CATEGORIES,
    AnnotationError,
    Annotations,
    from_coco,
)
from recycling.annotations.same_categories import with_categories_of
from recycling.pipelines import data_cleaning
from recycling.pipelines.ensembling import submitter
from recycling.predictions import DETECTIONS, BoxFormat


def _named(annotations: Annotations, names: dict[int, str]) -> Annotations:
    table = pd.DataFrame({"category_id": list(names), "name": list(names.values())})
    table = CATEGORIES.conform(table.assign(supercategory="", extra=None), where="categories")
    ids = pd.Series(list(names)).sample(len(annotations.annotations), replace=True, random_state=0)
    rows = annotations.annotations.assign(category_id=ids.to_numpy())
    return replace(annotations, annotations=rows, categories=table)


def _names_of(annotations: Annotations) -> list[str]:
    names = annotations.categories.set_index("category_id")["name"]
    return annotations.annotations["category_id"].map(names).tolist()


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ({9: "Metal", 5: "Paper", 7: "Glass"}, "in another order: mapped by name, 0 annotations"),
        ({1: "Metal", 2: "Paper", 3: "Glass"}, "3 with another id (Metal 1 -> 9, Paper 2 -> 5, "),
        ({9: "Metal", 5: "Paper"}, "2 of 3: mapped by name, 0 annotations renumbered"),
        ({7: "Me\u0301tal ", 5: "Paper"}, None),
    ],
    ids=["another order", "other ids", "fewer", "unknown"],
)
def test_categories_are_mapped_by_name_and_that_is_said(
    names: dict[int, str],
    said: str | None,
    annotations: Annotations,
    caplog: pytest.LogCaptureFixture,
) -> None:
    train = _named(annotations, {5: "Paper", 9: "Metal", 7: "Glass"})
    test = _named(annotations, names)
    if said is None:
        with pytest.raises(AnnotationError, match=r"test: 'M.*tal ' \(near 'Metal'\): not among"):
            with_categories_of(train, test, "test")
        return
    mapped = with_categories_of(train, test, "test")
    assert _names_of(mapped) == _names_of(test)
    assert mapped.categories.equals(train.categories)
    (line,) = caplog.messages
    assert line.startswith("test: its categories are those of train, ")
    assert said in line


def test_names_that_look_alike_are_alike(annotations: Annotations) -> None:
    train = _named(annotations, {5: "Me\u0301tal"})
    mapped = with_categories_of(train, _named(annotations, {1: "M\u00e9tal "}), "test")
    assert set(mapped.annotations["category_id"]) == {5}


def test_a_part_without_labels_and_categories_has_those_of_train(annotations: Annotations) -> None:
    nothing = replace(annotations, annotations=ANNOTATIONS.empty(), categories=CATEGORIES.empty())
    test = with_categories_of(annotations, nothing, "test")
    assert test.categories.equals(annotations.categories)
    boxes = pd.DataFrame([[1, 5, 0.5, 2, 2, 12, 12]], columns=DETECTIONS.names)
    submission = submitter("det")(boxes, test, BoxFormat.model_validate({}))
    assert submission["PredictionString"].tolist() == ["0 0.5 2 2 12 12", "", ""]


def test_labels_without_categories_are_not_taken_for_those_of_train(
    annotations: Annotations, document: dict[str, Any]
) -> None:
    with pytest.raises(AnnotationError, match="category"):
        from_coco({**document, "categories": []}, where="test.json")
    nameless = replace(annotations, categories=CATEGORIES.empty())
    assert with_categories_of(annotations, nameless, "test").categories.empty  # saving refuses it


def test_the_test_part_is_mapped_or_refused_before_anything_is_trained() -> None:
    pipeline = data_cleaning.create_pipeline()
    for part in ("test", "pool"):
        (node,) = [n for n in pipeline.nodes if n.name == f"cleaning.{part}.clean_annotations"]
        assert "train.annotations" in node.inputs
