"""The benchmark of the loaders runs and checks its results."""

import pytest

pytest.importorskip("mmdet")


@pytest.mark.slow
def test_the_loaders_are_compared_for_each_task(capsys: pytest.CaptureFixture[str]) -> None:
    from bench import loaders

    rows = loaders.run(quick=True)
    assert len(rows) == 6
    assert all(row.our_seconds > 0 for row in rows)
    assert "the step waited" in capsys.readouterr().out
