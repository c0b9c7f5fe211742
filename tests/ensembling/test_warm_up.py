"""After installation no ensemble waits for the compiler."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

from numba.core import config

import recycling
from recycling.compiled import PassingCacheLocator, SharedCacheLocator
from recycling.ensembling.boxes.nms.kernel import keep_best

SOURCE = Path(recycling.__file__).parent


def test_the_loops_of_every_method_are_compiled_and_kept_on_disk(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-c", "from recycling.ensembling import compile_kernels as c; c()"],
        check=True,
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path), "NUMBA_CACHE_DIR": ""},
    )
    # What is compiled of a file is in a folder called after the file's folder.
    kept = {path.parent.name.rsplit("-", 1)[0] for path in tmp_path.rglob("*.nbi")}
    kernels = {path.parent.name for path in (SOURCE / "ensembling").rglob("kernel.py")}
    assert kept == kernels != set()


def test_compiled_loops_call_none_of_another_file() -> None:
    # numba's cache notices changes to a function's own file only: it would keep what is stale.
    loops = [path for path in SOURCE.rglob("*.py") if "@njit" in path.read_text()]
    assert loops
    for path in loops:
        nodes = ast.walk(ast.parse(path.read_text()))
        imported = [node.module for node in nodes if isinstance(node, ast.ImportFrom)]
        ours = {name for name in imported if name and name.startswith("recycling")}
        assert ours == {"recycling.compiled"}, path


def test_copies_share_what_is_compiled_of_the_same_file_and_not_of_another(tmp_path: Path) -> None:
    kernel = SOURCE / "ensembling/boxes/nms/kernel.py"
    first, second, changed = (tmp_path / name / "nms/kernel.py" for name in "abc")
    for copy in (first, second, changed):
        copy.parent.mkdir(parents=True)
        shutil.copy(kernel, copy)
    changed.write_text(changed.read_text() + "# changed\n")
    folders = [SharedCacheLocator(keep_best.py_func, str(copy)).get_cache_path() for copy in
               (kernel, first, second, changed)]  # fmt: skip
    assert folders[0] == folders[1] == folders[2] != folders[3]


def test_without_a_folder_to_write_to_kernels_are_compiled_for_this_process() -> None:
    kernel = SOURCE / "ensembling/boxes/nms/kernel.py"
    locator = PassingCacheLocator.from_function(keep_best.py_func, str(kernel))
    assert Path(locator.get_cache_path()).is_dir()
    assert not Path(locator.get_cache_path()).is_relative_to(SOURCE)
    assert config.CACHE_LOCATOR_CLASSES.endswith("recycling.compiled.PassingCacheLocator")
