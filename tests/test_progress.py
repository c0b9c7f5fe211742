"""Progress is one line at a time."""

from __future__ import annotations

import gc
from threading import Thread

import pytest
import rich
from rich.progress import Progress

from recycling.progress import progress_bar, track, without_lines


@pytest.fixture(autouse=True)
def _none_left() -> None:
    """Commands that tests call log to standard error; errors of tests hold lines in cycles."""
    rich.reconfigure(stderr=False)
    gc.collect()


def test_a_line_within_another_is_not_shown(capsys):
    for _ in track(range(2), "training"):
        assert list(track(range(3), "validating")) == [0, 1, 2]
    assert list(track(range(1), "testing")) == [0]
    shown = capsys.readouterr().out
    assert "training" in shown
    assert "testing" in shown
    assert "validating" not in shown


def test_a_line_that_is_interrupted_as_it_begins_hides_none_after_it(capsys, monkeypatch):
    def interrupted(_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Progress, "start", interrupted)
        with pytest.raises(KeyboardInterrupt), progress_bar():
            pass
    gc.collect()
    assert list(track(range(1), "testing")) == [0]
    assert "testing" in capsys.readouterr().out


def test_a_line_that_another_thread_ends_hides_none_after_it(capsys):
    left = [track(range(2), "left")]
    next(left[0])
    other = Thread(target=left.clear)  # as the collector does
    other.start()
    other.join()
    assert list(track(range(1), "testing")) == [0]
    assert "testing" in capsys.readouterr().out


def test_no_line_is_shown_where_none_is_wanted(capsys):
    with without_lines():
        assert list(track(range(1), "hidden")) == [0]
    assert list(track(range(1), "testing")) == [0]
    shown = capsys.readouterr().out
    assert "testing" in shown
    assert "hidden" not in shown
