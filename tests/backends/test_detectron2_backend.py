"""detectron2 behind the seam: trained for a few iterations, for real, where it is installed."""

from __future__ import annotations

import json
import logging
import shutil
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from backends.rectangles import (
    HEIGHT,
    RECIPE,
    WIDTH,
    changed,
    data_of,
    images_of,
    rectangles,
    settings_of,
    train,
    weights_of,
)
from recycling.annotations import BOX, Annotations, LabeledImages
from recycling.backends import BackendError, Checkpoint, Images, backend_for, is_installed
from recycling.backends.shared.activation_maps import METHODS, Asked

if not is_installed("detectron2"):
    pytest.skip(
        "detectron2 is not installed; "
        "https://detectron2.readthedocs.io/en/latest/tutorials/install.html",
        allow_module_level=True,
    )


@pytest.fixture(scope="module")
def part(tmp_path_factory: pytest.TempPathFactory) -> LabeledImages:
    return rectangles(tmp_path_factory.mktemp("pictures") / "a", seed=0)


@pytest.fixture(scope="module")
def trained(part: LabeledImages, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return train(tmp_path_factory.mktemp("work") / "model", data_of(part))


def test_a_checkpoint_says_what_it_is_and_holds_plain_weights(trained: Checkpoint) -> None:
    facts = json.loads((trained.folder / "checkpoint.json").read_text())
    assert facts["model"] == settings_of().model_dump(mode="json")
    assert facts["categories"] == [
        {"category_id": 5, "name": "Paper"},
        {"category_id": 7, "name": "Metal"},
    ]
    assert facts["iterations"] == 4
    assert facts["last_loss"] > 0
    assert len(facts["training_sha256"]) == 64
    assert weights_of(trained)
    assert (trained.folder / "config.yaml").is_file()
    assert [path.name for path in trained.folder.parent.glob("*.unfinished")] == []


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(
    part: LabeledImages, trained: Checkpoint, tmp_path: Path
) -> None:
    import torch

    first, again = weights_of(trained), weights_of(train(tmp_path / "again", data_of(part)))
    other = weights_of(train(tmp_path / "other", data_of(part), seed=1))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_detections_lie_inside_the_pictures_and_carry_the_categories_ids(
    part: LabeledImages, trained: Checkpoint
) -> None:
    backend = backend_for("detectron2")
    detections = backend.predict(trained, images_of(part))
    assert isinstance(detections, pd.DataFrame)
    assert len(detections) > 0
    assert set(detections["category_id"]) <= {5, 7}
    assert set(detections["image_id"]) <= {1, 2, 3, 4}
    assert detections["x_min"].min() >= 0
    assert detections["y_min"].min() >= 0
    assert detections["x_max"].max() <= WIDTH
    assert detections["y_max"].max() <= HEIGHT
    # In the original pictures' pixels: the network saw them two thirds as large.
    assert detections["x_max"].max() > 64
    pd.testing.assert_frame_equal(detections, backend.predict(trained, images_of(part)))


def test_a_picture_gets_the_same_boxes_whatever_stands_beside_it(
    part: LabeledImages, trained: Checkpoint
) -> None:
    backend = backend_for("detectron2")
    together = backend.predict(trained, images_of(part))
    alone = Images(part.annotations.images.iloc[[2]], part.folder)
    assert isinstance(together, pd.DataFrame)
    pd.testing.assert_frame_equal(
        together[together["image_id"] == 3].reset_index(drop=True),
        backend.predict(trained, alone),
    )


def test_a_detector_is_asked_where_it_looked_and_predicts_as_before(
    part: LabeledImages, trained: Checkpoint
) -> None:
    backend = backend_for("detectron2")
    image = Images(part.annotations.images.iloc[[2]], part.folder)
    before = backend.predict(trained, image)
    surest = before.sort_values("score").iloc[-5:]
    edges = surest[BOX].astype(float).itertuples(index=False, name=None)
    places = map([5, 7].index, surest["category_id"])
    asked = [Asked(place, own) for place, own in zip(places, edges, strict=True)]
    maps = {
        method: [backend.explain(trained, image, each, method) for each in asked]
        for method in METHODS
    }
    for found in chain.from_iterable(maps.values()):
        assert found.heat.shape == found.seen.shape[:2]
        assert 0 <= found.heat.min() <= found.heat.max() <= 1
    # A box of the coarsest level has a map of one place, which may speak against it.
    pairs = zip(maps["grad_cam"], maps["eigen_cam"], strict=True)
    assert any(by.heat.max() > 0 and not np.array_equal(by.heat, of.heat) for by, of in pairs)
    pd.testing.assert_frame_equal(before, backend.predict(trained, image))
    nowhere = Asked(0, (0.0, 0.0, 0.5, 0.5))
    with pytest.raises(BackendError, match="does not predict that box; choose another"):
        backend.explain(trained, image, nowhere)


def test_no_image_gives_no_detections(part: LabeledImages, trained: Checkpoint) -> None:
    none = Images(part.annotations.images.iloc[:0], part.folder)
    detections = backend_for("detectron2").predict(trained, none)
    assert isinstance(detections, pd.DataFrame)
    assert detections.empty


def test_a_trained_detector_finds_what_it_was_shown(part: LabeledImages, tmp_path: Path) -> None:
    optimizer = {"name": "AdamW", "learning_rate": 3e-3, "clip_grad_norm": 5.0}
    checkpoint = train(
        tmp_path / "work", data_of(part), epochs=60, batch_size=4, optimizer=optimizer
    )
    history = (tmp_path / "work" / "metrics.json").read_text().splitlines()
    losses = [json.loads(line)["total_loss"] for line in history]
    assert len(losses) == 3
    assert losses[-1] < losses[0]
    detections = backend_for("detectron2").predict(checkpoint, images_of(part))
    assert isinstance(detections, pd.DataFrame)
    surest = detections.sort_values("score").groupby(["image_id", "category_id"]).last()
    truth = part.annotations.annotations.set_index(["image_id", "category_id"])
    assert len(surest) == len(truth)
    distance = (surest[BOX] - truth.loc[surest.index, BOX]).abs().to_numpy()
    assert distance.mean() < 4


def test_parts_may_share_image_ids_and_crowds_are_left_out(
    part: LabeledImages, tmp_path: Path
) -> None:
    other = rectangles(tmp_path / "b", seed=1, n_images=2)
    crowd = part.annotations.annotations["image_id"] == 1
    table = part.annotations.annotations.assign(iscrowd=crowd)
    whole = part.annotations
    first = LabeledImages(Annotations(whole.images, table, whole.categories), part.folder)
    checkpoint = train(tmp_path / "work", data_of(first, other), epochs=1)
    # Image 1 of the first part is a crowd only; 3 of its images and both of the other stay.
    assert json.loads((checkpoint.folder / "checkpoint.json").read_text())["n_samples"] == 5


def test_masks_are_learnt_where_the_model_has_them(part: LabeledImages, tmp_path: Path) -> None:
    options = {"MODEL.DEVICE": "cpu", "MODEL.MASK_ON": True}
    checkpoint = train(tmp_path / "work", data_of(part), epochs=1, options=options)
    assert any("mask_head" in name for name in weights_of(checkpoint))
    boxes_only = changed(part, segmentation=None)
    with pytest.raises(BackendError, match="annotation 1 on image 1 has no mask"):
        train(tmp_path / "other", data_of(boxes_only), options=options)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"name": "constant"}, (1.0, 1.0, 1.0)),
        ({"name": "poly"}, (1.0, 0.5**0.9, 0.01**0.9)),
        ({"name": "poly", "power": 2.0, "lowest": 0.2}, (1.0, 0.8 * 0.25 + 0.2, 0.2)),
        ({"name": "cosine", "lowest": 0.5}, (1.0, 0.75, 0.5)),
        ({"name": "cosine_restarts", "restarts": 1}, (1.0, 1.0, 0.0)),
        ({"name": "step"}, (1.0, 1.0, 0.01)),
        ({"name": "step", "milestones": [0.3, 0.7], "factor": 0.5}, (1.0, 0.5, 0.25)),
    ],
)
def test_the_learning_rate_follows_the_schedule(
    settings: dict[str, Any], expected: tuple[float, float, float]
) -> None:
    from recycling.backends.detectron2_backend import session
    from recycling.backends.detectron2_backend.resolve import resolve
    from recycling.backends.detectron2_backend.schedule import build_curve

    model = settings_of(schedule={"warmup": 0.0, **settings})
    warm = settings_of(schedule={"warmup": 0.2, **settings})
    with session.library():
        config = resolve(model, RECIPE, 2)
        curve, warmed = build_curve(model.schedule, config), build_curve(warm.schedule, config)
    assert (curve(0.0), curve(0.5), curve(0.99)) == pytest.approx(expected, abs=2e-3)
    assert warmed(0.0) == pytest.approx(0.01)
    # After the warm-up comes the whole curve; the milestones of steps stay where they are.
    half = 0.5 if settings["name"] == "step" else 0.6
    assert (warmed(half), warmed(0.99)) == pytest.approx(expected[1:], abs=2e-2)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "NAdam", "RAdam"])
