"""The benchmarks run and check their results."""

import subprocess
import sys
from pathlib import Path

import pytest

from bench import coco, scale

ROOT = Path(__file__).parents[2]


QUICK = {"scoring": "mAP", "submission": "masks", "image_checks": "near-duplicates"}
LONG = {
    "wbf": "weighted boxes fusion",
    "first_call": "the first call in a process",
    "soft_nms": "Soft-NMS",
    "calibration": "isotonic",
    "hard_vote": "vote",
    "soft_vote": "soft vote",
    "coco": "read",
    "splitting": "groups",
    "overhead": "overhead",
    "loaders": "seg, 0 workers, nothing in memory",
    "cluster": "a node that copies a line",
}
"""What each says. The long ones compile or train, 10 to 30 seconds each."""


@pytest.mark.parametrize(
    ("name", "said"),
    [*QUICK.items(), *(pytest.param(*item, marks=pytest.mark.slow) for item in LONG.items())],
)
def test_benchmark_ends_with_a_table_of_ratios(name, said):
    done = subprocess.run(
        [sys.executable, "-m", "bench", name, "--quick"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert said in done.stdout
    assert "ratio" in done.stdout


@pytest.mark.slow  # a process a step, each of which compiles or imports
def test_steps_at_scale_end_with_a_table_of_seconds_and_peaks(capsys):
    costs = scale.run(quick=True)
    assert all(cost.seconds > 0 for cost in costs)
    shown = capsys.readouterr().out
    assert "peak MB" in shown
    assert all(step in shown for step in scale.STEPS)


def test_an_unknown_benchmark_is_refused_with_the_known_ones():
    done = subprocess.run(
        [sys.executable, "-m", "bench", "nothing"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "wbf" in done.stderr


def test_a_peak_that_is_not_above_the_baseline_has_no_share(capsys):
    nothing = coco.Run(seconds=1.0, megabytes=0.0, summary={})
    coco.show_memory([coco.Pair("write", "json.dump", nothing, nothing)])
    assert "-" in capsys.readouterr().out
