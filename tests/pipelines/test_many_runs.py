"""Run after run in one process, as from a notebook, takes no more memory and open files."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from clone import copy_project

RUNS = 30

SCRIPT = """
import gc, json, os, sys
from pathlib import Path
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

def megabytes():
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

project = Path.cwd()
bootstrap_project(project)
seen = []
for _ in range(int(sys.argv[1])):
    with KedroSession.create(project_path=project) as session:
        session.run(pipeline_names=["ensembling"])
    seen.append((megabytes(), len(os.listdir("/proc/self/fd"))))
print(json.dumps(seen))
"""


@pytest.mark.slow
def test_thirty_runs_in_one_process_hold_memory_and_open_files_flat(tmp_path):
    project = copy_project(tmp_path / "recycling")
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(RUNS)],
        # Of what is freed, the allocator keeps more the more threads there are with arenas of
        # their own, ever slower; what is looked for here is what is not freed.
        env={**os.environ, "MALLOC_ARENA_MAX": "1"},
        cwd=project, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    memory, files = zip(*json.loads(ran.stdout.splitlines()[-1]), strict=True)
    # The first runs import and compile.
    assert max(files[5:]) == files[5], files
    assert memory[-1] < 1.05 * memory[5], memory
