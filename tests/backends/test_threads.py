"""Trainings and predictions leave the processors to others where they gain nothing from them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from recycling.backends import Model
from recycling.backends.shared.threads import set_threads, threads_kept


@pytest.mark.parametrize(
    ("policy", "expected"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")], ids=["not set", "set"]
)
def test_openmp_waits_asleep_before_torch_is_loaded_unless_the_user_says_otherwise(
    policy: str | None, expected: str
) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"}
    if policy is not None:
        environment["OMP_WAIT_POLICY"] = policy
    asked = (
        "import sys, subprocess, recycling.hooks; from recycling.backends import backend_for;"
        "assert 'torch' not in sys.modules;"
        # as loaders and the processes of a training on several devices are started
        "subprocess.run([sys.executable, '-c', "
        "'import os; print(os.environ[\"OMP_WAIT_POLICY\"])'])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", asked], env=environment, capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == expected


@pytest.mark.parametrize(
    ("image_size", "asked", "expected"),
    [(112, "", 1), (448, "", len(os.sched_getaffinity(0))), (448, "1", 1), (112, "2", 2),
     (112, "3,2", 3), (112, "all", 1)],
    ids=["small", "large", "large, as asked", "small, as asked", "levels", "no number"],
)  # fmt: skip
def test_a_small_network_gets_one_thread_and_a_large_one_all(
    image_size: int, asked: str, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    model = Model.model_construct(batch_size=8, image_size=image_size)
    before = torch.get_num_threads()
    with threads_kept():
        set_threads(torch.nn.Linear(1000, 1000), model)
        assert torch.get_num_threads() == expected
    assert torch.get_num_threads() == before
