"""Where a network looked for one prediction."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from backends.tiny_trainings import images_of, train
from recycling.annotations import BOX, LabeledImages
from recycling.backends import BackendError, Checkpoint, Images, backend_for
from recycling.backends.shared.activation_maps import METHODS, Asked

pytest.importorskip("torch")

BACKENDS = ("mmpretrain", "mmdet", "mmseg")


@pytest.fixture(scope="module")
def trained(
    pictures: LabeledImages, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Checkpoint]:
    folder = tmp_path_factory.mktemp("trained")
    found = {name: train(name, pictures, folder / name) for name in BACKENDS}
    _never_says_background(found["mmseg"])
    return found


def _never_says_background(checkpoint: Checkpoint) -> None:
    """After one epoch a segmenter says nothing else: its bias is moved."""
    import torch

    weights = torch.load(checkpoint.weights, weights_only=True)
    weights["decode_head.conv_seg.bias"][0] -= 100
    torch.save(weights, checkpoint.weights)


def one_image(pictures: LabeledImages, backend: str) -> Images:
    """The first image, with the crop of its first annotation where crops are asked about."""
    whole = images_of(pictures)
    crops = None if backend != "mmpretrain" or whole.crops is None else whole.crops.iloc[:1]
    return replace(whole, table=whole.table.iloc[:1], crops=crops)


def asked_of(backend: str, trained: dict[str, Checkpoint], images: Images) -> Asked:
    """Something that the network predicts on the image."""
    found: Any = backend_for(backend).predict(trained[backend], images)
    if backend == "mmpretrain":
        assert images.crops is not None
        box = images.crops[BOX].iloc[0]
        return Asked(int(found.iloc[0, 1:].to_numpy().argmax()), tuple(map(float, box)))
    image = images.table.iloc[0]
    if backend == "mmseg":
        label_map = found[int(image["image_id"])]
        values, counts = np.unique(label_map[label_map > 0], return_counts=True)
        value = int(values[counts.argmax()])
        rows, columns = np.nonzero(label_map == value)
        corners = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        return Asked(value - 1, tuple(map(float, corners)))
    best = found.sort_values("score", ascending=False).iloc[0]
    names = trained[backend].facts["categories"]
    index = [int(each["category_id"]) for each in names].index(int(best["category_id"]))
    return Asked(index, tuple(float(best[edge]) for edge in BOX))


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_method_gives_a_map_of_what_the_network_saw(backend, trained, pictures):
    images = one_image(pictures, backend)
    asked = asked_of(backend, trained, images)
    maps = {}
    for method in METHODS:
        found = backend_for(backend).explain(trained[backend], images, asked, method)
        assert found.heat.shape == found.seen.shape[:2]
        assert found.seen.dtype == np.uint8
        assert 0 <= found.heat.min() <= found.heat.max() <= 1
        maps[method] = found.heat
    assert maps["grad_cam"].max() > 0
    assert not np.array_equal(maps["grad_cam"], maps["eigen_cam"])


def test_each_box_has_a_map_of_its_own(trained, pictures):
    images = one_image(pictures, "mmdet")
    boxes = backend_for("mmdet").predict(trained["mmdet"], images)
    names = [int(each["category_id"]) for each in trained["mmdet"].facts["categories"]]
    left, right = boxes.loc[[boxes["x_min"].idxmin(), boxes["x_max"].idxmax()]].to_dict("records")
    maps = []
    for row in (left, right):
        asked = Asked(names.index(row["category_id"]), tuple(row[edge] for edge in BOX))
        maps.append(backend_for("mmdet").explain(trained["mmdet"], images, asked).heat)
    assert not np.array_equal(*maps)


def test_predictions_are_the_same_after_a_model_was_asked(trained, pictures):
    images = one_image(pictures, "mmdet")
    before = backend_for("mmdet").predict(trained["mmdet"], images)
    asked = asked_of("mmdet", trained, images)
    backend_for("mmdet").explain(trained["mmdet"], images, asked)
    after = backend_for("mmdet").predict(trained["mmdet"], images)
    assert before.equals(after)


def test_what_is_not_predicted_is_said_in_one_line(trained, pictures):
    images = one_image(pictures, "mmdet")
    nowhere = Asked(0, (0.0, 0.0, 0.5, 0.5))
    with pytest.raises(BackendError, match="does not predict that box; choose another"):
        backend_for("mmdet").explain(trained["mmdet"], images, nowhere)


def test_pixels_of_an_image_that_is_not_square_are_those_of_the_box():
    """Of an image of 64 x 32 in an input of 64 x 64 the right half is border."""
    import torch

    from recycling.backends.mmengine_backend.activation_maps import _pixel_score

    sample = SimpleNamespace(metainfo={"ori_shape": (128, 64), "img_shape": (64, 32)})

    class RowsAndColumns:
        """Says class 1 of the lowest quarter of the image, and of all that is border."""

        def inference(self, inputs, metas):
            logits = torch.zeros(1, 2, 32, 32)
            logits[:, 1, 24:, :16] = 5
            logits[:, 1, :, 16:] = 1
            return logits

    inputs = torch.zeros(1, 3, 64, 64)
    asked = Asked(0, (0.0, 100.0, 60.0, 128.0))
    assert float(_pixel_score(RowsAndColumns(), [sample], asked)(inputs)) == pytest.approx(5)
    above = Asked(0, (0.0, 0.0, 60.0, 60.0))
    with pytest.raises(BackendError, match="does not give these pixels that class"):
        _pixel_score(RowsAndColumns(), [sample], above)(inputs)
