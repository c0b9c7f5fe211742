"""The benchmark of the loaders runs and checks its results."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mmdet")

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_loaders_are_compared_for_each_task() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench", "loaders", "--quick"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for task in ("cls", "det", "seg"):
        assert f"{task}, 0 workers, nothing in memory" in done.stdout
    assert "the step waited" in done.stdout
