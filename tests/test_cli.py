"""The project's own commands, as a user runs them."""

from __future__ import annotations

import errno
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import yaml

from commands import kedro_command
from recycling.annotations import read_tables, write_tables
from recycling.backends import Anchors, Recipes
from recycling.backends.shared.recipes import list_recipes
from recycling.cli.experiments import print_table
from recycling.errors import message_for_user
from recycling.experiments import Manifest, Runs

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's configuration, with a recipe of a user's own."""
    project = tmp_path_factory.mktemp("project")
    shutil.copytree(ROOT / "conf", project / "conf")
    for name in ("pyproject.toml", ".telemetry"):
        shutil.copy(ROOT / name, project)
    (project / "src").mkdir()  # the package itself is installed
    recipe = project / "conf/recipes/mmseg/mine.py"
    recipe.write_text("# My network. Needs no_such_library.\n# Reports: B\nmodel = dict()\n")
    return project


def kedro(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return kedro_command(project, arguments, columns=80, timeout=120)


def rows(output: str) -> list[list[str]]:
    """The cells of each recipe's line."""
    found = [line.split("   ") for line in output.splitlines()]
    cells = [[cell.strip() for cell in line if cell.strip()] for line in found]
    return [line for line in cells if len(line) == 6 and line[0] in ("cls", "det", "seg")]


def test_recipes_are_listed_in_a_line_each_even_where_a_library_is_missing(project):
    result = kedro(project, "recipes")
    assert result.returncode == 0, result.stderr
    expected = list_recipes(Recipes(project / "conf/recipes"))
    found = rows(result.stdout)
    assert [line[2] for line in found] == [recipe.name for recipe in expected]
    weights = "fcn_unet_s5-d16_4x4_512x1024_160k_cityscapes_20211210_145204-6860854e.pth"
    assert ["seg", "mmseg", "unet", "29.1", "B", f"mmassets.onedl.ai {weights}"] in found
    (dconv,) = [line for line in found if line[2] == "tood_x101_dconv"]
    assert dconv[-1].endswith("-a4f36113.pth (as tood_x101)")
    assert ["seg", "mmseg (no_such_library not installed)", "mine", "-", "B", "-"] in found
    assert f"\n{len(expected)} recipes\n" in result.stdout
    assert "\n-: the comment at the top of the recipe does not say\n" in result.stdout
    assert "\nno_such_library is not installed: pip install no_such_library\n" in result.stdout


def test_recipes_of_one_task_can_be_listed(project):
    result = kedro(project, "recipes", "--task", "cls")
    assert result.returncode == 0, result.stderr
    assert {line[0] for line in rows(result.stdout)} == {"cls"}
    assert "no_such_library" not in result.stdout


def test_a_recipe_whose_first_lines_make_no_sense_is_an_error_of_one_line(project):
    recipe = project / "conf/recipes/mmseg/broken.py"
    recipe.write_text("# Parameters: many\n")
    try:
        result = kedro(project, "recipes", "--task", "seg")
    finally:
        recipe.unlink()
    assert result.returncode == 1
    errors = [line for line in result.stderr.splitlines() if "broken" in line]
    assert len(errors) == 1
    assert errors[0].startswith("Error: ")
    assert errors[0].endswith(
        "broken.py: '# Parameters: many' is not a number such as 8,941,165; correct it"
    )


def test_anchors_that_fit_the_boxes_are_proposed_as_a_setting(project):
    shutil.copytree(ROOT / "sample/03_primary/train", project / "data/03_primary/train")
    result = kedro(project, "anchors", "--image-size", "112")
    assert result.returncode == 0, result.stderr
    table = read_tables(project / "data/03_primary/train")
    lines = {line.split("  ")[1]: line for line in result.stdout.splitlines() if "%" in line}
    assert set(lines) == {"all", *table.categories["name"]}
    usual, proposed = (float(share) for share in re.findall(r"([\d.]+)%", lines["all"]))
    assert proposed > usual
    setting = yaml.safe_load(result.stdout.rpartition("or: ")[2])
    Anchors.model_validate(setting["anchors"])


def test_names_in_a_table_are_printed_as_they_are(capsys):
    names = ["Plastic [clear]", "[/x]", ":key:"]
    print_table(pd.DataFrame({"of": names, "mAP50 [box]": [0.5, 0.25, 0.125]}))
    head, _, *rows = capsys.readouterr().out.strip().splitlines()
    assert head.rstrip().endswith("mAP50 [box]")
    assert [re.split("  +", row.strip())[0] for row in rows] == names


def test_nothing_in_a_table_steers_the_terminal(capsys):
    print_table(pd.DataFrame({"of\x1b[2J": ["Glass\x1b]52;c;eA==\x07"]}))
    printed = capsys.readouterr().out
    assert "of<character U+001B>[2J" in printed
    assert "Glass<character U+001B>]52;c;eA==<character U+0007>" in printed
    assert printed.replace("\n", "").isprintable()


def test_an_anchor_of_a_category_with_brackets_is_listed(project):
    train = read_tables(ROOT / "sample/03_primary/train")
    names = train.categories["name"].where(train.categories["category_id"] > 1, "[/x]")
    renamed = replace(train, categories=train.categories.assign(name=names))
    write_tables(renamed, project / "data/03_primary/train")
    result = kedro(project, "anchors", "--image-size", "112")
    assert result.returncode == 0, result.stderr
    assert "\n  [/x]  " in result.stdout


