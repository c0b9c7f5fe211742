"""A search over settings: what is tried, ended early, gone on with, and chosen by whom."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

import pandas as pd
import pytest
from pydantic import ValidationError

from recycling.backends import BackendError
from recycling.experiments import (
    Tuning,
    best_first,
    given_trial,
    halves,
    importance,
    open_study,
    prepare,
    sweep_config,
    trials_table,
    try_base,
    work,
)
from recycling.stopping import Stopped

SPACE = {
    "optimizer.learning_rate": {"low": 0.001, "high": 0.1, "log": True},
    "epochs": {"low": 2, "high": 6},
    "loss": ["focal", {"dice": 1}],
}
BASE = {"optimizer.learning_rate": 0.01, "epochs": 3, "loss": "focal"}


class Killed(BaseException):
    """What no search catches."""


class OtherError(Exception):
    """What is no fault of the settings."""


def tuning(**more: object) -> Tuning:
    return Tuning.model_validate({"base": "yolox", "space": SPACE, "trials": 8, **more})


def search(folder: Path, own: Tuning, train: Callable | None = None) -> pd.DataFrame:
    """Search with trainings that are better the longer they are."""

    def plain(settings: dict, number: int, report: Callable[[float], None]) -> float:
        epochs = settings.get("epochs", BASE["epochs"])
        for epoch in range(epochs):
            report(epoch / 10)
        return epochs / 10

    study = open_study(folder / "trials.journal", own)
    prepare(study)
    try_base(study, own, BASE, train or plain)
    work(study, own, train or plain)
    return trials_table(study)


def test_the_base_is_tried_first_and_the_best_is_the_best(tmp_path):
    table = search(tmp_path, tuning(pruning=False))
    assert len(table) == 8
    first, *settings = (json.loads(text) for text in table["settings"])
    assert first == {}
    assert all(own["loss"] in SPACE["loss"] and 2 <= own["epochs"] <= 6 for own in settings)
    epochs = [BASE["epochs"], *(own["epochs"] for own in settings)]
    assert epochs[best_first(table)[0]] == max(epochs)
    assert table["epochs"].tolist() == epochs


def test_a_base_outside_of_the_space_is_tried_all_the_same(tmp_path):
    odd = {**BASE, "loss": "the recipe's own", "epochs": 3}
    own = tuning(trials=2, pruning=False)
    study = open_study(tmp_path / "trials.journal", own)
    tried = []

    def train(settings: dict, number: int, report: Callable[[float], None]) -> float:
        tried.append(settings)
        return 0.5

    try_base(study, own, odd, train)
    work(study, own, train)
    assert tried[0] == {}
    assert study.trials[0].params.keys() == {"optimizer.learning_rate", "epochs"}
    assert len(tried) == 2
    try_base(study, own, odd, train)  # once
    assert len(tried) == 2


def test_numbers_are_drawn_as_a_person_would_write_them(tmp_path):
    rates = [
        json.loads(text)["optimizer.learning_rate"]
        for text in search(tmp_path, tuning())["settings"][1:]
    ]
    assert all(rate == float(f"{rate:.3g}") for rate in rates)


@pytest.mark.parametrize("end", [Stopped, Killed, OtherError])
def test_a_training_that_was_stopped_or_killed_goes_on_under_its_number(tmp_path, end):
    trained: list[tuple[int, dict]] = []

    def train(settings: dict, number: int, report: Callable[[float], None]) -> float:
        trained.append((number, settings))
        for epoch in range(4):
            report(epoch / 10)
            if len(trained) == 3 and epoch == 1:
                raise end
        return 0.4

    with pytest.raises(end):
        search(tmp_path, tuning(pruning=False), train)
    table = search(tmp_path, tuning(pruning=False), train)
    assert table["trial"].tolist() == list(range(8))
    assert set(table["state"]) == {"complete"}
    assert trained[2] == trained[3]  # in its own folder
    assert [number for number, _ in trained[3:]] == [2, 3, 4, 5, 6, 7]
    assert set(table["epochs"]) == {4}
    trial = open_study(tmp_path / "trials.journal", tuning()).trials[2]
    assert trial.intermediate_values == {1: 0.0, 2: 0.1, 3: 0.2, 4: 0.3}


def test_an_agent_trains_with_its_settings_also_where_another_one_was_killed(tmp_path):
    trained = []

    def train(settings: dict, number: int, report: Callable[[float], None]) -> float:
        trained.append(settings)
        if len(trained) == 2:
            raise Killed
        return 0.4

    with pytest.raises(Killed):
        search(tmp_path, tuning(), train)
    given = {"optimizer.learning_rate": 0.02, "epochs": 6, "loss": {"dice": 1}}
    table = search(tmp_path, tuning(given=given), train)
    assert trained[1:] == [trained[1], trained[1], given]
    assert json.loads(table["settings"].iloc[-1]) == given


def test_a_search_that_goes_on_tries_nothing_again(tmp_path):
    search(tmp_path, tuning(trials=4, pruning=False))
    table = search(tmp_path, tuning(trials=8, pruning=False))
    assert table["settings"].nunique() == 8


def test_a_search_goes_on_where_its_last_line_was_not_written_to_its_end(tmp_path):
    search(tmp_path, tuning(trials=4, pruning=False))
    with (tmp_path / "trials.journal").open("ab") as file:
        file.write(b'{"op_code":5,"trial')  # as where the disk is full
    table = search(tmp_path, tuning(trials=6, pruning=False))
    assert set(table["state"]) == {"complete"}
    assert len(open_study(tmp_path / "trials.journal", tuning()).trials) == 6


def test_a_training_that_goes_on_took_the_minutes_of_both_runs(tmp_path):
    killed = []

    def train(settings: dict, number: int, report: Callable[[float], None]) -> float:
        time.sleep(0.05)
        report(0.1)
        if settings and not killed:
            killed.append(number)
            raise Killed
        time.sleep(0.05)
        report(0.2)
        return 0.2

    with pytest.raises(Killed):
        search(tmp_path, tuning(), train)
    table = search(tmp_path, tuning(trials=2), train)
    assert table["minutes"].iloc[1] * 60 >= 0.15


def test_workers_train_no_more_than_was_asked_for(tmp_path):
    """What others are at counts, too: each would begin another one while the last is trained."""
    own, turn = tuning(trials=5, pruning=False, workers=3), Lock()
    search(tmp_path, own.model_copy(update={"trials": 1}))

    def train(settings: dict, number: int, report: Callable[[float], None]) -> float:
        time.sleep(0.3)
        return 0.5

    def worker(number: int) -> None:
        study = open_study(tmp_path / "trials.journal", own.model_copy(update={"seed": number}))
        work(study, own, train, turn)

    with ThreadPoolExecutor(own.workers) as pool:
        list(pool.map(worker, range(own.workers)))
    assert len(open_study(tmp_path / "trials.journal", own).trials) == 5
    assert len(search(tmp_path, own.model_copy(update={"trials": 6}))) == 6


def test_the_score_of_a_training_that_was_ended_is_that_of_its_best_epoch(tmp_path):
    def train(settings: dict, number: int, report: Callable[[float], None]) -> float:
        for score in [0.5, 0.6, 0.7] if number < 6 else [0.4, 0.1, 0.05]:
            report(score)
        return 0.7

    # As a training does that goes on after it was told to end.
    def wrapped(*args: object) -> float:
        try:
            return train(*args)
        except Exception as error:
            raise BackendError("the training fails") from error

    table = search(tmp_path, tuning(), wrapped)
    assert table["state"].tolist() == ["complete"] * 6 + ["pruned"] * 2
    assert table["score"].tolist() == [0.7] * 6 + [0.4] * 2


def test_a_training_that_is_worse_than_most_is_ended(tmp_path):
    def train(settings: dict, number: int, report: Callable[[float], None]) -> float:
        try:
            for epoch in range(4):
                report((epoch + 1) * (0.1 if number < 6 else 0.01))
        except Exception as error:  # as a training does, which wraps what ends it
            raise BackendError("the training fails") from error
        return 0.4

    table = search(tmp_path, tuning(), train)
    assert table["state"].tolist() == ["complete"] * 6 + ["pruned"] * 2
    assert table["epochs"].tolist()[6:] == [2, 2]


def test_a_training_that_fails_does_not_end_the_search(tmp_path):
    def train(settings: dict, number: int, report: Callable[[float], None]) -> float:
        if number == 1:
            raise BackendError("weights have grown out of bounds")
        return 0.5

    table = search(tmp_path, tuning(trials=3), train)
    assert table["state"].tolist() == ["complete", "failed", "complete"]


def test_what_matters_is_told_from_what_does_not(tmp_path):
    search(tmp_path, tuning(trials=20, pruning=False))
    found = importance(open_study(tmp_path / "trials.journal", tuning()))
    assert next(iter(found)) == "epochs"
    assert found["epochs"] > 0.8
    assert importance(open_study(tmp_path / "none/trials.journal", tuning())) == {}


def test_what_matters_is_told_of_all_trainings_also_where_the_base_has_no_such_setting(tmp_path):
    """The two best differ in what does nothing; all that are long are better."""
    own = tuning(trials=20, pruning=False, space={**SPACE, "dropout": {"low": 0.1, "high": 0.5}})
    search(tmp_path, own)
    found = importance(open_study(tmp_path / "trials.journal", own))
    assert found.keys() == {"optimizer.learning_rate", "epochs", "loss", "dropout"}
    assert next(iter(found)) == "epochs"
    assert found["epochs"] > 0.8


def test_nothing_matters_where_all_score_the_same(tmp_path):
    search(tmp_path, tuning(trials=12, pruning=False), lambda settings, number, report: 0.0)
    assert importance(open_study(tmp_path / "trials.journal", tuning())) == {}


def test_groups_are_not_divided_between_those_who_choose_and_judge():
    images = pd.DataFrame({"image_id": range(100), "group": [f"g{i // 7}" for i in range(100)]})
    choosing, judging = halves(images, seed=3)
    assert sorted(choosing + judging) == list(range(100))
    assert not {i // 7 for i in choosing} & {i // 7 for i in judging}
    assert abs(len(choosing) - len(judging)) <= 7


STEPS = {
    "epochs": {"low": 4, "high": 9, "step": 2},
    "freeze": {"low": 0, "high": 1, "step": 0.1},
    "image_size": {"low": 1000, "high": 1004, "step": 1.5},
}


@pytest.mark.parametrize("epochs", [4, 5])  # on the steps, and between two
def test_numbers_are_drawn_by_their_steps_whatever_the_base_has(tmp_path, epochs):
    own = tuning(space=STEPS, trials=12, pruning=False)
    study = open_study(tmp_path / "trials.journal", own)
    tried = []

    def train(settings: dict, number: int, report: Callable[[float], None]) -> float:
        tried.append(settings)
        return 0.5

    try_base(study, own, {"epochs": epochs, "freeze": 0.3, "image_size": 1001.5}, train)
    assert ("epochs" in study.trials[0].params) == (epochs == 4)
    work(study, own, train)
    assert len(tried) == 12
    for name, grid in (
        ("epochs", {4, 6, 8}),
        ("freeze", {n / 10 for n in range(11)}),
        ("image_size", {1000, 1001.5, 1003}),
    ):
        drawn = {settings[name] for settings in tried[1:]}
        assert len(drawn) > 1
        assert drawn <= grid


def test_the_steps_of_a_sweep_are_those_of_the_search():
    own = tuning(space=STEPS)
    parameters = sweep_config("steps", own, "mAP50")["parameters"]
    assert parameters["epochs"] == {"values": [4, 6, 8]}
    assert parameters["image_size"] == {"values": [1000, 1001.5, 1003]}
    assert parameters["freeze"]["values"] == [n / 10 for n in range(11)]
    given = {"epochs": 6, "freeze": 0.3, "image_size": 1003.0}
    assert tuning(space=STEPS, given=given).given == given
    with pytest.raises(ValidationError, match="given.epochs: 7 is not in its space"):
        tuning(space=STEPS, given={**given, "epochs": 7})


def test_a_sweep_has_the_same_space():
    config = sweep_config("rates", tuning(), "mAP50")
    assert config["command"][1:] == ["kedro", "tune", "rates", "--settings", "${args_json}"]
    assert config["metric"] == {"name": "mAP50", "goal": "maximize"}
    assert config["run_cap"] == 8
    assert config["parameters"] == {
        "optimizer.learning_rate": {
            "distribution": "log_uniform_values", "min": 0.001, "max": 0.1,
        },
        "epochs": {"distribution": "int_uniform", "min": 2, "max": 6},
        "loss": {"values": ["focal", {"dice": 1}]},
    }  # fmt: skip


def test_the_agents_of_a_sweep_train_in_its_environment():
    config = sweep_config("rates", tuning(), "mAP50", "mine")
    assert " ".join(config["command"][1:5]) == "kedro tune --env mine"


def test_settings_that_are_given_are_trained_with_and_no_others(tmp_path):
    search(tmp_path, tuning(trials=3, pruning=False))
    given = {"optimizer.learning_rate": 0.02, "epochs": 6, "loss": {"dice": 1}}
    table = search(tmp_path, tuning(trials=3, given=given))
    assert len(table) == 4
    assert json.loads(table["settings"].iloc[-1]) == given
    assert best_first(table)[0] == 3


def test_settings_that_are_given_are_trained_with_whatever_waits_before_them(tmp_path):
    search(tmp_path, tuning(trials=3, pruning=False))
    study = open_study(tmp_path / "trials.journal", tuning())
    study.enqueue_trial({"optimizer.learning_rate": 0.05, "epochs": 2, "loss": 0})
    given = {"optimizer.learning_rate": 0.02, "epochs": 6, "loss": {"dice": 1}}
    last = search(tmp_path, tuning(given=given, pruning=False)).iloc[-1]
    assert json.loads(last["settings"]) == given
    assert last["score"] == 0.6


def test_an_agent_trains_its_own_settings_whatever_others_ask_for_at_once(tmp_path, monkeypatch):
    search(tmp_path, tuning(trials=1))
    given = {"optimizer.learning_rate": 0.0234567, "epochs": 6, "loss": {"dice": 1}}
    others = {"optimizer.learning_rate": 0.05, "epochs": 2, "loss": "focal"}
    trained: list[dict] = []

    def train(settings: dict, number: int, report: Callable[[float], None]) -> float:
        trained.append(settings)
        if len(trained) == 1:  # another agent comes, and goes, while this one trains
            agent(others)
        return settings["epochs"] / 10

    def agent(settings: dict) -> pd.DataFrame:
        own = tuning(given=settings, pruning=False)
        study = open_study(tmp_path / "trials.journal", own)
        monkeypatch.setattr(study, "ask", lambda *args: pytest.fail("took what another asked for"))
        work(study, own, train)
        return trials_table(study)

    table = agent(given)
    assert trained == [{**given, "optimizer.learning_rate": 0.0235}, others]
    assert table["score"].tolist()[1:] == [0.6, 0.2]
    for settings, score in ((given, 0.6), (others, 0.2)):
        assert given_trial(table, tuning(given=settings))["score"] == score


def test_an_agent_that_was_killed_is_gone_on_with_by_the_search(tmp_path):
    given = {"optimizer.learning_rate": 0.02, "epochs": 6, "loss": {"dice": 1}}
    search(tmp_path, tuning(trials=1))

    def killed(*args: object) -> float:
        raise Killed

    own = tuning(given=given)
    with pytest.raises(Killed):
        work(open_study(tmp_path / "trials.journal", own), own, killed)
    table = search(tmp_path, tuning(trials=2, pruning=False))
    assert json.loads(table["settings"].iloc[-1]) == given
    assert table["trial"].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"epochs": 3}, "given should hold what space holds: loss, optimizer.learning_rate"),
        ({**BASE, "epochs": 7}, "given.epochs: 7 is not in its space"),
        ({**BASE, "loss": "lovasz"}, "given.loss: 'lovasz' is not in its space"),
    ],
)
def test_settings_outside_of_the_space_are_refused(given, message):
    with pytest.raises(ValidationError, match=message):
        tuning(given=given)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({}, "at least 1"),
        ({"epochs": {"low": 3, "high": 3}}, "low 3 is not below high 3"),
        ({"epochs": {"low": 0, "high": 3, "log": True}}, "needs a low above 0"),
        ({"loss": ["focal"]}, "space.loss has 1 values; give two or more"),
    ],
)
def test_a_space_without_a_choice_is_refused(space, message):
    with pytest.raises(ValidationError, match=message):
        tuning(space=space)
