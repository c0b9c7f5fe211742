"""Annotations that are added to others."""

from __future__ import annotations

import pytest

from recycling.annotations import AnnotationError, Annotations, from_coco, joined

GLASS = {"id": 1, "name": "Glass"}


def annotated(*images: tuple[int, str]) -> Annotations:
    """Images with a box each."""
    entries = [{"id": n, "file_name": name, "width": 8, "height": 6} for n, name in images]
    boxes = [
        {"id": row, "image_id": n, "category_id": 1, "bbox": [0, 0, row, 2]}
        for row, (n, _) in enumerate(images, 1)
    ]
    return from_coco({"images": entries, "annotations": boxes, "categories": [GLASS]}, where="it")


def test_an_id_that_no_float_holds_stays_itself() -> None:
    large = 2**53 + 1
    both = joined(annotated((large, "a.jpg")), annotated((1, "b.jpg"), (2, "a.jpg")))
    assert both.images["image_id"].tolist() == [large, large + 1]
    assert both.annotations["image_id"].tolist() == [large + 1, large]


@pytest.mark.parametrize(
    "names", [("a.jpg", "A.JPG"), ("new.jpg", "new.jpg"), ("a.jpg", "./a.jpg")]
)
def test_two_entries_of_one_image_are_refused(names: tuple[str, str]) -> None:
    with pytest.raises(AnnotationError, match="are one image; keep one") as error:
        joined(annotated((5, "a.jpg")), annotated((1, names[0]), (2, names[1])))
    assert all(name in str(error.value) for name in names)
