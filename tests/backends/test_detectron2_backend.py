"""detectron2 behind the seam: trained for a few iterations, for real, where it is installed."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest

from recycling.annotations import (
    ANNOTATIONS,
    BOX,
    CATEGORIES,
    IMAGES,
    Annotations,
    ImageFolder,
    LabeledImages,
)
from recycling.backends import (
    BackendError,
    Checkpoint,
    Images,
    Model,
    Recipes,
    TrainingData,
    backend_for,
    is_installed,
)

if not is_installed("detectron2"):
    pytest.skip(
        "detectron2 is not installed; "
        "https://detectron2.readthedocs.io/en/latest/tutorials/install.html",
        allow_module_level=True,
    )

RECIPE = Recipes(Path(__file__).parents[2] / "conf" / "recipes").find(
    "detectron2", "faster_rcnn_r50_narrow"
)
WIDTH, HEIGHT = 96, 64


def _model(**changes: Any) -> Model:
    settings = {
        "task": "det",
        "backend": "detectron2",
        "recipe": RECIPE.stem,
        "image_size": 64,
        "epochs": 2,
        "batch_size": 2,
        "optimizer": {"name": "AdamW", "learning_rate": 1e-3, "clip_grad_norm": 5.0},
        "options": {"MODEL.DEVICE": "cpu"},
        **changes,
    }
    return Model.model_validate(settings)


def _part(folder: Path, seed: int, n_images: int = 4, first_id: int = 1) -> LabeledImages:
    """Rectangles on noise: dark ones are Paper (id 5), light ones Metal (id 7)."""
    folder.mkdir()
    rng = np.random.default_rng(seed)
    rows = []
    for image_id in range(first_id, first_id + n_images):
        picture = rng.integers(100, 150, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        for category_id, grey in ((5, 20), (7, 235)):
            x, y = (int(value) for value in rng.integers(0, (WIDTH - 30, HEIGHT - 30)))
            picture[y : y + 24, x : x + 28] = grey
            polygon = [x, y, x + 28, y, x + 28, y + 24, x, y + 24]
            rows.append((image_id, category_id, x, y, x + 28, y + 24, json.dumps([polygon])))
        cv2.imwrite(str(folder / f"{image_id}.png"), picture)
    boxes = pd.DataFrame(rows, columns=["image_id", "category_id", *BOX, "segmentation"])
    boxes = boxes.assign(
        annotation_id=range(1, len(rows) + 1),
        area=28.0 * 24,
        iscrowd=False,
        source="human",
        score=1.0,
        extra=None,
    )
    images = pd.DataFrame({"image_id": range(first_id, first_id + n_images)}).assign(
        file_name=lambda table: table["image_id"].astype(str) + ".png",
        width=WIDTH,
        height=HEIGHT,
        group="g",
        extra=None,
    )
    categories = pd.DataFrame(
        {"category_id": [5, 7], "name": ["Paper", "Metal"], "supercategory": "", "extra": None}
    )
    return LabeledImages(
        Annotations(
            IMAGES.conform(images, where="images"),
            ANNOTATIONS.conform(boxes, where="annotations"),
            CATEGORIES.conform(categories, where="categories"),
        ),
        ImageFolder(folder),
    )


def _data(*parts: LabeledImages) -> TrainingData:
    return TrainingData(parts, parts[0], parts[0].annotations.categories)


def _images(part: LabeledImages) -> Images:
    return Images(part.annotations.images, part.folder)


def _changed(part: LabeledImages, **columns: Any) -> LabeledImages:
    """The part, with other values in the first annotation's columns."""
    table = part.annotations.annotations.copy()
    for name, value in columns.items():
        table.loc[0, name] = value
    whole = part.annotations
    return LabeledImages(Annotations(whole.images, table, whole.categories), part.folder)


def _train(work_dir: Path, data: TrainingData, recipe: Path = RECIPE, **changes: Any) -> Checkpoint:
    return backend_for("detectron2").train(_model(**changes), recipe, data, work_dir)


def _weights(checkpoint: Checkpoint) -> dict[str, Any]:
    import torch

    state: dict[str, Any] = torch.load(checkpoint.folder / "weights.pth", weights_only=True)
    return state


@pytest.fixture(scope="module")
def part(tmp_path_factory: pytest.TempPathFactory) -> LabeledImages:
    return _part(tmp_path_factory.mktemp("pictures") / "a", seed=0)


