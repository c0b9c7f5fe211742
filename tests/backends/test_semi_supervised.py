"""Soft Teacher: a detector that also learns from images whose labels nobody looks at."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from backends.tiny_trainings import data_of, images_of, model_of
from recycling.annotations import Annotations, LabeledImages
from recycling.backends import BackendError, Checkpoint, TrainingData, backend_for
from recycling.stopping import Stopped, stops_when_asked

torch = pytest.importorskip("torch")
pytest.importorskip("mmdet")

RECIPES = Path(__file__).parents[2] / "conf/recipes/mmdet"
NARROW = f"""
_base_ = "{RECIPES}/soft_teacher_faster_rcnn_r50.py"
model = dict(
    detector=dict(
        backbone=dict(base_channels=8, stem_channels=8),
        neck=dict(in_channels=[32, 64, 128, 256], out_channels=32),
        rpn_head=dict(in_channels=32, feat_channels=32),
        roi_head=dict(
            bbox_roi_extractor=dict(out_channels=32),
            bbox_head=dict(in_channels=32, fc_out_channels=32),
        ),
    ),
    semi_train_cfg=dict(pseudo_label_initial_score_thr=0.0, rpn_pseudo_thr=0.0, cls_pseudo_thr=0.0),
)
"""
"""Soft Teacher on a ResNet-50 an eighth as wide, whose teacher is believed whatever it says."""


def labelled_by_models(pictures: LabeledImages, **columns: Any) -> LabeledImages:
    tables = pictures.annotations
    pseudo = tables.annotations.assign(source="pseudo", score=0.9, **columns)
    return LabeledImages(Annotations(tables.images, pseudo, tables.categories), pictures.folder)


def trained(folder: Path, data: TrainingData, **settings: Any) -> Checkpoint:
    folder.mkdir(exist_ok=True)
    recipe = folder / "narrow.py"
    recipe.write_text(NARROW)
    model = model_of("mmdet", optimizer={"name": "SGD", "learning_rate": 1e-2}, **settings)
    return backend_for("mmdet").train(model, recipe, data, folder / "run")


def with_others(pictures: LabeledImages, **columns: Any) -> TrainingData:
    return replace(data_of(pictures), train=[pictures, labelled_by_models(pictures, **columns)])


def weights_of(checkpoint: Checkpoint) -> dict[str, Any]:
    return dict(torch.load(checkpoint.weights, weights_only=True))


def test_what_is_kept_is_the_teacher_a_detector_like_any_other(
    pictures: LabeledImages, tmp_path: Path
) -> None:
    checkpoint = trained(tmp_path / "one", with_others(pictures))
    config = json.loads((checkpoint.folder / "config.json").read_text())
    assert config["model"]["type"] == "FasterRCNN"
    assert {name.split(".")[0] for name in weights_of(checkpoint)} == {
        "backbone", "neck", "rpn_head", "roi_head",
    }  # fmt: skip
    # 8 labelled images, 4 a step.
    assert checkpoint.facts["iterations"] == 2
    found = backend_for("mmdet").predict(checkpoint, images_of(pictures))
    assert set(found["category_id"]) <= {3, 7}


def test_labels_of_models_are_not_looked_at_and_the_images_are(
    pictures: LabeledImages, tmp_path: Path
) -> None:
    first = weights_of(trained(tmp_path / "first", with_others(pictures)))
    # All pseudo-labels of one category.
    other = weights_of(trained(tmp_path / "other", with_others(pictures, category_id=3)))
    assert all(torch.equal(first[name], other[name]) for name in first)
    fewer = replace(data_of(pictures), train=[pictures, labelled_by_models(half_of(pictures))])
    less = weights_of(trained(tmp_path / "fewer", fewer))
    assert not all(torch.equal(first[name], less[name]) for name in first)


def half_of(pictures: LabeledImages) -> LabeledImages:
    tables = pictures.annotations
    images = tables.images[tables.images["image_id"] > 4]
    boxes = tables.annotations[tables.annotations["image_id"] > 4]
    return LabeledImages(Annotations(images, boxes, tables.categories), pictures.folder)


def test_a_training_that_was_stopped_ends_as_it_would_have(
    pictures: LabeledImages, tmp_path: Path
) -> None:
    settings = {"epochs": 2, "early_stopping": {"patience": 2}}

    def rising(*, stop: bool) -> TrainingData:
        epochs = count(1)

        def score(_: Any) -> float:
            epoch = next(epochs)
            if stop and epoch == 1:
                os.kill(os.getpid(), signal.SIGINT)
            return float(epoch)

        return replace(with_others(pictures), score=score)

    whole = trained(tmp_path / "whole", rising(stop=False), **settings)
    data = rising(stop=True)
    with pytest.raises(Stopped), stops_when_asked():
        trained(tmp_path / "stopped", data, **settings)
    assert not (tmp_path / "stopped/run/checkpoint").exists()
    again = trained(tmp_path / "stopped", data, **settings)
    assert again.facts["weights_sha256"] == whole.facts["weights_sha256"]
    assert again.best_epoch == 2


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"score_weights": True}, "cannot honour 'score_weights'; leave it out"),
        ({"pseudo_until": 0.5, "epochs": 2}, "cannot honour 'pseudo_until'; leave it out"),
    ],
)
def test_settings_of_pseudo_labels_are_refused(
    settings: dict[str, Any], words: str, pictures: LabeledImages, tmp_path: Path
) -> None:
    with pytest.raises(BackendError, match=words):
        trained(tmp_path / "run", with_others(pictures), **settings)


def test_without_other_images_there_is_nothing_for_a_teacher_to_do(
    pictures: LabeledImages, tmp_path: Path
) -> None:
    with pytest.raises(BackendError, match=r"there are none; set train_on: labeled\+ROUND"):
        trained(tmp_path / "none", data_of(pictures))
    only = replace(data_of(pictures), train=[labelled_by_models(pictures)])
    with pytest.raises(BackendError, match="nothing labelled to train on beside pseudo-labels"):
        trained(tmp_path / "only", only)


def test_what_is_kept_in_memory_is_shared_by_all_that_the_loaders_read(
    pictures: LabeledImages, tmp_path: Path
) -> None:
    from recycling.backends.mmengine_backend import session
    from recycling.backends.mmengine_backend.data.training_set import write_training_set
    from recycling.backends.mmengine_backend.resolve import resolve
    from recycling.backends.mmengine_backend.settings.semi_supervised import add_teacher

    recipe = tmp_path / "narrow.py"
    recipe.write_text(NARROW)
    model = model_of("mmdet", workers=8, cache_megabytes=4096)
    written = write_training_set("det", with_others(pictures), tmp_path / "data")
    with session.library("mmdet"):
        config = resolve(model, recipe, written, tmp_path / "run")
        add_teacher(config)
    (reader, *_) = config.train_dataloader.dataset.unlabelled.pipeline
    assert reader.cache_bytes == 512 * 2**20
