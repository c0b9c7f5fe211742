"""Fuzzing finds what it is to find, and each target reads the valid files that it begins with."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from fuzz.__main__ import TARGETS
from fuzz.addresses import KEYS
from fuzz.core import FindError, Target, judged, refusal
from hypothesis import strategies as st

ROOT = Path(__file__).parents[1]


def judge(read: Any) -> str:
    return judged(Target("planted", st.none(), read, refusal(ValueError)), None)


def refuse(line: str) -> Any:
    def read(_: object) -> None:
        raise ValueError(line)

    return read


def test_one_line_and_a_sound_value_are_no_finds() -> None:
    assert judge(lambda _: None) == "read"
    assert judge(refuse("a.json: not JSON; correct it")) == "refused"


def test_a_crash_a_hang_a_wrong_value_and_a_long_story_are_finds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def hang(_: object) -> None:
        while True:
            try:
                time.sleep(0.1)
            except Exception:
                continue

    def wrong(_: object) -> None:
        assert len("read") == 5

    monkeypatch.setattr("fuzz.core.SECONDS", 1)
    for read, said in (
        (lambda _: {}["key"], "KeyError"),
        (hang, "takes longer than 1 s"),
        (wrong, "AssertionError"),
        (refuse("two\nlines"), "ValueError is not one line"),
        (refuse(""), "ValueError is not one line"),
        (refuse("x" * 5000), "ValueError is not one line"),
    ):
        with pytest.raises(FindError, match=said):
            judge(read)


@pytest.mark.parametrize("name", [name for name in TARGETS if name != "addresses"])
def test_a_target_begins(name: str) -> None:
    """What a target calls may have moved since it was written."""
    import_module(f"fuzz.{name}").target()


def test_pages_are_read() -> None:
    """In a process of its own: the target goes into the project, and opens its pages."""
    steps = """
from fuzz.addresses import target
from fuzz.core import judged
pages = target()
print(*(judged(pages, (path, {"first": "x"})) for path in ("/data", "/disagreement")))
"""
    ended = subprocess.run(
        [sys.executable, "-c", steps], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.stdout.splitlines()[-1:] == ["read refused"], ended.stderr[-2000:]


def test_every_word_that_a_page_asks_for_is_tried() -> None:
    pages = (ROOT / "src/recycling/viewer").rglob("*.py")
    asked = {key for page in pages for key in re.findall(_ASKED, page.read_text())}
    assert len(asked) > 30
    assert asked <= KEYS.keys()


_ASKED = r"""address\.(?:text|number|fraction|on|one_of|several)\("(\w+)\""""


def fuzzed(name: str, minutes: float) -> bool:
    """Whether a target has read some inputs, refused others and found nothing."""
    ended = subprocess.run(
        [sys.executable, "-m", "fuzz", name, "--minutes", str(minutes), "--seed", "1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr[-2000:]
    words = ended.stdout.splitlines()[-1].replace(",", "").split()
    inputs, refused, read = int(words[1]), int(words[3]), int(words[5])
    assert inputs == refused + read
    return refused > 0 and read > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_a_target_reads_and_refuses_and_finds_nothing_in_seconds(name: str) -> None:
    assert fuzzed(name, 0.3)
