"""After installation no ensemble waits for the compiler."""

from __future__ import annotations

from recycling.ensembling import compile_kernels


def test_the_loops_for_inputs_of_usual_size_are_compiled():
    compile_kernels()

    from recycling.ensembling import _fusion_kernels, _mask_kernels

    loops = [_fusion_kernels.fuse, _fusion_kernels.suppress, _mask_kernels.vote_of_few]
    assert all(len(loop.signatures) == 1 for loop in loops)
