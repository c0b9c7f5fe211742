"""Trainings that are killed, scored, averaged and shared among processes: real and tiny."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest

from backends import tiny_trainings
from backends.tiny_trainings import (
    CONSTANT,
    data_of,
    draw_pictures,
    epochs_of,
    facts_of,
    images_of,
    model_of,
    plain,
    train,
    weights_of,
    write_recipe,
)
from recycling import mirrors
from recycling.addresses import files_below, system_of
from recycling.annotations import ImageFolder, LabeledImages
from recycling.backends import BackendError, Checkpoint, backend_for
from recycling.backends.shared import resume
from recycling.mirrors import Mirror
from recycling.predictions import LabelMaps, Predictions
from recycling.stopping import Stopped, ask_to_stop

torch = pytest.importorskip("torch")


def snapshots_of(checkpoint: Checkpoint) -> dict[str, str]:
    """The sha256 of each snapshot."""
    files = sorted(checkpoint.folder.glob("snapshot*.pth"))
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def stopped_after(n_epochs: int, value: float = 0.5) -> Callable[[Predictions], float]:
    """A score that stops the training when it is asked for one epoch more."""
    asked: list[Predictions] = []

    def score(predictions: Predictions) -> float:
        asked.append(predictions)
        if len(asked) > n_epochs:
            raise KeyboardInterrupt
        return value

    return score


# Going on after a stop ---------------------------------------------------------------------------

SNAPSHOTS = {"snapshots": 3, "schedule": {"name": "cosine_restarts", "restarts": 2}}

KILLED = [
    pytest.param("mmpretrain", {"accumulate": 3, "ema": 0.9, "workers": 0, **SNAPSHOTS}, id="cls"),
    pytest.param("mmpretrain", {"workers": 2}, id="cls, two loaders", marks=pytest.mark.slow),
    pytest.param("mmdet", {"workers": 0}, id="det", marks=pytest.mark.slow),
    pytest.param("mmdet", {"workers": 2}, id="det, two loaders", marks=pytest.mark.slow),
    pytest.param("mmseg", {"workers": 0}, id="seg", marks=pytest.mark.slow),
    pytest.param("mmseg", {"workers": 2}, id="seg, two loaders", marks=pytest.mark.slow),
]

HOLDER = """
import sys
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize(("backend", "settings"), KILLED)
def test_a_killed_training_ends_as_if_it_had_not_been_killed(
    backend: str, settings: dict[str, Any], pictures: LabeledImages, tmp_path: Path
) -> None:
    settings = {"epochs": 6, **settings}
    whole = train(backend, pictures, tmp_path / "whole", **settings)
    here = tmp_path / "killed"
    kill_in_the_middle(here, backend, settings)
    resumed = train(backend, pictures, here, **settings)
    assert facts_of(resumed)["weights_sha256"] == facts_of(whole)["weights_sha256"]
    assert snapshots_of(resumed) == snapshots_of(whole)
    assert len(snapshots_of(whole)) == settings.get("snapshots", 1) - 1
    assert epochs_of(here) == epochs_of(tmp_path / "whole")
    assert not list((here / "run").glob("state*")), "the state is removed at the end"


def kill_in_the_middle(here: Path, backend: str, settings: dict[str, Any]) -> None:
    """Start a training in a process of its own and kill it after some epochs, within one."""
    command = [sys.executable, tiny_trainings.__file__, str(here), backend, json.dumps(settings)]
    tests = str(Path(tiny_trainings.__file__).parents[1])
    path = os.pathsep.join([tests, *filter(None, [os.environ.get("PYTHONPATH")])])
    with subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.DEVNULL
    ) as process:
        metrics = here / "run" / "metrics.jsonl"
        while process.poll() is None:
            if metrics.exists() and len(metrics.read_bytes().splitlines()) >= 3:
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.002)
    assert process.returncode == -signal.SIGKILL, "it ended before it could be killed"
    assert (here / "run/state.pth").exists()
    assert not (here / "run/checkpoint").exists()