def test_a_run_that_has_a_name_gets_another_one(project):
    runs = Runs(project / "data/08_reporting/runs")
    run = Manifest("2026-11-29T01", {}, "2026-11-29T01:00:00+00:00", state="completed")
    runs.folder(run.run_id).write(replace(run, name="baseline"))
    result = kedro(project, "experiments", "--name", "baseline", "final")
    assert result.returncode == 0, result.stderr
    assert result.stdout == "2026-11-29T01 is called final\n"
    result = kedro(project, "experiments", "--models")
    assert "no run has scored anything yet; kedro experiments lists the runs" in result.stderr


def test_status_lists_what_is_stale_missing_and_made_in_80_columns(project):
    result = kedro(project, "status", "--pipelines", "splitting,training_det")
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert "missing  det.yolox.fold0.checkpoint" in lines
    assert lines[-1].startswith("0 made, ")
    assert max(len(line) for line in lines if not line.startswith("[")) <= 80
    record = project / "data/.made/fold_balance.json"
    try:
        balance = project / "data/08_reporting/fold_balance.parquet"
        balance.parent.mkdir(parents=True, exist_ok=True)
        balance.touch()
        result = kedro(project, "status", "--pipelines", "splitting", "--all")
        assert "stale    fold_balance: follows from folds" in result.stdout.splitlines()
        assert not record.exists()
        unknown = kedro(project, "status", "--pipelines", "splittin")
        assert unknown.returncode == 1
        assert "no pipeline 'splittin'; known: " in unknown.stderr
    finally:
        balance.unlink()


UNPREDICTABLE = {
    "nowhere --with det.final": "nowhere: no such file or folder; check the path",
    "photo.png --with det.yolox": "det.yolox.fold0 is not trained; kedro run ",
    "photo.png --with det.final --promised-precision 0.9": "there are no out-of-fold predictions",
    "photo.png --with det.final --promised-precision 0.9 --score-threshold 0.5": "not both",
    "photo.png --with det.final --promised-precision 0.9 --tiles 640": "says nothing of --tiles",
    "photo.png --with cls.final --promised-precision 0.9 --crops-of det.final": (
        "says nothing of --crops-of"
    ),
}


def test_a_side_that_is_named_twice_is_refused_in_one_line(project):
    result = kedro(project, "compare", "det.yolox", "det.fcos", "det.yolox")
    assert result.returncode == 1
    assert "Error: det.yolox is named twice; name each side once" in result.stderr.splitlines()


def test_what_cannot_be_predicted_is_said_in_one_line(project):
    shutil.copy(ROOT / "docs/viewer.jpg", project / "photo.png")
    for line, said in UNPREDICTABLE.items():
        result = kedro(project, "predict", *line.split())
        assert result.returncode == 1, line
        assert result.stderr.count("Error: ") == 1, result.stderr
        assert said in " ".join(result.stderr.split())


@pytest.fixture
def mine(project: Path) -> Iterator[Path]:
    """The project with an environment that searches; its base has a model of detectron2."""
    (project / "conf/mine").mkdir()
    search = {"few": {"base": "yolox", "space": {"epochs": [1, 2, 3]}}}
    # Said as the parameters are read, whichever libraries are there.
    settings = {"tuning": search, "experiments": {}}
    (project / "conf/mine/parameters.yml").write_text(yaml.safe_dump(settings))
    yield project
    shutil.rmtree(project / "conf/mine")


def test_a_sweep_is_yaml_and_nothing_else_and_trains_in_its_environment(mine):
    result = kedro(mine, "tune", "few", "--sweep", "--env", "mine")
    assert result.returncode == 0, result.stderr
    assert "experiments replaces that of" in " ".join(result.stderr.split())
    sweep = yaml.safe_load(result.stdout)
    assert sweep["command"][1:] == [
        "kedro", "tune", "--env", "mine", "few", "--settings", "${args_json}",
    ]  # fmt: skip


def test_what_trains_a_model_is_said_of_the_environment_that_was_asked(mine):
    shutil.copy(ROOT / "docs/viewer.jpg", mine / "photo.png")
    result = kedro(mine, "predict", "--env", "mine", "photo.png", "--with", "det.yolox")
    said = " ".join(result.stderr.split())
    assert "not trained; kedro run --env mine --namespaces det.yolox.fold0" in said


@pytest.mark.parametrize("command", ["predict photo.png --with det.final", "export det.yolox"])
def test_of_data_elsewhere_the_folder_that_is_written_is_asked_for(
    project, tmp_path, monkeypatch, command
):
    monkeypatch.setenv("RECYCLING_CACHE", str(tmp_path))
    conf = project / "conf/elsewhere"
    conf.mkdir(exist_ok=True)
    (conf / "globals.yml").write_text("data: memory://waste\n")
    result = kedro(project, *command.split(), "--env", "elsewhere")
    assert result.returncode == 1
    said = " ".join(result.stderr.split())
    assert "Error: globals.yml: data: memory://waste is elsewhere" in said
    assert "name their folder with --to" in said
    assert not list(tmp_path.rglob("07_model_output"))


def test_a_machine_joins_no_trainings_that_it_cannot_see(project, tmp_path, monkeypatch):
    monkeypatch.setenv("RECYCLING_CACHE", str(tmp_path))
    conf = project / "conf/elsewhere"
    conf.mkdir(exist_ok=True)
    (conf / "globals.yml").write_text("data: memory://waste\n")
    result = kedro(project, "join", "--env", "elsewhere")
    assert result.returncode == 1
    assert "06_models/runs: is of this machine alone; let data in" in " ".join(
        result.stderr.split()
    )


def test_a_full_disk_is_said_in_one_line_wherever_it_is_met():
    error = OSError(errno.ENOSPC, "No space left on device", "data/x.json")
    assert message_for_user(error).startswith("data/x.json: No space left on device; ")
    assert message_for_user(OSError(errno.EBADF, "Bad file descriptor")) is None
