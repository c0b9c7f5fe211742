"""After installation no ensemble waits for the compiler."""

from __future__ import annotations

import ast
from pathlib import Path

import recycling
from recycling.ensembling import compile_kernels


def test_the_loops_for_inputs_of_usual_size_are_compiled():
    compile_kernels()

    from recycling.ensembling import _fusion_kernels, _mask_kernels

    loops = [_fusion_kernels.fuse, _fusion_kernels.suppress, _mask_kernels.vote_of_few]
    assert all(len(loop.signatures) == 1 for loop in loops)


def test_compiled_loops_call_none_of_another_file():
    # numba's cache notices changes to a function's own file only: it would keep what is stale.
    for path in Path(recycling.__file__).parent.rglob("_*_kernels.py"):
        nodes = ast.walk(ast.parse(path.read_text()))
        imported = [one.module for one in nodes if isinstance(one, ast.ImportFrom)]
        assert not [name for name in imported if name and name.startswith("recycling")], path
