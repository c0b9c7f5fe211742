"""Bad input stops before training, with one line that says which file and key, and what to do."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from clone import SMALL_SAMPLE, copy_project, kedro
from recycling.backends import is_installed
from recycling.sample import generate_sample


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample") / "sample"
    generate_sample(folder, SMALL_SAMPLE)
    return folder


@pytest.fixture
def project(tmp_path: Path, sample: Path) -> Path:
    project = copy_project(tmp_path / "recycling")
    raw = project / "data/01_raw/sample"
    raw.mkdir(parents=True)
    for path in sample.iterdir():
        (raw / path.name).symlink_to(path)
    return project


def replace(path: Path, text: str) -> None:
    path.unlink()
    path.write_text(text)


def change(project: Path, file: str, change) -> None:
    path = project / "conf/base" / file
    content = yaml.safe_load(path.read_text())
    change(content)
    path.write_text(yaml.safe_dump(content))


def first_model(content):
    return next(m for m in content["models"].values() if m["task"] == "det")


def refused(project: Path, *arguments: str) -> str:
    """The one line that a refused run ends with."""
    result = kedro(project, "run", *arguments)
    assert result.returncode != 0
    assert not re.search(r"\.fold\w+\.train\b", result.stdout)
    assert "Traceback" not in result.stdout + result.stderr
    lines = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert len(lines) == 1, result.stdout + result.stderr
    return lines[0]


def test_a_missing_file(project):
    (project / "data/01_raw/sample/train.json").unlink()
    line = refused(project)
    assert "data/01_raw/sample/train.json: not there" in line
    assert "make sample" in line


def test_a_file_that_is_not_json(project):
    replace(project / "data/01_raw/sample/train.json", "{'images': ")
    line = refused(project)
    assert "train.json" in line
    assert "JSON" in line


def test_an_annotation_without_a_box(project):
    path = project / "data/01_raw/sample/train.json"
    document = json.loads(path.read_text())
    del document["annotations"][3]["bbox"]
    replace(path, json.dumps(document))
    line = refused(project)
    assert "train.json" in line
    assert "bbox" in line


def test_an_image_folder_that_is_not_there(project):
    (project / "data/01_raw/sample/images").unlink()
    assert "data/01_raw/sample/images: not there" in refused(project)


def test_a_misspelt_model_name(project):
    def misspell(content):
        name = next(iter(content["models"]))
        content["ensembles"] = {"final": [name + "x"]}

    change(project, "models.yml", misspell)
    line = refused(project)
    assert "conf/base/models.yml: ensembles.final names" in line
    assert "did you mean" in line


def test_an_unknown_recipe(project):
    change(project, "models.yml", lambda c: first_model(c).update(recipe="yolox_nanoo"))
    line = refused(project)
    assert "models.yml: models." in line
    assert "no recipe 'yolox_nanoo'" in line
    assert "conf/recipes/mmdet" in line


@pytest.mark.skipif(is_installed("effdet"), reason="effdet is installed")
def test_a_recipe_whose_library_is_not_installed(project):
    change(project, "models.yml", lambda c: first_model(c).update(recipe="efficientdet_d0"))
    line = refused(project)
    assert "recipe: 'efficientdet_d0' needs effdet, which is not installed" in line
    assert 'pip install ".[efficientdet]"' in line


def test_official_weights_of_a_recipe_that_has_none(project):
    change(project, "models.yml", lambda c: first_model(c).update(pretrained="default"))
    line = refused(project)
    assert "models.yml: models." in line
    assert ".pretrained: default, but 'yolox_narrow' has no official weights" in line


def test_an_unknown_setting(project):
    change(project, "models.yml", lambda c: first_model(c).update(epoch=3))
    assert "did you mean 'epochs'" in refused(project)


@pytest.mark.skipif(is_installed("detectron2"), reason="detectron2 is installed")
def test_a_backend_that_is_not_installed(project):
    def insist(content):
        model = next(m for m in content["models"].values() if m["backend"] == "detectron2")
        model["skip_if_missing"] = False

    change(project, "models.yml", insist)
    assert "backend 'detectron2' is not installed; see https://" in refused(project)


def test_annotations_that_cleaning_leaves_faulty(project):
    def leave(content):
        content["cleaning"]["train"]["drop_degenerate_boxes"] = {"enabled": False}

    change(project, "parameters_cleaning.yml", leave)
    line = refused(project, "--pipeline", "data_cleaning")
    assert "train.annotations" in line
    assert "the box is wider than nothing" in line
    assert "e.g. annotation_id" in line


def test_a_wrong_type_in_a_parameter(project):
    change(project, "parameters_splitting.yml", lambda c: c["splitting"].update(n_splits="a few"))
    line = refused(project)
    assert "conf/base/parameters_splitting.yml: splitting.n_splits" in line


def test_an_unknown_pipeline(project):
    assert "training_dett" in refused(project, "--pipeline", "training_dett")


def test_a_run_whose_inputs_are_not_made_yet_says_who_makes_them(project):
    line = refused(project, "--pipeline", "splitting")
    assert "kedro run --to-outputs " in line
    assert "train.annotations" in line
    assert line.endswith(" --only-missing-outputs")


def test_a_configuration_that_is_not_yaml(project):
    (project / "conf/base/parameters_splitting.yml").write_text("splitting: {n_splits: 5")
    assert "parameters_splitting.yml" in refused(project)