def test_the_optimiser_is_the_one_asked_for(name: str) -> None:
    import torch

    from recycling.backends.detectron2_backend import schedule as schedules
    from recycling.backends.detectron2_backend import session
    from recycling.backends.detectron2_backend.resolve import resolve

    optimizer = {"name": name, "learning_rate": 0.5, "weight_decay": 0.0, "clip_grad_norm": 1e-3}
    model = settings_of(optimizer=optimizer)
    network = torch.nn.Linear(3, 2)
    with session.library():
        built = schedules.build_optimizer(model, resolve(model, RECIPE, 2), network)
    assert type(built) is getattr(torch.optim, name)
    network(torch.full((1, 3), 1e6)).sum().backward()
    built.step()
    norm = torch.nn.utils.get_total_norm([p.grad for p in network.parameters()])
    assert float(norm) == pytest.approx(1e-3, rel=1e-3)


def test_training_goes_on_from_a_checkpoint(
    part: LabeledImages, trained: Checkpoint, tmp_path: Path
) -> None:
    still = {"name": "SGD", "learning_rate": 1e-12, "weight_decay": 0.0}
    further = train(
        tmp_path / "work", data_of(part), pretrained=str(trained.folder), epochs=1, optimizer=still
    )
    before, after = weights_of(trained), weights_of(further)
    name = "roi_heads.box_predictor.cls_score.weight"
    np.testing.assert_allclose(after[name].numpy(), before[name].numpy(), atol=1e-8)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"precision": "bf16", "options": {"MODEL.DEVICE": "cpu"}}, "bf16 needs a GPU; use fp32"),
        ({"options": {"MODEL.DEVICE": "mps"}}, "'mps' is not supported; use cpu or cuda"),
        ({"options": {"SOLVER.BASE_LR": 1.0}}, "decided by optimizer.learning_rate; remove it"),
        ({"options": {"TEST.AUG.ENABLED": True}}, "'TEST.AUG.ENABLED' would have no effect"),
        ({"options": {"MODEL.RPN.NO_SUCH": 1}}, "option 'MODEL.RPN.NO_SUCH' cannot be 1"),
        ({"options": {"MODEL.KEYPOINT_ON": True}}, "KEYPOINT_ON needs more than the annotations"),
        ({"options": {"MODEL.META_ARCHITECTURE": "SemanticSegmentor"}}, "not known to give boxes"),
        (
            {"options": {"DATALOADER.SAMPLER_TRAIN": "WeightedTrainingSampler"}},
            "decided by sampler.name",
        ),
        ({"pretrained": "default"}, "the recipe names no MODEL.WEIGHTS"),
        ({"pretrained": "no/such.pth"}, "pretrained: no/such.pth: no such file"),
    ],
)
def test_a_setting_that_cannot_be_honoured_is_one_line(
    part: LabeledImages, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(BackendError, match=message) as caught:
        train(tmp_path / "work", data_of(part), **changes)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "work" / "checkpoint").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("_BASE_: detectron2::COCO-Detection/none.yaml\n", "ships no config"),
        ("MODEL: {NO_SUCH: 1}\n", "NO_SUCH"),
        ("SOLVER: {BASE_LR: 1.0}\n", "decided by optimizer.learning_rate"),
        ("- a list\n", "should hold keys"),
        ("MODEL: {\n", "cannot be read"),
    ],
)
def test_a_bad_recipe_is_one_line(
    part: LabeledImages, tmp_path: Path, text: str, message: str
) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(text)
    with pytest.raises(BackendError, match=message) as caught:
        train(tmp_path / "work", data_of(part), recipe)
    assert str(caught.value).startswith(str(recipe))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"category_id": 99}, "annotation 1 on image 1 is of a category"),
        ({"x_max": -5.0}, "annotation 1 on image 1 has a box of no area"),
    ],
)
def test_an_annotation_that_cannot_be_learnt_is_named(
    part: LabeledImages, tmp_path: Path, columns: dict[str, Any], message: str
) -> None:
    with pytest.raises(BackendError, match=message):
        train(tmp_path / "work", data_of(changed(part, **columns)))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_picture_that_is_cut_off_is_named(tmp_path: Path, workers: int) -> None:
    part = rectangles(tmp_path / "pictures", seed=0, n_images=2)
    victim = tmp_path / "pictures" / "2.png"
    victim.write_bytes(victim.read_bytes()[:400])
    with pytest.raises(BackendError, match=r"2\.png: cannot be read as an image: ") as caught:
        train(tmp_path / "work", data_of(part), workers=workers)
    assert str(caught.value).startswith(str(victim))
    assert "\n" not in str(caught.value)
    victim.unlink()
    with pytest.raises(BackendError, match=r"2\.png: no such file; check the image folder"):
        train(tmp_path / "work", data_of(part))


