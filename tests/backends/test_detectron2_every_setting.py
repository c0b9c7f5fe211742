"""No setting of a model is ignored: it changes what detectron2 learns or predicts, or is refused.

Each setting is changed alone, and two trainings are compared.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pydantic import ValidationError

from backends.rectangles import (
    RECIPE,
    data_of,
    images_of,
    rectangles,
    settings_of,
    train,
    weights_of,
)
from recycling.annotations import LabeledImages
from recycling.backends import BackendError, Checkpoint, Model, backend_for, is_installed
from recycling.backends.losses import LOSSES
from recycling.backends.shared.settings import (
    Anchors,
    EarlyStopping,
    Optimizer,
    Sampler,
    Schedule,
    TestTimeAugmentation,
)

if not is_installed("detectron2"):
    pytest.skip("detectron2 is not installed", allow_module_level=True)

import torch

PLAIN: dict[str, Any] = {"augmentation": [], "epochs": 1}
SGD = {"name": "SGD", "learning_rate": 1e-3}
ANCHORS = {"sizes": [20.0, 30.0], "ratios": [0.5, 1.0, 2.0]}

LEARNT: dict[str, Any] = {
    "accumulate": 2,
    "anchors": ANCHORS,
    "augmentation": ["HorizontalFlip"],
    "batch_size": 3,
    "ema": 0.5,
    "epochs": 2,
    "freeze": 1,
    "image_size": 80,
    "loss": "focal",
    "optimizer": SGD,
    "options": {"MODEL.DEVICE": "cpu", "MODEL.ROI_HEADS.POSITIVE_FRACTION": 0.25},
    "sampler": {"name": "class_balanced"},
    "schedule": {"name": "poly"},
    "seed": 1,
}
"""Settings that change the weights, and another value than the default."""

PARTS: dict[str, tuple[dict[str, Any], Any]] = {
    "anchors.ratios": ({"anchors": ANCHORS}, [0.4, 1.0, 3.0]),
    "anchors.sizes": ({"anchors": ANCHORS}, [15.0, 25.0]),
    "loss.alpha": ({"loss": {"name": "focal"}}, 0.6),
    "loss.class_weights": ({"loss": {"name": "focal"}}, {"Paper": 2.0, "Metal": 0.5}),
    "loss.gamma": ({"loss": {"name": "focal"}}, 0.5),
    "loss.label_smoothing": ({"loss": {"name": "cross_entropy"}}, 0.2),
    "loss.name": ({"loss": {"name": "focal"}}, "cross_entropy"),
    "loss.weight": ({"loss": {"name": "focal"}}, 5.0),
    "optimizer.backbone_rate": ({"optimizer": SGD}, 0.1),
    "optimizer.clip_grad_norm": ({"optimizer": SGD}, 0.1),
    "optimizer.learning_rate": ({"optimizer": SGD}, 2e-3),
    "optimizer.momentum": ({"optimizer": SGD}, 0.1),
    "optimizer.name": ({"optimizer": {"name": "AdamW", "learning_rate": 1e-3}}, "RAdam"),
    "optimizer.weight_decay": ({"optimizer": SGD}, 0.5),
    "sampler.copies": ({"sampler": {"name": "oversample"}}, {"Paper": 2}),
    "sampler.name": ({"sampler": {"name": "shuffle"}}, "class_balanced"),
    "sampler.threshold": ({"sampler": {"name": "repeat_factor", "threshold": 0.1}}, 1.0),
    "schedule.factor": ({"schedule": {"name": "step", "milestones": [0.3]}}, 0.5),
    "schedule.lowest": ({"schedule": {"name": "cosine"}}, 0.5),
    "schedule.milestones": ({"schedule": {"name": "step", "milestones": [0.3]}}, [0.6]),
    "schedule.name": ({"schedule": {"name": "cosine"}}, "constant"),
    "schedule.power": ({"schedule": {"name": "poly"}}, 3.0),
    "schedule.restarts": ({"schedule": {"name": "cosine_restarts", "restarts": 1}}, 3),
    "schedule.warmup": ({"schedule": {"name": "constant"}}, 0.5),
}
"""The parts of such settings: what goes with one, and another value of it."""

WITH_PARTS = {name.partition(".")[0] for name in PARTS}

OF_STOPPING = {"early_stopping", "early_stopping.min_gain", "early_stopping.patience"}
OF_PREDICTION = {
    "score_threshold",
    "test_time_augmentation",
    "test_time_augmentation.flip",
    "test_time_augmentation.scales",
}
OF_PSEUDO_LABELS = {"pseudo_until"}
"""Looked at in `test_detectron2_pseudo_labels`."""
OF_MIXES = {"mosaic_off_epochs"}
OF_LOADING = {"cache_megabytes", "deterministic", "pretrained", "pretrained_sha256", "workers"}

REFUSED: dict[str, tuple[Any, str]] = {
    "backbone": ("resnet18", "detectron2 cannot honour 'backbone'; remove it"),
    "channels_last": (True, "detectron2 cannot honour 'channels_last'; remove it"),
    "devices": (2, "detectron2 cannot honour 'devices'; remove it"),
    "score_weights": (True, "detectron2 cannot honour 'score_weights'; remove it, or use one of"),
    "precision": ("fp16", "precision fp16 needs a GPU; use fp32"),
}
"""Settings that detectron2 refuses (a precision where there is no GPU), and how."""

IMPOSSIBLE: dict[str, Any] = {
    "backend": "mmseg",
    "dropout": 0.3,
    "encoder": "resnet50",
    "loss.clip": 0.1,
    "loss.gamma_negative": 1.0,
    "loss.gamma_positive": 1.0,
    "probabilities": True,
    "task": "seg",
}
"""What no detector can have."""

OF_THE_PIPELINE = {
    "control", "data", "folds", "images_an_epoch", "pretrained_elsewhere", "recipe", "resources",
    "skip_if_missing", "snapshot", "study", "train_on", "variant_of",
}  # fmt: skip
"""What decides what the library is given: the data, the recipe's file, whether it is asked."""

