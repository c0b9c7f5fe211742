"""Who may save: what an attempt that was given up begins to write takes no place."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
import pytest

from fingerprints.small_project import Project
from recycling.backends.shared.resume import alone_in
from recycling.files import growing_folder, guarded, link, new_file, new_folder, upload, write_text
from recycling.runners import LeaseLostError, Leases, Token

EARLY, LATE = Token(0, 7, "2026-11-29", "one"), Token(0, 8, "2026-11-29", "other")


def test_the_later_attempt_has_the_lease_whichever_comes_first(tmp_path):
    leases = Leases(tmp_path)
    with leases.held("train", LATE), pytest.raises(LeaseLostError, match="taken over by other"):
        leases.held("train", EARLY).__enter__()


@pytest.mark.parametrize("run_id", ["2026-11-28", "2026-11-30"])
def test_the_run_that_has_locked_a_node_has_its_lease_whenever_it_began(tmp_path, run_id):
    leases = Leases(tmp_path)
    with leases.held("train", LATE):
        turn = leases.give("train", run_id)  # as `LATE` has ended, or is thought dead
        with pytest.raises(LeaseLostError, match=f"taken over by the run {run_id}; other saves"):
            write_text(tmp_path / "made.txt", "late")
    with leases.held("train", Token(turn, 1, run_id, "next")):
        write_text(tmp_path / "made.txt", "next")
    with pytest.raises(LeaseLostError, match="taken over by next"):
        leases.held("train", LATE).__enter__()


def test_a_lease_of_an_earlier_version_is_taken_over(tmp_path):
    leases = Leases(tmp_path)
    (tmp_path / "train.json").write_text('{"run_id": "2999", "attempt": 9, "holder": "one"}')
    turn = leases.give("train", "2026-11-29")
    with leases.held("train", Token(turn, 1, "2026-11-29", "other")):
        write_text(tmp_path / "made.txt", "made")


def test_nodes_have_leases_of_their_own(tmp_path):
    leases = Leases(tmp_path)
    with leases.held("a.train", EARLY), leases.held("b/train", LATE):
        write_text(tmp_path / "made.txt", "both")
    assert (tmp_path / "made.txt").read_text() == "both"


def write_file(place: Path) -> None:
    with new_file(place) as unfinished:
        unfinished.write_text("late")


def write_folder(place: Path) -> None:
    with new_folder(place) as unfinished:
        (unfinished / "late.txt").write_text("late")


def grow_folder(place: Path) -> None:
    with growing_folder(place) as growing:
        assert growing is not None
        (growing / "late.txt").write_text("late")


def link_file(place: Path) -> None:
    source = place.parent / "source.txt"
    source.write_text("late")
    link(source, place)


def upload_file(place: Path) -> None:
    source = place.parent / "source.txt"
    source.write_text("late")
    upload(source, fsspec.filesystem("file"), str(place))


@pytest.mark.parametrize("write", [write_file, write_folder, grow_folder, link_file, upload_file])
def test_what_was_begun_in_time_and_ends_too_late_takes_no_place(tmp_path, write):
    leases = Leases(tmp_path / "leases")
    place = tmp_path / "made"

    def write_while_it_is_taken_over() -> None:
        with leases.held("train", EARLY):
            leases._write("train", LATE)
            write(place)

    with pytest.raises(LeaseLostError, match="one saves nothing more"):
        write_while_it_is_taken_over()
    assert not place.exists()
    with leases.held("train", LATE):
        write(place)
    assert place.exists()


def test_under_a_lease_no_lock_is_waited_for(tmp_path):
    """That of a machine which no longer answers would stay."""
    with alone_in(tmp_path), growing_folder(tmp_path / "set"):  # of such a machine
        with guarded(lambda: None), alone_in(tmp_path), growing_folder(tmp_path / "set") as growing:
            assert growing is not None
        (tmp_path / ".set.growing").mkdir()


def test_a_run_of_any_runner_takes_nodes_over_from_workers_that_are_at_them_still(tmp_path):
    project = Project(tmp_path)
    leases = Leases(project.made / "leases")
    lost = Token(0, 3, "2999-01-01", "a worker whose clock is wrong")
    with leases.held("fuse", lost):
        with ThreadPoolExecutor(1) as other:  # a lease is that of a thread
            other.submit(project.run, run_id="2026-11-29").result()
        with pytest.raises(LeaseLostError, match="taken over by the run 2026-11-29"):
            write_text(tmp_path / "data/fused.json", "of a lost one")
    assert "of a lost one" not in (tmp_path / "data/fused.json").read_text()
    assert [path.name for path in (project.made / "leases").glob("*.json")] == ["fuse.json"]
