"""The project as a wheel: installed elsewhere, it runs the main job on a configuration."""

from __future__ import annotations

import os
import shutil
import site
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from clone import ROOT, SMALL_SAMPLE
from recycling.sample import generate_sample


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that the wheel is installed in, its libraries at hand."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    shutil.copytree(ROOT / "src", source / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, source]
    subprocess.run(build, check=True, capture_output=True)
    venv.create(folder / "environment", symlinks=True)
    installed = next((folder / "environment/lib").glob("*/site-packages"))
    zipfile.ZipFile(next(folder.glob("*.whl"))).extractall(installed)
    (installed / "libraries.pth").write_text("\n".join(site.getsitepackages()))
    return folder / "environment/bin/python"


def run(python: Path, folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "KEDRO_ENV")}
    return subprocess.run(
        [python, "-m", "recycling", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_a_wheel_runs_the_main_job_on_a_packaged_configuration(python, tmp_path):
    generate_sample(tmp_path / "here/data/01_raw/sample", SMALL_SAMPLE)
    (tmp_path / "packed").mkdir()
    archive = shutil.make_archive(
        str(tmp_path / "packed/conf-recycling"), "gztar", root_dir=ROOT, base_dir="conf"
    )
    arguments = ("--conf-source", archive, "--pipelines", "data_cleaning,splitting")
    result = run(python, tmp_path / "here", *arguments)
    assert result.returncode == 0, result.stdout + result.stderr
    folds = pd.read_parquet(tmp_path / "here/data/05_model_input/folds.parquet")
    assert set(folds["fold"]) == {0, 1, 2, 3, 4}
    assert not (tmp_path / "here/conf").exists()


def test_an_error_of_the_main_job_is_one_line(python, tmp_path):
    result = run(python, tmp_path, "--conf-source", ROOT / "conf", "--pipelines", "splittin")
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == (
        "Error: --pipelines: no pipeline 'splittin'; did you mean 'splitting'?"
    )
    assert "Traceback" not in result.stdout + result.stderr


def test_a_file_that_is_no_archive_is_one_line(python, tmp_path):
    (tmp_path / "conf.tar.gz").write_text("no archive")
    result = run(python, tmp_path, "--conf-source", "conf.tar.gz")
    assert result.returncode == 1
    assert "conf.tar.gz: not a readable archive" in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stdout + result.stderr
