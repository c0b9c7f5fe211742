"""A clone of the project, with a small sample as its data, and its commands."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from commands import kedro_command
from recycling.hooks.report import OWN_FAULT
from recycling.sample import SampleSettings, generate_sample

ROOT = Path(__file__).parent.parent

SMALL_SAMPLE = SampleSettings(image_size=128, train_images=100, pool_images=12, test_images=12)


def kedro(project: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a kedro command in a project, as a user does; one that has faults of its own fails.

    With variables it runs in an interpreter of its own, else in one that has imported already.
    """
    if environment:
        result = subprocess.run(
            [sys.executable, "-m", "kedro", *arguments],
            cwd=project,
            env={**os.environ, "COLUMNS": "160", **environment},
            capture_output=True,
            text=True,
            timeout=3600,
            check=False,
        )
    else:
        result = kedro_command(project, arguments)
    assert OWN_FAULT not in result.stdout + result.stderr, result.stdout + result.stderr
    return result


def copy_project(target: Path) -> Path:
    """A clone of the project, as git would make it."""
    target.mkdir()
    for name in ("conf", "sample"):
        shutil.copytree(ROOT / name, target / name)
    shutil.copy(ROOT / "pyproject.toml", target)
    shutil.copy(ROOT / ".telemetry", target)
    (target / "src").mkdir()  # the package itself is installed
    return target


def project_with_images(target: Path) -> Path:
    """A clone of the project that has images, and nothing that a run has made."""
    project = copy_project(target)
    generate_sample(project / "data/01_raw/sample", SMALL_SAMPLE)
    return project


def models_of(project: Path) -> dict[str, dict[str, Any]]:
    """The models of a project, as `models.yml` has them."""
    text = (project / "conf/base/models.yml").read_text()
    models: dict[str, dict[str, Any]] = yaml.safe_load(text)["models"]
    return models


def set_models(project: Path, models: dict[str, Any], **others: Any) -> None:
    """Write the models of a project, and what else `models.yml` is to say."""
    path = project / "conf/base/models.yml"
    configuration = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({**configuration, **others, "models": models}))


def set_parameters(project: Path, parameters: dict[str, Any]) -> None:
    """Write parameters of the user's own."""
    path = project / "conf/local/parameters_of_a_test.yml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(parameters))