def test_a_changed_setting_trains_anew_and_is_named(
    pictures: LabeledImages, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ends = {"early_stopping": {"patience": 9}}
    with pytest.raises(KeyboardInterrupt):
        train("mmpretrain", pictures, tmp_path, epochs=3, score=stopped_after(1), **ends)
    assert (tmp_path / "run/state.pth").exists()
    faster = {"optimizer": {"learning_rate": 4e-3}, "epochs": 1, **ends}
    with caplog.at_level(logging.WARNING):
        changed = train("mmpretrain", pictures, tmp_path, score=lambda _: 0.5, **faster)
    (line,) = (record.getMessage() for record in caplog.records if "anew" in record.getMessage())
    assert "optimizer.learning_rate: 0.001 -> 0.004" in line
    assert "epochs: 3 -> 1" in line
    assert "recipe." not in line
    fresh = train("mmpretrain", pictures, tmp_path / "fresh", score=lambda _: 0.5, **faster)
    assert facts_of(changed)["weights_sha256"] == facts_of(fresh)["weights_sha256"]


def test_a_state_of_another_training_beside_this_ones_facts_is_removed(
    pictures: LabeledImages, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As where the data are elsewhere, and another machine has begun with other settings."""
    this = {"seed": 1, "epochs": 2, "early_stopping": {"patience": 9}}
    whole = train("mmpretrain", pictures, tmp_path / "whole", score=lambda _: 0.5, **this)
    for seed in (0, 1):
        settings, score = {**this, "seed": seed}, stopped_after(1)
        with pytest.raises(KeyboardInterrupt):
            train("mmpretrain", pictures, tmp_path / str(seed), score=score, **settings)
    state = tmp_path / "1/run/state.pth"
    state.write_bytes((tmp_path / "0/run/state.pth").read_bytes())
    gone_on = train("mmpretrain", pictures, tmp_path / "1", score=lambda _: 0.5, **this)
    assert "run: its state is of another training: trains anew" in caplog.text
    assert facts_of(gone_on)["weights_sha256"] == facts_of(whole)["weights_sha256"]


def test_an_ended_training_is_not_run_again_until_something_changes(
    pictures: LabeledImages, tmp_path: Path
) -> None:
    first = train("mmpretrain", pictures, tmp_path)
    written = first.weights.stat().st_mtime_ns
    train("mmpretrain", pictures, tmp_path)
    assert first.weights.stat().st_mtime_ns == written
    before = facts_of(first)
    # What only predictions look at changes the checkpoint, but needs no training.
    train("mmpretrain", pictures, tmp_path, test_time_augmentation={"flip": True})
    after = facts_of(first)
    assert after["model"].pop("test_time_augmentation")["flip"]
    before["model"].pop("test_time_augmentation")
    assert after == before
    first.weights.write_bytes(b"")
    again = train("mmpretrain", pictures, tmp_path)
    assert facts_of(again)["weights_sha256"] == before["weights_sha256"]
    assert again.weights.stat().st_size > 0


def test_what_a_recipe_says_of_predictions_is_followed_without_a_training(
    pictures: LabeledImages, tmp_path: Path
) -> None:
    recipe = write_recipe(tmp_path, "mmdet")
    first = train("mmdet", pictures, tmp_path, recipe)
    trained, found = facts_of(first), backend_for("mmdet").predict(first, images_of(pictures))
    stricter = "model = dict(test_cfg=dict(nms=dict(iou_threshold=0.01)))\n"
    recipe.write_text(recipe.read_text() + stricter)
    again = train("mmdet", pictures, tmp_path, recipe)
    assert facts_of(again) == trained, "it is not trained again"
    assert 0 < len(backend_for("mmdet").predict(again, images_of(pictures))) < len(found)


def test_what_is_kept_in_memory_trains_nothing_anew(
    pictures: LabeledImages, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train("mmpretrain", pictures, tmp_path)
    with caplog.at_level(logging.INFO):
        train("mmpretrain", pictures, tmp_path, cache_megabytes=7)
    assert "run: trained before, and nothing has changed" in caplog.text


def test_other_pixels_under_the_same_names_train_anew_and_other_times_do_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pictures = draw_pictures(tmp_path / "pictures")
    before = facts_of(train("mmpretrain", pictures, tmp_path))["weights_sha256"]
    elsewhere = replace(pictures, folder=ImageFolder(tmp_path / "elsewhere"))
    shutil.copytree(pictures.folder, elsewhere.folder, copy_function=shutil.copyfile)
    with caplog.at_level(logging.INFO):
        train("mmpretrain", elsewhere, tmp_path)
    assert "run: trained before, and nothing has changed" in caplog.text
    for path in elsewhere.folder.path.iterdir():
        cv2.imwrite(str(path), cv2.blur(cv2.imread(str(path)), (9, 9)))
    after = facts_of(train("mmpretrain", elsewhere, tmp_path))["weights_sha256"]
    assert "run: trains anew: training data: " in caplog.text
    assert after != before


@pytest.mark.parametrize("changed", ["held-out data", "scored by"])
def test_a_training_that_stops_early_is_made_anew_where_what_judges_it_changes(
    changed: str, pictures: LabeledImages, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = replace(data_of(pictures), score=lambda _: 0.5, scored_by="accuracy")
    table = pictures.annotations.annotations.assign(category_id=7)
    corrected = replace(pictures, annotations=replace(pictures.annotations, annotations=table))
    after = {
        "held-out data": replace(before, validation=corrected),
        "scored by": replace(before, scored_by="macro_f1"),
    }[changed]
    plain, stopping = (
        model_of("mmpretrain", **ends) for ends in ({}, {"early_stopping": {"patience": 1}})
    )
    recipe = write_recipe(tmp_path, "mmpretrain")
    for data in (before, after):
        backend_for("mmpretrain").train(stopping, recipe, data, tmp_path / "run")
    assert f"run: trains anew: {changed}: " in caplog.text
    assert resume.facts_of_data(after, plain) == {}, "no other training sees what it holds out"


def test_no_two_processes_train_in_one_folder(
    pictures: LabeledImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resume, "LOCK_SECONDS", 0.1)
    run = tmp_path / "run"
    run.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(run / "training.lock")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as other:  # fmt: skip
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(BackendError, match=r"run: another process is training here; wait"):
            train("mmpretrain", pictures, tmp_path, epochs=1)
        assert [path.name for path in run.iterdir()] == ["training.lock"]
        other.kill()
    train("mmpretrain", pictures, tmp_path, epochs=1)


def test_a_full_disk_is_one_line_and_keeps_the_earlier_state(
    pictures: LabeledImages, tmp_path: Path
) -> None:
    settings = {"epochs": 3, "early_stopping": {"patience": 9}}
    with pytest.raises(KeyboardInterrupt):
        train("mmpretrain", pictures, tmp_path, score=stopped_after(1), **settings)
    state = tmp_path / "run/state.pth"
    earlier = hashlib.sha256(state.read_bytes()).hexdigest()
    most, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (state.stat().st_size // 2, hard))
    try:
        with pytest.raises(BackendError, match=r"state\.pth: .*File too large") as caught:
            train("mmpretrain", pictures, tmp_path, score=stopped_after(9), **settings)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    assert "\n" not in str(caught.value)
    assert hashlib.sha256(state.read_bytes()).hexdigest() == earlier
    resumed = train("mmpretrain", pictures, tmp_path, score=stopped_after(9), **settings)
    whole = train("mmpretrain", pictures, tmp_path / "w", score=stopped_after(9), **settings)
    assert facts_of(resumed)["weights_sha256"] == facts_of(whole)["weights_sha256"]
    assert facts_of(resumed)["best_epoch"] == 1


# Watching ----------------------------------------------------------------------------------------


def test_the_last_batch_of_a_failing_loss_is_named_with_its_crops(
    pictures: LabeledImages, tmp_path: Path
) -> None:
    with pytest.raises(BackendError, match=r"the last batch is \S+\d\.png \[\d+, ") as caught:
        train(
            "mmpretrain",
            pictures,
            tmp_path,
            epochs=3,
            optimizer={"name": "SGD", "learning_rate": 1e30},
            schedule=CONSTANT,
        )
    assert "\n" not in str(caught.value)
    named = json.loads((tmp_path / "run/failed_batch.json").read_text())
    assert len(named) == 4
    for crop in named:
        assert crop in str(caught.value)


def test_a_checkpoint_says_how_fast_its_training_was(
    pictures: LabeledImages, tmp_path: Path
) -> None:
    facts = facts_of(train("mmseg", pictures, tmp_path, epochs=2))
    assert facts["iterations"] == 8
    assert 0 <= facts["waiting_share"] <= 1
    assert facts["images_per_second"] > 0
    assert facts["minutes_per_epoch"] == pytest.approx(facts["seconds"] / 120, abs=1e-4)
    assert facts["peak_megabytes"] > 50
    epochs = epochs_of(tmp_path)
    assert [line["epoch"] for line in epochs] == [1, 2]
    assert epochs[1]["learning_rate"] < epochs[0]["learning_rate"]


def test_the_learning_rate_that_is_logged_is_not_the_backbones(
    pictures: LabeledImages, tmp_path: Path
) -> None:
    optimizer = {"learning_rate": 1e-3, "backbone_rate": 0.1}
    train("mmpretrain", pictures, tmp_path, optimizer=optimizer, schedule=CONSTANT)
    (epoch,) = epochs_of(tmp_path)
    assert epoch["learning_rate"] == 1e-3


# The held-out fold -------------------------------------------------------------------------------


def test_the_best_epoch_is_kept_and_the_training_ends_early(
    pictures: LabeledImages, tmp_path: Path
) -> None:
    scores = iter([0.2, 0.4, 0.3, 0.41, 0.9])
    stopped = train(
        "mmpretrain",
        pictures,
        tmp_path,
        epochs=5,
        schedule=CONSTANT,
        early_stopping={"patience": 2, "min_gain": 0.05},
        score=lambda _: next(scores),
    )
    facts = facts_of(stopped)
    assert (facts["best_epoch"], facts["best_score"]) == (2, 0.4)
    assert [line["score"] for line in epochs_of(tmp_path)] == [0.2, 0.4, 0.3, 0.41]
    two = train("mmpretrain", pictures, tmp_path / "two", epochs=2, schedule=CONSTANT)
    assert facts["weights_sha256"] == facts_of(two)["weights_sha256"]


@pytest.mark.parametrize("backend", ["mmpretrain", "mmdet", "mmseg"])
def test_what_is_scored_is_what_the_checkpoint_predicts(
    backend: str, pictures: LabeledImages, tmp_path: Path
) -> None:
    seen: list[Predictions] = []

    def score(predictions: Predictions) -> float:
        if isinstance(predictions, LabelMaps):
            predictions = LabelMaps(list(predictions), dict(predictions).__getitem__)
        seen.append(predictions)
        return 0.5

    ends = {"early_stopping": {"patience": 1}, "ema": 0.5}
    checkpoint = train(backend, pictures, tmp_path, score=score, **ends)
    (scored,) = seen
    predicted = backend_for(backend).predict(checkpoint, images_of(pictures))
    if isinstance(predicted, LabelMaps):
        assert isinstance(scored, LabelMaps)
        for image_id, label_map in predicted.items():
            np.testing.assert_array_equal(scored[image_id], label_map)
    else:
        assert isinstance(scored, pd.DataFrame)
        pd.testing.assert_frame_equal(scored, predicted)
        assert len(scored) > 0


def test_a_fold_that_cannot_be_scored_stops_with_one_line(
    pictures: LabeledImages, tmp_path: Path
) -> None:
    ends = {"early_stopping": {"patience": 1}}
    with pytest.raises(BackendError, match="held-out fold has nothing that can be scored"):
        train("mmpretrain", pictures, tmp_path, score=lambda _: float("nan"), **ends)
    with pytest.raises(BackendError, match=r"early_stopping needs TrainingData\.score"):
        train("mmpretrain", pictures, tmp_path, **ends)


# How a training runs -----------------------------------------------------------------------------


def test_two_half_batches_added_up_learn_what_a_whole_one_learns(
    pictures: LabeledImages, tmp_path: Path
) -> None:
    whole = weights_of(plain(tmp_path / "whole", pictures, batch_size=8))
    halves = weights_of(plain(tmp_path / "halves", pictures, batch_size=4, accumulate=2))
    torch.testing.assert_close(halves, whole, rtol=1e-4, atol=1e-6)
    small = weights_of(plain(tmp_path / "small", pictures, batch_size=4))
    assert any((small[name] - whole[name]).abs().max() > 1e-3 for name in whole)


def test_averaged_weights_move_slower_than_the_weights(
    pictures: LabeledImages, tmp_path: Path
) -> None:
    name = "head.fc.weight"
    n = {"batch_size": 16, "epochs": 1}  # two steps: the average of the first and the second
    first = weights_of(plain(tmp_path / "first", pictures, **n, ema=0.999999))[name]
    last = weights_of(plain(tmp_path / "last", pictures, **n))[name]
    averaged = weights_of(plain(tmp_path / "averaged", pictures, **n, ema=0.75))[name]
    torch.testing.assert_close(averaged, 0.75 * first + 0.25 * last, rtol=1e-4, atol=1e-7)
    assert (first - last).abs().max() > 1e-6


@pytest.mark.parametrize("deterministic", [True, False])
def test_torch_may_choose_kernels_only_where_that_is_asked_for(
    deterministic: bool, pictures: LabeledImages, tmp_path: Path
) -> None:
    seen = []

    def score(_: Predictions) -> float:
        seen.append(torch.are_deterministic_algorithms_enabled())
        seen.append(not torch.backends.cudnn.benchmark)
        return 0.5

    ends = {"early_stopping": {"patience": 1}, "deterministic": deterministic}
    train("mmpretrain", pictures, tmp_path, score=score, **ends)
    assert seen == [deterministic] * 2
    assert not torch.are_deterministic_algorithms_enabled()
    assert not torch.backends.cudnn.benchmark


@pytest.mark.slow
def test_two_processes_with_half_the_batch_learn_what_one_learns(
    pictures: LabeledImages, tmp_path: Path
) -> None:
    """The network has no batch normalisation: over processes that needs a GPU."""
    settings = {"batch_size": 8, "epochs": 3}
    one = plain(tmp_path / "one", pictures, **settings)
    two = plain(tmp_path / "two", pictures, **settings, devices=2)
    losses = [[line["loss"] for line in epochs_of(tmp_path / name)] for name in ("one", "two")]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)
    torch.testing.assert_close(weights_of(one), weights_of(two), rtol=1e-3, atol=1e-5)
    assert losses[0][2] < losses[0][0]


@pytest.mark.slow
def test_an_error_in_one_of_two_processes_is_one_line(
    pictures: LabeledImages, tmp_path: Path
) -> None:
    with pytest.raises(BackendError, match=r"the loss is (nan|inf) at iteration") as caught:
        plain(
            tmp_path, pictures, devices=2,
            optimizer={"name": "SGD", "learning_rate": 1e30, "weight_decay": 0.0},
        )  # fmt: skip
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_a_training_in_two_processes_stops_after_the_epoch_where_that_is_asked(
    pictures: LabeledImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And sends its state meanwhile, where its folder mirrors one elsewhere."""
    elsewhere = Mirror(f"memory://{tmp_path.name}/run")
    elsewhere.folder = tmp_path / "run"
    monkeypatch.setitem(mirrors._open, elsewhere.address, elsewhere)

    def ask() -> None:
        while "state.pth" not in files_below(*system_of(elsewhere.address)):
            time.sleep(0.01)
        ask_to_stop()

    asking = Thread(target=ask, daemon=True)
    asking.start()
    with pytest.raises(Stopped):
        plain(tmp_path, pictures, batch_size=8, epochs=1000, devices=2)
    ask_to_stop(False)
    assert (tmp_path / "run/state.pth").exists()
    assert len(epochs_of(tmp_path)) < 1000


@pytest.mark.slow
def test_two_processes_that_stop_within_an_update_go_on_with_the_gradients_of_both(
    pictures: LabeledImages, tmp_path: Path
) -> None:
    settings = {"batch_size": 4, "accumulate": 3, "epochs": 3, "devices": 2}
    whole = plain(tmp_path / "whole", pictures, **settings)
    ask_to_stop()
    with pytest.raises(Stopped):
        plain(tmp_path / "stopped", pictures, **settings)
    ask_to_stop(False)
    assert len(epochs_of(tmp_path / "stopped")) == 1
    assert torch.load(tmp_path / "stopped/run/state.pth", weights_only=False)["gradients"]
    gone_on = plain(tmp_path / "stopped", pictures, **settings)
    torch.testing.assert_close(weights_of(gone_on), weights_of(whole), rtol=0, atol=0)


# Weights to start from ---------------------------------------------------------------------------


@pytest.fixture
def made_weights(tmp_path: Path) -> Path:
    """A file of weights whose name ends in the first 8 hex digits of its sha256."""
    from recycling.files import sha256_of

    plain_name = tmp_path / "weights.pth"
    torch.save({"state_dict": {"layer": torch.ones(2)}}, plain_name)
    named = tmp_path / f"small-{sha256_of(plain_name)[:8]}.pth"
    plain_name.rename(named)
    return named


def test_weights_are_found_by_path_and_by_url_and_their_name_is_checked(
    made_weights: Path,
) -> None:
    from recycling.backends.shared.weights import find_weights

    sha256 = hashlib.sha256(made_weights.read_bytes()).hexdigest()
    for where in (str(made_weights), made_weights.as_uri()):
        assert find_weights(where, sha256) == made_weights
        with pytest.raises(BackendError, match=r"pretrained_sha256 says 00000000; it is not"):
            find_weights(where, "00000000")
    torch.save({"state_dict": {"layer": torch.zeros(2)}}, made_weights)
    with pytest.raises(BackendError, match="its name says") as caught:
        find_weights(made_weights.as_uri())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("sha256", "remedy"),
    [
        (None, "its name says 20240131; it is not loaded: .* or rename it, if that is no sha256$"),
        ("00000000", "pretrained_sha256 says 00000000; it is not loaded: .* or correct that$"),
    ],
    ids=["a date", "a sha256"],
)
def test_weights_of_ones_own_stay_where_their_sha256_is_another(
    sha256: str | None, remedy: str, tmp_path: Path
) -> None:
    from recycling.backends.shared.weights import find_weights

    own = tmp_path / "best-20240131.pth"
    own.write_bytes(b"weights")
    with pytest.raises(BackendError, match=remedy) as caught:
        find_weights(str(own), sha256)
    assert "remove" not in str(caught.value)


@pytest.fixture
def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server, and an empty cache; a file holds its path, ``/short`` not whole."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(self.path) + 5 * ("short" in self.path)))
            self.end_headers()
            self.wfile.write(self.path.encode())

        def log_message(self, *_: Any) -> None:
            pass

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_weights_of_one_name_from_two_places_are_two(net: str) -> None:
    from recycling.backends.shared.weights import find_weights

    for _ in range(2):  # the second time out of the cache
        for place in ("/a/weights.pth", "/b/weights.pth"):
            assert find_weights(f"{net}{place}").read_text() == place


@pytest.mark.parametrize(
    ("address", "why"),
    [("/short.pth", "it broke off 5 bytes before its end"), ("/a b.pth", "URL can't contain")],
    ids=["broken off", "a blank"],
)
def test_a_download_that_fails_is_one_line_and_is_not_kept(
    address: str, why: str, net: str, tmp_path: Path
) -> None:
    from recycling.backends.shared.weights import find_weights

    for _ in range(2):
        with pytest.raises(BackendError, match=f"{address}: cannot be downloaded: {why}") as caught:
            find_weights(f"{net}{address}")
    assert "\n" not in str(caught.value)
    assert not [path for path in (tmp_path / "torch").rglob("*") if path.is_file()]


def test_weights_that_are_not_there_stop_before_the_first_step(
    pictures: LabeledImages, tmp_path: Path
) -> None:
    nothing = tmp_path / "nothing.pth"
    with pytest.raises(BackendError, match=r"nothing\.pth: no such file; check the path"):
        train("mmpretrain", pictures, tmp_path, pretrained=str(nothing))
    assert not (tmp_path / "run/training.json").exists()


def test_a_recipe_without_official_weights_says_so(pictures: LabeledImages, tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="names no official weights; set pretrained: none"):
        train("mmpretrain", pictures, tmp_path, pretrained="default")


def test_official_weights_are_checked_and_no_code_of_theirs_is_run(
    pictures: LabeledImages, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    donor = train("mmpretrain", pictures, tmp_path / "donor")
    sha256 = facts_of(donor)["weights_sha256"]
    official = tmp_path / f"official-{sha256[:8]}.pth"
    official.write_bytes(donor.weights.read_bytes())
    still = {"optimizer": {"name": "SGD", "learning_rate": 1e-12, "weight_decay": 0.0}}

    def start_from(weights: Path) -> Checkpoint:
        recipe = tmp_path / "official.py"
        recipe.write_text(
            tiny_trainings.RECIPES["mmpretrain"] + f'load_from = "{weights.as_uri()}"\n'
        )
        return train(
            "mmpretrain", pictures, tmp_path / "new", recipe=recipe, pretrained="default", **still
        )

    with caplog.at_level(logging.INFO):
        started = start_from(official)
    name = "backbone.conv1.weight"
    torch.testing.assert_close(weights_of(started)[name], weights_of(donor)[name])
    n = len([key for key in weights_of(donor) if "num_batches" not in key])
    (said,) = [line for line in caplog.messages if "pretrained" in line]
    assert said == f"run: pretrained {official}: {n} of the network's {n} weights are in it"
    other = tmp_path / "official-00000000.pth"
    other.write_bytes(donor.weights.read_bytes())
    with pytest.raises(BackendError, match="its name says 00000000"):
        start_from(other)
    harmful = tmp_path / "harmful.pth"
    torch.save({"state_dict": {"layer": made_by_code()}}, harmful)
    with pytest.raises(BackendError, match="not a file of plain tensors"):
        start_from(harmful)


def test_other_weights_that_a_recipe_names_under_the_same_name_train_anew(
    pictures: LabeledImages, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    donors = [train("mmpretrain", pictures, tmp_path / str(seed), seed=seed) for seed in (0, 1)]
    start, recipe = tmp_path / "start.pth", tmp_path / "named.py"
    recipe.write_text(tiny_trainings.RECIPES["mmpretrain"] + f"load_from = {str(start)!r}\n")
    for donor in donors:
        start.write_bytes(donor.weights.read_bytes())
        train("mmpretrain", pictures, tmp_path, recipe=recipe, pretrained="default")
    assert f"run: trains anew: weights {start}: sha256" in caplog.text


def made_by_code() -> Path:
    """An object that unpickling would have to run code for."""
    return Path("anything")


# Logs --------------------------------------------------------------------------------------------


def test_settings_of_running_are_in_the_config_that_the_checkpoint_keeps() -> None:
    from mmengine import Config

    from recycling.backends.mmengine_backend.settings.running import set_running

    config = Config(
        {
            "optim_wrapper": {},
            "custom_hooks": [{"type": "EMAHook", "ema_type": "ExpMomentumEMA"}],
        }
    )
    set_running(config, model_of("mmpretrain", ema=0.75, accumulate=3))
    (average,) = config.custom_hooks
    assert average["momentum"] == 0.25
    assert config.optim_wrapper.accumulative_counts == 3