@pytest.fixture(scope="module")
def trained(part: LabeledImages, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return _train(tmp_path_factory.mktemp("work") / "model", _data(part))


def test_a_checkpoint_says_what_it_is_and_holds_plain_weights(trained: Checkpoint) -> None:
    facts = json.loads((trained.folder / "checkpoint.json").read_text())
    assert facts["model"] == _model().model_dump(mode="json")
    assert facts["categories"] == [
        {"category_id": 5, "name": "Paper"},
        {"category_id": 7, "name": "Metal"},
    ]
    assert facts["iterations"] == 4
    assert facts["last_loss"] > 0
    assert len(facts["training_sha256"]) == 64
    assert _weights(trained)
    assert (trained.folder / "config.yaml").is_file()
    assert [path.name for path in trained.folder.parent.glob("*.unfinished")] == []


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(
    part: LabeledImages, trained: Checkpoint, tmp_path: Path
) -> None:
    import torch

    first, again = _weights(trained), _weights(_train(tmp_path / "again", _data(part)))
    other = _weights(_train(tmp_path / "other", _data(part), seed=1))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_detections_lie_inside_the_pictures_and_carry_the_categories_ids(
    part: LabeledImages, trained: Checkpoint
) -> None:
    backend = backend_for("detectron2")
    detections = backend.predict(trained, _images(part))
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
    pd.testing.assert_frame_equal(detections, backend.predict(trained, _images(part)))


def test_a_picture_gets_the_same_boxes_whatever_stands_beside_it(
    part: LabeledImages, trained: Checkpoint
) -> None:
    backend = backend_for("detectron2")
    together = backend.predict(trained, _images(part))
    alone = Images(part.annotations.images.iloc[[2]], part.folder)
    assert isinstance(together, pd.DataFrame)
    pd.testing.assert_frame_equal(
        together[together["image_id"] == 3].reset_index(drop=True),
        backend.predict(trained, alone),
    )


def test_no_image_gives_no_detections(part: LabeledImages, trained: Checkpoint) -> None:
    none = Images(part.annotations.images.iloc[:0], part.folder)
    detections = backend_for("detectron2").predict(trained, none)
    assert isinstance(detections, pd.DataFrame)
    assert detections.empty


def test_a_trained_detector_finds_what_it_was_shown(part: LabeledImages, tmp_path: Path) -> None:
    optimizer = {"name": "AdamW", "learning_rate": 3e-3, "clip_grad_norm": 5.0}
    checkpoint = _train(
        tmp_path / "work", _data(part), epochs=60, batch_size=4, optimizer=optimizer
    )
    history = (tmp_path / "work" / "metrics.json").read_text().splitlines()
    losses = [json.loads(line)["total_loss"] for line in history]
    assert losses == sorted(losses, reverse=True)
    detections = backend_for("detectron2").predict(checkpoint, _images(part))
    assert isinstance(detections, pd.DataFrame)
    surest = detections.sort_values("score").groupby(["image_id", "category_id"]).last()
    truth = part.annotations.annotations.set_index(["image_id", "category_id"])
    assert len(surest) == len(truth)
    distance = (surest[BOX] - truth.loc[surest.index, BOX]).abs().to_numpy()
    assert distance.mean() < 4


def test_parts_may_share_image_ids_and_crowds_are_left_out(
    part: LabeledImages, tmp_path: Path
) -> None:
    other = _part(tmp_path / "b", seed=1, n_images=2)
    crowd = part.annotations.annotations["image_id"] == 1
    table = part.annotations.annotations.assign(iscrowd=crowd)
    whole = part.annotations
    first = LabeledImages(Annotations(whole.images, table, whole.categories), part.folder)
    checkpoint = _train(tmp_path / "work", _data(first, other), epochs=1)
    # Image 1 of the first part is a crowd only; 3 of its images and both of the other stay.
    assert json.loads((checkpoint.folder / "checkpoint.json").read_text())["n_samples"] == 5


def test_masks_are_learnt_where_the_model_has_them(part: LabeledImages, tmp_path: Path) -> None:
    options = {"MODEL.DEVICE": "cpu", "MODEL.MASK_ON": True}
    checkpoint = _train(tmp_path / "work", _data(part), epochs=1, options=options)
    assert any("mask_head" in name for name in _weights(checkpoint))
    boxes_only = _changed(part, segmentation=None)
    with pytest.raises(BackendError, match="annotation 1 on image 1 has no mask"):
        _train(tmp_path / "other", _data(boxes_only), options=options)


@pytest.mark.parametrize("schedule", ["constant", "poly", "step"])
@pytest.mark.parametrize("warmup", [0.0, 0.5])
def test_every_schedule_trains(
    part: LabeledImages, tmp_path: Path, schedule: str, warmup: float
) -> None:
    from recycling.backends.detectron2_backend import session, training
    from recycling.backends.detectron2_backend.resolve import resolve

    model = _model(schedule={"name": schedule, "warmup": warmup})
    with session.library():
        curve = training._curve(model.schedule, resolve(model, RECIPE, 2))
    early, middle, late = curve(0.0), curve(0.6), curve(0.99)
    assert early == pytest.approx(0.001 if warmup else 1.0)
    expected = {
        "constant": (1.0, 1.0),
        "poly": (0.4**0.9, 0.01**0.9),
        "step": (1.0, 0.01),
    }[schedule]
    assert (middle, late) == pytest.approx(expected)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_the_optimiser_is_the_one_asked_for(name: str) -> None:
    import torch

    from recycling.backends.detectron2_backend import session, training
    from recycling.backends.detectron2_backend.resolve import resolve

    optimizer = {"name": name, "learning_rate": 0.5, "weight_decay": 0.0, "clip_grad_norm": 1e-3}
    model = _model(optimizer=optimizer)
    network = torch.nn.Linear(3, 2)
    with session.library():
        built = training._optimizer(model, resolve(model, RECIPE, 2), network)
    assert type(built) is getattr(torch.optim, name)
    network(torch.full((1, 3), 1e6)).sum().backward()
    built.step()
    norm = torch.nn.utils.get_total_norm([p.grad for p in network.parameters()])
    assert float(norm) == pytest.approx(1e-3, rel=1e-3)


def test_training_goes_on_from_a_checkpoint(
    part: LabeledImages, trained: Checkpoint, tmp_path: Path
) -> None:
    still = {"name": "SGD", "learning_rate": 1e-12, "weight_decay": 0.0}
    further = _train(
        tmp_path / "work", _data(part), pretrained=str(trained.folder), epochs=1, optimizer=still
    )
    before, after = _weights(trained), _weights(further)
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
        ({"options": {"DATALOADER.SAMPLER_TRAIN": "WeightedTrainingSampler"}}, "use one of Train"),
        ({"pretrained": "default"}, "the recipe names no MODEL.WEIGHTS"),
        ({"pretrained": "no/such.pth"}, "pretrained no/such.pth"),
    ],
)
def test_a_setting_that_cannot_be_honoured_is_one_line(
    part: LabeledImages, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(BackendError, match=message) as caught:
        _train(tmp_path / "work", _data(part), **changes)
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
        _train(tmp_path / "work", _data(part), recipe)
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
        _train(tmp_path / "work", _data(_changed(part, **columns)))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_picture_that_is_cut_off_is_named(tmp_path: Path, workers: int) -> None:
    part = _part(tmp_path / "pictures", seed=0, n_images=2)
    victim = tmp_path / "pictures" / "2.png"
    victim.write_bytes(victim.read_bytes()[:400])
    with pytest.raises(BackendError, match=r"2\.png: cannot be used: ") as caught:
        _train(tmp_path / "work", _data(part), workers=workers)
    assert str(caught.value).startswith(str(victim))
    assert "\n" not in str(caught.value)
    victim.unlink()
    with pytest.raises(BackendError, match=r"2\.png: no such file; check the image folder"):
        _train(tmp_path / "work", _data(part))


def test_a_loss_that_is_no_number_stops_the_training(part: LabeledImages, tmp_path: Path) -> None:
    wild = {"name": "SGD", "learning_rate": 1e30}
    with pytest.raises(BackendError, match="work: the loss is no number at iteration"):
        _train(tmp_path / "work", _data(part), optimizer=wild, schedule={"warmup": 0.0})
    assert not (tmp_path / "work" / "checkpoint").exists()


def test_a_damaged_checkpoint_is_named(
    part: LabeledImages, trained: Checkpoint, tmp_path: Path
) -> None:
    copy = Checkpoint(shutil.copytree(trained.folder, tmp_path / "checkpoint"))
    (copy.folder / "weights.pth").write_bytes(b"no weights")
    with pytest.raises(BackendError, match=r"checkpoint: cannot be used: ") as caught:
        backend_for("detectron2").predict(copy, _images(part))
    assert "\n" not in str(caught.value)
    (copy.folder / "weights.pth").unlink()
    with pytest.raises(BackendError, match=r"no weights\.pth; train the model again"):
        backend_for("detectron2").predict(copy, _images(part))


def test_the_library_keeps_quiet_and_its_log_is_kept(
    part: LabeledImages, trained: Checkpoint, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    backend_for("detectron2").predict(trained, _images(part))
    assert caplog.records == []
    assert "Starting training" in (trained.folder.parent / "train.log").read_text()
