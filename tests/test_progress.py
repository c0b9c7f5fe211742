"""Progress is one line at a time."""

from __future__ import annotations

from recycling.progress import track


def test_a_line_within_another_is_not_shown(capsys):
    for _ in track(range(2), "training"):
        assert list(track(range(3), "validating")) == [0, 1, 2]
    assert list(track(range(1), "testing")) == [0]
    shown = capsys.readouterr().out
    assert "training" in shown
    assert "testing" in shown
    assert "validating" not in shown