def test_a_loss_that_is_no_number_stops_the_training(part: LabeledImages, tmp_path: Path) -> None:
    wild = {"name": "SGD", "learning_rate": 1e30}
    with pytest.raises(BackendError, match="work: the loss is no number at iteration"):
        train(tmp_path / "work", data_of(part), optimizer=wild, schedule={"warmup": 0.0})
    assert not (tmp_path / "work" / "checkpoint").exists()


def test_a_damaged_checkpoint_is_named(
    part: LabeledImages, trained: Checkpoint, tmp_path: Path
) -> None:
    copy = Checkpoint(shutil.copytree(trained.folder, tmp_path / "checkpoint"))
    (copy.folder / "weights.pth").write_bytes(b"no weights")
    with pytest.raises(BackendError, match=r"checkpoint: cannot be used: ") as caught:
        backend_for("detectron2").predict(copy, images_of(part))
    assert "\n" not in str(caught.value)
    (copy.folder / "weights.pth").unlink()
    with pytest.raises(BackendError, match=r"no weights\.pth; train the model again"):
        backend_for("detectron2").predict(copy, images_of(part))


def test_a_network_that_the_memory_is_too_small_for_is_told_as_that(
    part: LabeledImages, trained: Checkpoint, tmp_path: Path
) -> None:
    copy = Checkpoint(shutil.copytree(trained.folder, tmp_path / "checkpoint"))
    config = (copy.folder / "config.yaml").read_text()
    (copy.folder / "config.yaml").write_text(config.replace("FC_DIM: 256", f"FC_DIM: {10**12}"))
    with pytest.raises(BackendError, match="checkpoint: out of memory while predicting") as caught:
        backend_for("detectron2").predict(copy, images_of(part))
    assert "cannot be used" not in str(caught.value)


def test_the_library_keeps_quiet_and_its_log_is_kept(
    part: LabeledImages, trained: Checkpoint, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    backend_for("detectron2").predict(trained, images_of(part))
    assert caplog.records == []
    assert "Starting training" in (trained.folder.parent / "train.log").read_text()
