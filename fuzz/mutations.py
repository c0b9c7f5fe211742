"""Inputs that are nearly right: valid ones, of which a few words are others."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from hypothesis import strategies as st

_WORD = re.compile(rb'"(?:[^"\\]|\\.)*"|[\w.+-]+|\s+|.', re.DOTALL)

ODD = (
    b"", b"0", b"1", b"-1", b"1.5", b"-0.0", b"1e308", b"1e999", b"1e-999", b"9" * 30, b"9" * 5000,
    b"9223372036854775807", b"9223372036854775808", b"-9223372036854775808", b"1_0", b"0x10",
    b"NaN", b"Infinity", b"-inf", b"null", b"~", b"true", b"no", b"[]", b"{}", b"[[]]", b"[" * 300,
    b'""', b'"', b"'", b'"\\ud800"', b'"\\u0000"', b"\0", b"\xff", b"\xef\xbb\xbf", b"\xc2\xa0",
    b"\n", b"\r", b"\t", b" ", b",", b":", b"-", b"#", b"/", b"\\", b"<", b">", b"&a;", b"*a",
    b"e\xcc\x81", b"../a.png", b"/etc/passwd", b"a.png", b"http://a/b", b"!!python/name:os.system",
    b"${env:HOME}", b"${a}", b"__class__", b"all", b"none", b"<!DOCTYPE a>", b"a" * 5000,
)  # fmt: skip
"""Words that readers stumble over."""

Words = list[bytes]


@st.composite
def mutated(draw: st.DrawFn, examples: Sequence[bytes]) -> bytes:
    """An example in which one to three things are changed, or bytes that come from nowhere.

    Args:
        draw: Hypothesis's.
        examples: Valid ones.
    """
    words = _WORD.findall(draw(st.sampled_from(examples)))
    for _ in range(draw(st.integers(1, 3))):
        if not words:
            return draw(st.binary())
        start = draw(st.integers(0, len(words) - 1))
        stop = min(len(words), start + draw(st.sampled_from([1, 1, 1, 2, 5, 20])))
        words = draw(st.sampled_from(_CHANGES))(draw, words, start, stop)
    return b"".join(words)


def _replace(draw: st.DrawFn, words: Words, start: int, stop: int) -> Words:
    return [*words[:start], draw(_any_word), *words[start + 1 :]]


def _insert(draw: st.DrawFn, words: Words, start: int, stop: int) -> Words:
    return [*words[:start], draw(_any_word), *words[start:]]


def _take_over(draw: st.DrawFn, words: Words, start: int, stop: int) -> Words:
    """A word from elsewhere in the file, which may well be of another type."""
    other = words[draw(st.integers(0, len(words) - 1))]
    return [*words[:start], other, *words[start + 1 :]]


def _remove(draw: st.DrawFn, words: Words, start: int, stop: int) -> Words:
    return [*words[:start], *words[stop:]]


def _repeat(draw: st.DrawFn, words: Words, start: int, stop: int) -> Words:
    return [*words[:stop], *words[start:stop] * draw(st.integers(1, 3)), *words[stop:]]


def _cut(draw: st.DrawFn, words: Words, start: int, stop: int) -> Words:
    return words[:start]


_CHANGES: list[Callable[[st.DrawFn, Words, int, int], Words]] = [
    _replace, _replace, _replace, _replace, _take_over, _take_over, _insert, _remove, _repeat, _cut,
]  # fmt: skip
_any_word = st.sampled_from(ODD) | st.binary(max_size=4) | st.integers().map(lambda n: b"%d" % n)
