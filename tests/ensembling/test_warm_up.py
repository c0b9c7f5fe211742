"""After installation no ensemble waits for the compiler."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import recycling

SOURCE = Path(recycling.__file__).parent


def test_the_loops_of_every_method_are_compiled_and_kept_on_disk(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-c", "from recycling.ensembling import compile_kernels as c; c()"],
        check=True,
        env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)},
    )
    # numba keeps what it compiles of a file in a folder called after the file's folder.
    kept = {path.parent.name.rsplit("_", 1)[0] for path in tmp_path.rglob("*.nbi")}
    kernels = {path.parent.name for path in (SOURCE / "ensembling").rglob("kernel.py")}
    assert kept == kernels != set()


def test_compiled_loops_call_none_of_another_file() -> None:
    # numba's cache notices changes to a function's own file only: it would keep what is stale.
    loops = [path for path in SOURCE.rglob("*.py") if "@njit" in path.read_text()]
    assert loops
    for path in loops:
        nodes = ast.walk(ast.parse(path.read_text()))
        imported = [node.module for node in nodes if isinstance(node, ast.ImportFrom)]
        assert not [name for name in imported if name and name.startswith("recycling")], path
