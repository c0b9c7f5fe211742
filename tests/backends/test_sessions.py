"""A library is used by one thread at a time, which finds the process as it was and leaves it so."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("mmengine")

from recycling.backends.mmengine_backend import session


def test_two_threads_do_not_silence_one_another_for_good():
    before, inside = sys.stdout, threading.Event()

    def second():
        with session.silence():
            inside.set()

    with ThreadPoolExecutor(1) as threads:
        with session.silence():
            done = threads.submit(second)
            assert not inside.wait(0.5)
        done.result(20)
    assert sys.stdout is before


def test_each_thread_has_the_scope_of_its_own_library():
    from mmengine.registry import DefaultScope

    entered = threading.Event()

    def second():
        with session.library("mmdet"), session.library("mmdet"):  # a training predicts, too
            entered.set()
            return DefaultScope.get_current_instance().scope_name

    with ThreadPoolExecutor(1) as threads:
        with session.library("mmpretrain"):
            found = threads.submit(second)
            assert not entered.wait(1)
            assert DefaultScope.get_current_instance().scope_name == "mmpretrain"
        assert found.result(60) == "mmdet"
