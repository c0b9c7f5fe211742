"""What the pages show can be copied: each command, each block."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from itertools import takewhile
from pathlib import Path

import click
import pytest
import yaml
from kedro.io import DataCatalog

from clone import kedro, project_with_images
from docs.pages import (
    FRONT_PAGES,
    PAGES,
    ROOT,
    blocks,
    commands,
    files,
    known_pipelines,
    write_files,
)
from recycling import pipeline_registry
from recycling.annotations import from_coco
from recycling.annotations.cleaning.rules.correct_annotations import (
    Correction,
    correct_annotations,
)
from recycling.cli import cli
from recycling.configuration import ConfigLoader
from recycling.ensembling import BOX_METHODS
from recycling.pipeline_registry import plan_of, register_pipelines
from recycling.plan.parameters import check_parameters
from recycling.settings import CONFIG_LOADER_ARGS

LANGUAGES = {"bash", "python", "yaml", "text"}
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


def with_blocks(*languages: str) -> pytest.MarkDecorator:
    """The pages that have blocks in one of these languages."""
    pages = [page for page in PAGES if any(blocks(page, each) for each in languages)]
    return pytest.mark.parametrize("page", pages, ids=lambda page: page.stem)


@each_page
def test_every_block_says_what_it_is(page):
    assert {block.language for block in blocks(page)} <= LANGUAGES


@pytest.mark.parametrize("page", [*PAGES, *FRONT_PAGES], ids=lambda page: page.stem)
def test_every_command_is_one_that_there_is(page):
    for line in commands(page):
        check_command(line)


def check_command(line: str) -> None:
    """Whether the program takes these words."""
    words = list(takewhile(">".__ne__, shlex.split(line, comments=True)))
    while words and re.fullmatch(r"\w+=\S+", words[0]):
        words.pop(0)
    program, *arguments = words
    match Path(program).name:
        case "export":
            assert re.fullmatch(r"\w+=\S+", arguments[0]), line
        case "make":
            assert set(arguments) <= TARGETS, line
        case "pip":
            extras = re.findall(r"\.\[(\w+)\]", line)
            assert "install" in arguments, line
            assert set(extras) <= set(EXTRAS), line
        case "kedro":
            check_kedro(arguments, line)
        case other:
            assert shutil.which(other, path=str(Path(sys.executable).parent)), line


def check_kedro(arguments: list[str], line: str) -> None:
    name, *rest = arguments
    if name == "viz":
        return
    command = cli.commands[name]
    given = command.make_context(name, rest).params if rest else {}
    assert isinstance(command, click.Command)
    env = given.get("env")
    assert env is None or (ROOT / "conf" / env).is_dir() or env in ("mine", "ENV"), line
    for pipeline in given.get("pipelines") or ():
        assert pipeline in known_pipelines(), line


@with_blocks("yaml")
def test_what_a_page_configures_is_accepted_by_a_run(page, tmp_path, monkeypatch):
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    (tmp_path / "data").symlink_to(ROOT / "sample")
    write_files(page, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path / "src")
    monkeypatch.setattr(BOX_METHODS, "_entries", dict(BOX_METHODS._entries))
    written = [block.file or "conf/local/" for block in blocks(page, "yaml")]
    for env in sorted({name.split("/")[1] for name in written}):
        config = ConfigLoader(str(tmp_path / "conf"), env=env, **CONFIG_LOADER_ARGS)
        monkeypatch.setattr(pipeline_registry, "_active", plan_of(config, tmp_path))
        check_parameters(register_pipelines(), config)
        catalog = DataCatalog.from_config(config["catalog"])
        for block in blocks(page, "yaml"):
            if block.file and "catalog" in block.file:
                for name in yaml.safe_load(block.text):
                    assert catalog.get(name) is not None


@pytest.mark.parametrize("shown", ["docs/label_errors.md", "conf/base/parameters_cleaning.yml"])
def test_the_corrections_that_are_shown_apply_one_after_the_other(shown):
    lines = re.findall(r"- (\{file_name: .*\})", (ROOT / shown).read_text())
    entries = [yaml.safe_load(line) for line in lines]
    there = [entry for entry in entries if not entry.get("add")]
    assert there
    names = ["Paper", "Metal", "Glass"]
    images = sorted({entry["file_name"] for entry in entries})
    labels = {(own["file_name"], own["category"], tuple(own["box"])) for own in there}
    annotations = [
        {"id": number, "image_id": images.index(image), "category_id": names.index(category),
         "bbox": [box[0], box[1], box[2] - box[0], box[3] - box[1]]}
        for number, (image, category, box) in enumerate(sorted(labels))
    ]  # fmt: skip
    document = {
        "images": [
            {"id": number, "file_name": image, "width": 128, "height": 128}
            for number, image in enumerate(images)
        ],
        "annotations": annotations,
        "categories": [{"id": number, "name": name} for number, name in enumerate(names)],
    }
    corrections = [Correction.model_validate(entry) for entry in entries]
    _, audit = correct_annotations(from_coco(document, where=shown), corrections=corrections)
    assert len(audit) == len(entries)


@with_blocks("python")
def test_the_python_of_a_page_runs(page, tmp_path):
    write_files(page, tmp_path)
    (tmp_path / "sample").symlink_to(ROOT / "sample")
    (tmp_path / "page.py").write_text("\n".join(block.text for block in blocks(page, "python")))
    ran = subprocess.run(
        [sys.executable, "page.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project after the whole chain, with all of its models for one epoch, and a second run."""
    project = project_with_images(tmp_path_factory.mktemp("docs") / "recycling")
    (project / ".venv").symlink_to(Path(sys.executable).parents[1])
    shutil.copy(ROOT / "Makefile", project)
    for models in (project / "conf").glob("*/models.yml"):
        text = re.sub(r"epochs: \d+", "epochs: 1", models.read_text())
        models.write_text(text)
    rounds = project / "conf/base/parameters_pseudo_labeling.yml"
    promise = "promise: {precision: 0.6, confidence: 0.8}"
    # Of one epoch nothing can be promised.
    rounds.write_text(rounds.read_text().replace(promise, "promise: null\n    score: 0.0"))
    for arguments in ((), ("--pipelines", "ensembling")):
        result = kedro(project, "run", *arguments, WANDB_MODE="offline")
        assert result.returncode == 0, result.stdout + result.stderr
    for name, ensemble in (("mine.csv", "final"), ("yours.csv", "searched")):
        made = project / f"data/07_model_output/det/{ensemble}/submission.csv"
        shutil.copy(made, project / name)
    return project


@pytest.mark.slow
@with_blocks("bash")
def test_the_commands_of_a_page_run(page, finished, tmp_path):
    project = tmp_path / "recycling"
    shutil.copytree(finished, project, symlinks=True)
    taco = os.environ.get("TACO_ROOT")
    lines = ["set -e", 'make() { command make -o install -o sample "$@"; }']
    for name, block in files(page):  # from top to bottom, as a reader goes
        if name is not None:
            folder = Path(name).parent
            lines += [f"mkdir -p {folder}", f"cat > {name} << 'END'", f"{block.text}END"]
        elif block.language == "bash" and "TACO_ROOT" not in block.text:
            lines.append(block.text)
        elif block.language == "bash" and taco is not None:
            lines.append(block.text.replace("path/to/taco", taco))
    path = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    ran = subprocess.run(
        ["bash", "-c", "\n".join(lines)],
        cwd=project,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr[-4000:]
