"""An agent of a sweep is told the score of the training that it has asked for."""

import os
import subprocess
import sys

from tracking.wandb_log import logged

PROGRAM = """
from recycling.tracking.sweeps import is_agent, log_score
assert is_agent()
log_score("mAP50", 0.25)
"""


def test_the_score_is_that_of_the_run_which_the_agent_has_named(tmp_path):
    # What `wandb agent` sets for the programs that it starts.
    agent = {"WANDB_SWEEP_ID": "s1", "WANDB_RUN_ID": "r1", "WANDB_PROJECT": "waste"}
    subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, **agent, "WANDB_MODE": "offline", "WANDB_DIR": str(tmp_path)},
        check=True,
    )
    (own,) = logged(tmp_path / "wandb").values()
    assert (own.run.run_id, own.run.sweep_id) == ("r1", "s1")
    assert own.summary["mAP50"] == 0.25
