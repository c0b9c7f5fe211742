"""First calls are hurried, and leave Python and numba as they were."""

from __future__ import annotations

import gc
import subprocess
import sys

import pytest
from numba.core.base import BaseContext

from recycling.ensembling.loading import first_call_of

FIRST_CALLS = """
import gc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
from numba.core.base import BaseContext

from recycling.ensembling import EnsemblingError, hard_vote, nms, weighted_boxes_fusion
from recycling.predictions import DETECTIONS

before = BaseContext.refresh
good = pd.DataFrame([[1, 1, 0.5, 0.0, 0.0, 9.0, 9.0]], columns=DETECTIONS.names)
try:
    nms([good.assign(x_min=10.0)])
except EnsemblingError:
    pass
assert BaseContext.refresh is before and gc.isenabled()
with ThreadPoolExecutor() as pool:
    fused = pool.submit(weighted_boxes_fusion, [good, good])
    voted = pool.submit(hard_vote, np.ones((2, 4, 4), np.uint8), ranks=[0, 1])
assert len(fused.result()) == 1 and (voted.result() == 1).all()
assert BaseContext.refresh is before and gc.isenabled()
"""


def test_first_calls_that_fail_or_come_at_once_leave_python_and_numba_as_they_were():
    subprocess.run([sys.executable, "-c", FIRST_CALLS], check=True)


def test_a_first_call_that_raises_leaves_python_and_numba_as_they_were():
    before, collecting = BaseContext.refresh, gc.isenabled()

    def fail():
        assert BaseContext.refresh is not before
        assert not gc.isenabled()
        raise RuntimeError

    with pytest.raises(RuntimeError), first_call_of(fail):
        fail()
    assert BaseContext.refresh is before
    assert gc.isenabled() == collecting