ELSEWHERE = {"fold_norms", "snapshots"}
"""Have tests of their own."""


@pytest.fixture(scope="module")
def part(tmp_path_factory: pytest.TempPathFactory) -> LabeledImages:
    """Pictures of which the first has no Metal, so that samplers have something to do."""
    whole = rectangles(tmp_path_factory.mktemp("pictures") / "a", seed=0)
    tables = whole.annotations
    both = (tables.annotations["image_id"] > 1) | (tables.annotations["category_id"] == 5)
    fewer = tables.annotations[both].reset_index(drop=True)
    return replace(whole, annotations=replace(tables, annotations=fewer))


@pytest.fixture(scope="module")
def plain(part: LabeledImages, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return train(tmp_path_factory.mktemp("work") / "plain", data_of(part), **PLAIN)


def same(one: Checkpoint, other: Checkpoint) -> bool:
    first, second = weights_of(one), weights_of(other)
    return first.keys() == second.keys() and all(
        torch.equal(first[name], second[name]) for name in first
    )


def test_each_setting_is_looked_at_here() -> None:
    parts = {
        "anchors": Anchors,
        "early_stopping": EarlyStopping,
        "optimizer": Optimizer,
        "sampler": Sampler,
        "schedule": Schedule,
        "test_time_augmentation": TestTimeAugmentation,
    }
    names = set(Model.model_fields)
    names |= {f"{word}.{name}" for word, one in parts.items() for name in one.model_fields}
    losses = [loss.settings for loss in LOSSES.values()]
    of_losses = [loss for loss in losses if loss.__module__.startswith("recycling.")]
    names |= {f"loss.{name}" for loss in of_losses for name in loss.model_fields}
    here = [LEARNT, PARTS, OF_STOPPING, OF_PREDICTION, OF_LOADING, REFUSED, IMPOSSIBLE]
    here = [*here, OF_PSEUDO_LABELS, OF_MIXES]
    looked_at = [name for some in (*here, OF_THE_PIPELINE, ELSEWHERE) for name in some]
    assert sorted(looked_at) == sorted(names)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow if name in WITH_PARTS else ()) for name in LEARNT],
)
def test_a_setting_changes_the_weights(
    part: LabeledImages, plain: Checkpoint, tmp_path: Path, name: str
) -> None:
    changes = {**PLAIN, name: LEARNT[name]}
    assert not same(plain, train(tmp_path / "work", data_of(part), **changes))


@pytest.mark.slow
@pytest.mark.parametrize("name", PARTS)
def test_a_part_of_a_setting_changes_the_weights(
    part: LabeledImages, tmp_path: Path, name: str
) -> None:
    with_it, value = PARTS[name]
    word, _, key = name.partition(".")
    other = {word: {**with_it[word], key: value}}
    one, two = (
        train(tmp_path / str(number), data_of(part), **{**PLAIN, "epochs": 3, **changes})
        for number, changes in enumerate((with_it, other))
    )
    assert not same(one, two)


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_honoured_is_refused_before_the_first_step(
    part: LabeledImages, tmp_path: Path, name: str
) -> None:
    value, message = REFUSED[name]
    with pytest.raises(BackendError, match=message) as caught:
        train(tmp_path / "work", data_of(part), **{name: value})
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "work" / "metrics.json").exists()


