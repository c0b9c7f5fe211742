"""Over drawn worlds the chosen ensemble is no worse than the better of default and best member."""

import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("task", ["cls", "det", "seg"])
def test_the_chosen_ensemble_does_not_lose_on_fresh_images(task, tmp_path, monkeypatch):
    # Among the tests, `bench` is this folder.
    monkeypatch.syspath_prepend(str(ROOT))
    for name in [name for name in sys.modules if name == "bench" or name.startswith("bench.")]:
        monkeypatch.delitem(sys.modules, name)
    worlds = import_module("bench.worlds")
    found = worlds.worlds(task, 12, 200, tmp_path)
    gains = (found["chosen"] - found["reference"]).to_numpy()
    assert gains.mean() > -gains.std(ddof=1) / np.sqrt(len(gains))
    # What is drawn is drawn again, and what is kept is not.
    again = worlds.worlds(task, 12, 200, tmp_path)
    assert again.equals(found)
