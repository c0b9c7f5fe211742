"""Crops whose label is a probability of each class."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backends.loaded_trainings import samples_of
from backends.tiny_trainings import draw_pictures, train
from recycling.annotations import LabeledImages
from recycling.backends import BackendError
from recycling.backends.losses import LOSSES

pytest.importorskip("mmpretrain")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> LabeledImages:
    return draw_pictures(tmp_path_factory.mktemp("pictures"))


def with_probabilities(drawn: LabeledImages, probabilities: Any) -> LabeledImages:
    """The first annotation, a box, with probabilities."""
    rows = drawn.annotations.annotations.copy()
    rows.loc[0, "extra"] = json.dumps({"probabilities": probabilities, "note": 1})
    return replace(drawn, annotations=replace(drawn.annotations, annotations=rows))


def test_annotations_with_probabilities_are_learnt_as_soft_labels(
    drawn: LabeledImages, tmp_path: Path
) -> None:
    soft = with_probabilities(drawn, {"box": 0.75, "disc": 0.25})
    config, data = samples_of("mmpretrain", soft, tmp_path)
    scores = [data[number]["data_samples"].gt_score.tolist() for number in range(3)]
    assert scores == [[0.75, 0.25], [0.0, 1.0], [1.0, 0.0]]
    assert not config.model.head.get("cal_acc")


def test_hard_labels_stay_the_default(drawn: LabeledImages, tmp_path: Path) -> None:
    _, data = samples_of("mmpretrain", drawn, tmp_path)
    assert "gt_score" not in data[0]["data_samples"]


def test_a_training_learns_the_probabilities(drawn: LabeledImages, tmp_path: Path) -> None:
    """The cross-entropy of a head that says nothing is that of its scores with the shares."""
    import torch
    from mmengine.registry import MODELS

    soft = with_probabilities(drawn, {"box": 0.75, "disc": 0.25})
    config, data = samples_of("mmpretrain", soft, tmp_path / "look")
    sample = data[0]["data_samples"]
    from recycling.backends.mmengine_backend import session

    with session.library("mmpretrain"):
        head = MODELS.build(config.model.head)
    scores = torch.tensor([[2.0, -1.0]])
    loss = head._get_loss(scores, [sample])["loss"]
    expected = -(torch.tensor([0.75, 0.25]) * scores[0].log_softmax(dim=0)).sum()
    assert float(loss) == pytest.approx(float(expected), rel=1e-5)
    train("mmpretrain", soft, tmp_path / "run", augmentation=["mixup"])


@pytest.mark.parametrize("loss", ["asymmetric", "f1", "focal"])
def test_a_loss_takes_them_or_is_refused(loss: str, drawn: LabeledImages, tmp_path: Path) -> None:
    soft = with_probabilities(drawn, {"box": 0.75, "disc": 0.25})
    if LOSSES[loss].thing.soft_labels:
        samples_of("mmpretrain", soft, tmp_path, loss=loss)
        return
    with pytest.raises(BackendError, match="loss 'asymmetric' takes one class a crop") as error:
        samples_of("mmpretrain", soft, tmp_path, loss=loss)
    assert "choose cross_entropy or f1 or focal" in str(error.value)


@pytest.mark.parametrize(
    ("probabilities", "said"),
    [
        ({"box": 0.75, "dics": 0.25}, "no category 'dics'; there are box, disc"),
        ({"box": 0.75}, "add up to 0.75; make them add up to 1"),
        ({"box": 1.75, "disc": -0.75}, "give each category a number, 0 to 1"),
        ([0.75, 0.25], "give each category a number, 0 to 1"),
    ],
)
def test_what_are_no_probabilities_is_one_line(
    probabilities: Any, said: str, drawn: LabeledImages, tmp_path: Path
) -> None:
    with pytest.raises(BackendError, match=said) as error:
        samples_of("mmpretrain", with_probabilities(drawn, probabilities), tmp_path)
    assert str(error.value).startswith("training annotations: annotation 1: probabilities")
    assert "\n" not in str(error.value)