def test_folded_norms_are_refused(part: LabeledImages, plain: Checkpoint, tmp_path: Path) -> None:
    started = {"pretrained": str(plain.folder / "weights.pth"), "fold_norms": True}
    with pytest.raises(BackendError, match="detectron2 cannot honour 'fold_norms'; remove it"):
        train(tmp_path / "work", data_of(part), **started)


def test_epochs_without_mosaic_are_refused_where_there_is_none(
    part: LabeledImages, tmp_path: Path
) -> None:
    asked = {"augmentation": "published", "mosaic_off_epochs": 1, "epochs": 2}
    with pytest.raises(BackendError, match="cannot honour .mosaic_off_epochs.; remove it, it has"):
        train(tmp_path / "work", data_of(part), **asked)


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_what_no_detector_can_have_is_no_model(name: str) -> None:
    word, _, key = name.partition(".")
    value = IMPOSSIBLE[name]
    with pytest.raises(ValidationError):
        settings_of(**{word: {"name": "focal", key: value} if key else value})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stop", "scores", "best", "epochs"),
    [
        (None, [], None, 3),
        ({"patience": 1}, [0.1, 0.05, 0.9], 1, 2),
        ({"patience": 2}, [0.1, 0.05, 0.9], 3, 3),
        ({"patience": 2, "min_gain": 0.5}, [0.1, 0.2, 0.3], 1, 3),
    ],
)
def test_early_stopping_ends_a_training_by_its_scores(
    part: LabeledImages,
    tmp_path: Path,
    stop: dict[str, Any] | None,
    scores: list[float],
    best: int | None,
    epochs: int,
) -> None:
    given = iter(scores)
    data = replace(data_of(part), score=lambda _: next(given))
    checkpoint = train(tmp_path / "work", data, epochs=3, early_stopping=stop)
    facts = json.loads((checkpoint.folder / "checkpoint.json").read_text())
    assert facts.get("best_epoch") == best
    assert len((tmp_path / "work" / "metrics.jsonl").read_text().splitlines()) == epochs


def test_settings_of_prediction_change_the_boxes_and_not_the_weights(
    part: LabeledImages, tmp_path: Path
) -> None:
    def boxes(**changes: Any) -> pd.DataFrame:
        settings = {"epochs": 1, "score_threshold": 0.0, **changes}
        checkpoint = train(tmp_path / "work", data_of(part), **settings)
        found = backend_for("detectron2").predict(checkpoint, images_of(part))
        assert isinstance(found, pd.DataFrame)
        return found

    plain = boxes()
    for changes in (
        {"score_threshold": 0.9},
        {"test_time_augmentation": {"flip": True}},
        {"test_time_augmentation": {"scales": [1.5]}},
    ):
        assert not plain.equals(boxes(**changes)), changes
    assert len((tmp_path / "work" / "metrics.jsonl").read_text().splitlines()) == 1


@pytest.mark.parametrize("deterministic", [True, False])
def test_exactness_is_what_is_asked_for(
    part: LabeledImages, tmp_path: Path, deterministic: bool
) -> None:
    seen: list[bool] = []

    def score(_: Any) -> float:
        seen.append(torch.are_deterministic_algorithms_enabled())
        return 1.0

    data = replace(data_of(part), score=score)
    stop = {"patience": 1}
    train(tmp_path / "work", data, epochs=1, early_stopping=stop, deterministic=deterministic)
    assert seen == [deterministic]


def test_loaders_and_their_memory_are_as_asked_for(part: LabeledImages) -> None:
    from recycling.backends.detectron2_backend import session
    from recycling.backends.detectron2_backend.records import training_records
    from recycling.backends.detectron2_backend.resolve import resolve
    from recycling.backends.detectron2_backend.samples import build_loader, stream_of

    model = settings_of(workers=2, cache_megabytes=6)
    with session.library():
        config = resolve(model, RECIPE, n_classes=2)
        stream = stream_of(model, training_records(data_of(part), config, "x"), ["Paper", "Metal"])
        loader = build_loader(model, config, stream, 0)
    assert loader.num_workers == 2
    assert loader.dataset.mapper.cache_bytes == 3 * 2**20  # for each of the two


def test_a_training_starts_from_the_weights_that_are_asked_for(
    part: LabeledImages, plain: Checkpoint, tmp_path: Path
) -> None:
    settings = {**PLAIN, "pretrained": str(plain.weights)}
    assert not same(plain, train(tmp_path / "work", data_of(part), **settings))
    with pytest.raises(BackendError, match="but pretrained_sha256 says 00000000"):
        train(tmp_path / "other", data_of(part), **settings, pretrained_sha256="00000000")
