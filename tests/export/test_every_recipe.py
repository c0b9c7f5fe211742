"""Each recipe is exported and predicts the same, or says in a line why not."""

from __future__ import annotations

import pytest

from backends.tiny_trainings import draw_pictures
from export.untrained import EVERY, parity_of

NEEDS = {
    "mmdet/d_fine": "transformers",
    "mmdet/efficientdet": "effdet",
    "mmdet/grounding_dino": "transformers",
    "mmdet/yolov5": "ultralytics",
}
"""The optional libraries, by how the names of their recipes begin."""


QUICK = {"mmdet/rtmdet_tiny"}
"""Of a head of detectors that no other quick test exports."""

TOO_DEEP = {"mmpretrain/efficientnet_b5", "mmdet/rtmdet_l", "mmdet/yolox_x"}
"""Untrained, they enlarge what is rounded until the library contradicts itself; smaller ones of
their families do not."""

CASES = [pytest.param(each, marks=() if each in QUICK else pytest.mark.slow) for each in EVERY]


@pytest.mark.parametrize("name", CASES)
def test_a_recipe_is_exported_and_predicts_the_same_or_says_why_not(name, tmp_path):
    for prefix, library in NEEDS.items():
        if name.startswith(prefix):
            pytest.importorskip(library)
    said = parity_of(name, draw_pictures(tmp_path / "pictures"), tmp_path)
    assert "something else" not in said
    assert "cannot be told" not in said or name in TOO_DEEP
    assert "\n" not in said
    assert not said.startswith("0 compared")
