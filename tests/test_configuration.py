"""The configuration: what is misspelt is refused, what is replaced is said, and files are named."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from recycling import configuration
from recycling.annotations import Cleaning
from recycling.configuration import ConfigLoader, ConfigurationError
from recycling.plan.parameters import source_of
from recycling.settings import CONFIG_LOADER_ARGS

BASE = """
splitting: {method: random, n_splits: 5, seed: 0}
cleaning:
  train: {clip_boxes: {enabled: true}, relabel: {enabled: false}}
models: {yolox: {task: det, epochs: 20}}
"""


@pytest.fixture
def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for env in ("base", "mine", "local"):
        (tmp_path / "conf" / env).mkdir(parents=True)
    (tmp_path / "conf/base/parameters.yml").write_text(BASE)
    return tmp_path / "conf"


def loader(conf: Path, env: str | None = None, **params: object) -> ConfigLoader:
    arguments = {**CONFIG_LOADER_ARGS, "custom_resolvers": None}
    return ConfigLoader(str(conf), env=env, runtime_params=params, **arguments)


def refused(conf: Path, env: str | None = None, **params: object) -> str:
    with pytest.raises(ConfigurationError) as caught:
        loader(conf, env, **params)["parameters"]
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_nested_parameter_of_the_command_line_keeps_its_siblings_in_every_environment(conf):
    (conf / "mine/parameters.yml").write_text("cleaning: {train: {}}")
    changed = {"method": "random", "n_splits": 3, "seed": 0}
    for env in ("base", "local", "mine"):
        assert loader(conf, env, splitting={"n_splits": 3})["parameters"]["splitting"] == changed


def test_the_command_line_wins_over_the_environment(conf):
    (conf / "mine/parameters.yml").write_text("splitting: {n_splits: 4, seed: 1}")
    found = loader(conf, "mine", splitting={"n_splits": 3})["parameters"]["splitting"]
    assert found == {"n_splits": 3, "seed": 1}


def test_an_unknown_parameter_of_the_command_line_is_refused_with_the_nearest(conf):
    assert refused(conf, splittin={"n_splits": 3}) == (
        "--params: no parameter 'splittin'; did you mean 'splitting'?"
    )


def test_settings_of_a_model_that_there_is_not_are_refused_with_the_nearest(conf):
    assert refused(conf, models={"yolx": {"epochs": 3}}) == (
        "--params: no model 'yolx'; did you mean 'yolox'?"
    )


def test_a_parameter_that_the_catalog_asks_for_is_known(conf):
    (conf / "base/catalog.yml").write_text('a: {filepath: "${runtime_params:root, data}"}')
    assert loader(conf, root="elsewhere")["parameters"]["splitting"]["seed"] == 0


def test_a_file_of_the_environment_is_given_what_it_asks_of_the_command_line(conf):
    (conf / "mine/parameters.yml").write_text(
        'splitting: {method: random, n_splits: "${runtime_params:how_many, 4}", seed: 0}'
    )
    for given in ({}, {"splitting": {"seed": 1}}):
        found = loader(conf, "mine", how_many=3, **given)["parameters"]["splitting"]
        assert found["n_splits"] == 3
    assert loader(conf, "mine")["parameters"]["splitting"]["n_splits"] == 4


def test_what_a_section_of_an_environment_leaves_out_is_said(conf, caplog):
    caplog.set_level(logging.INFO, "recycling")
    (conf / "mine/parameters_own.yml").write_text(
        "splitting: {n_splits: 4}\ncleaning: {train: {clip_boxes: {}}}\nmodels: {}"
    )
    configuration._say_once.cache_clear()
    for _ in range(2):  # one command reads them several times, and says it once
        loader(conf, "mine")["parameters"]
    assert [record.getMessage() for record in caplog.records] == [
        "conf/mine/parameters_own.yml: splitting replaces that of conf/base/parameters.yml whole; "
        "left at its default: splitting.method, splitting.seed",
        "conf/mine/parameters_own.yml: cleaning replaces that of conf/base/parameters.yml whole; "
        "left at its default: cleaning.train.clip_boxes.enabled, cleaning.train.relabel",
    ]


def test_an_environment_without_rounds_of_pseudo_labels_is_not_said_to_have_the_default(
    conf, caplog
):
    caplog.set_level(logging.INFO, "recycling")
    (conf / "base/parameters_rounds.yml").write_text("pseudo_labeling: {pseudo: {cap: 2}}")
    (conf / "mine/parameters_rounds.yml").write_text("pseudo_labeling: {}")
    configuration._say_once.cache_clear()
    assert loader(conf, "mine")["parameters"]["pseudo_labeling"] == {}
    assert "pseudo_labeling" not in caplog.text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"seed: 1\nseed: 2\n", " line 2: not valid YAML: found duplicate key seed; keep one"),
        (b"a: {b: 1\n", " line 2: not valid YAML: did not find expected ',' or '}'"),
        (b"a:\n\tb: 1\n", " line 2: not valid YAML: found character"),
        (b"a: 1\nb: gr\xfcn\n", " line 2: not UTF-8 text"),
        (b"- a\n- b\n", ": should be keys with their values, not a list"),
    ],
)
@pytest.mark.parametrize("env", ["base", "mine"])
def test_a_file_that_cannot_be_read_is_named_with_the_line(conf, env, content, message):
    (conf / env / "parameters_own.yml").write_bytes(content)
    assert f"conf/{env}/parameters_own.yml{message}" in refused(conf, "mine")


def test_a_parameter_in_two_files_names_both(conf):
    (conf / "base/parameters_more.yml").write_text("splitting: {seed: 1}")
    line = refused(conf)
    assert "conf/base/parameters.yml" in line
    assert "conf/base/parameters_more.yml" in line
    assert "splitting.seed; keep one of them" in line


@pytest.mark.parametrize(
    ("key", "where"),
    [
        ("splitting.n_splits", "--params"),
        ("splitting.n_splits.0", "--params"),
        ("splitting", "conf/base/parameters.yml with --params"),
        ("splitting.seed", "conf/base/parameters.yml"),
        ("cleaning.train", "conf/mine/parameters.yml"),
    ],
)
def test_where_a_parameter_was_set(conf, key, where):
    (conf / "mine/parameters.yml").write_text("cleaning: {train: {}}")
    assert source_of(key, loader(conf, "mine", splitting={"n_splits": 3})) == where


def test_recipes_and_baselines_are_where_the_configuration_is(conf, tmp_path):
    (conf / "base/globals.yml").write_text("baselines: ${conf:base/baselines}")
    (conf / "base/catalog.yml").write_text('a: {filepath: "${conf:recipes}"}')
    moved = conf.rename(tmp_path / "elsewhere")
    found, _ = loader(moved), loader(tmp_path / "another")
    assert found["catalog"]["a"]["filepath"] == str(moved / "recipes")
    assert found["globals"]["baselines"] == str(moved / "base/baselines")


@pytest.mark.parametrize("env", ["base", "taco", "taco_ten", "taco_litter"])
def test_images_that_look_alike_are_drawn_together_for_intervals_on_test_images(env):
    path = Path(__file__).parents[1] / "conf" / env / "parameters_cleaning.yml"
    rules = yaml.safe_load(path.read_text())["cleaning"]
    assert Cleaning.model_validate(rules["test"]).group_near_duplicates.enabled


def test_each_part_is_read_once_and_what_one_reader_changes_another_does_not_see(conf):
    config = loader(conf)
    config["parameters"]["models"].clear()
    (conf / "base/parameters.yml").write_text("models: no mapping")
    assert config["parameters"]["models"].keys() == {"yolox"}
    config["parameters"] = {"models": {}}  # as Kedro lets one set it
    assert config["parameters"] == {"models": {}}


def test_a_command_begins_without_what_draws_or_trains():
    """Each costs half a second or more."""
    code = (
        "import sys, recycling.settings, recycling.pipeline_registry; "
        "print({'matplotlib', 'torch', 'mmengine', 'optuna'} & sys.modules.keys())"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "set()"
