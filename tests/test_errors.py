"""Messages are one line, short enough to be read, in which everything can be seen."""

import time
import unicodedata

import numpy as np
import pytest

from recycling.errors import Faults, cut, message_for_user, one_line, visible


def test_a_long_value_is_cut_and_its_length_is_said():
    message = one_line(f"a.csv: not a number ({'0.5 1 2 ' * 10_000!r}, item 0)")
    assert len(message) < 400
    assert message.startswith("a.csv: not a number ('0.5 1 2 ")
    assert "(79,702 characters)" in message
    assert message.endswith(", item 0)")


def test_a_long_word_is_cut_in_no_time():
    start = time.perf_counter()
    assert len(one_line("b" * 1_000_000)) < 400
    assert len(one_line(", ".join(["c"] * 100_000))) < 100
    assert time.perf_counter() - start < 2


@pytest.mark.parametrize("quote", ["'", '"', ""])
def test_a_list_shows_ten_items(quote):
    names = [f"{quote}class {n}{quote}" if quote else f"class_{n}" for n in range(60)]
    message = one_line(f"no such category; they are {', '.join(names)}; remove it")
    assert ", ".join(names[:10]) + ", ... (50 more); remove it" in message
    assert names[10] not in message


def test_ten_items_are_not_cut():
    line = f"known: {', '.join('abcdefghij')}"
    assert one_line(line) == line


def test_apostrophes_are_no_quotation():
    line = "the members' files are there; " + "it goes on and on, " * 20 + "the folds' files too"
    assert one_line(line) == line


def test_a_message_without_values_is_cut_as_a_whole():
    assert len(one_line("word and word; " * 5000)) < 3100


def test_faults_are_cut():
    faults = Faults("a.csv", ValueError)
    for kind in range(12):
        faults.add(f"kind {kind}", "x" * 5000)
    faults.add_where(np.array([True]), "k" * 5000, lambda _: "y")
    with pytest.raises(ValueError, match="a.csv: 13 faults: 1 x kind 0: xxx") as raised:
        faults.raise_if_any()
    assert "and faults of 3 more kinds" in str(raised.value)
    assert len(str(raised.value)) < 10 * 400


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("0\t1", "'0<tab>1'"),
        ("0\xa01", "'0<no-break space U+00A0>1'"),
        ("\ufeffa", "'<zero width no-break space U+FEFF>a'"),
        ("사진.jpg", "'사진.jpg'"),
        ("a ", "'a '"),
    ],
)
def test_what_cannot_be_seen_is_named(text, shown):
    assert visible(text) == shown


def test_nothing_in_a_message_steers_the_terminal():
    assert one_line("no category '\x1b]52;c;eA==\x07'\u202e") == (
        "no category '<character U+001B>]52;c;eA==<character U+0007>'"
        "<right-to-left override U+202E>"
    )
    assert message_for_user(PermissionError(13, "Permission denied", "\x1b[2J.csv")).startswith(
        "<character U+001B>[2J.csv: Permission denied; "
    )


def test_a_decomposed_name_is_told_from_the_composed_one():
    name = unicodedata.normalize("NFD", "사진.jpg")
    assert visible(name) == f"'{name}' (decomposed, NFD)"


def test_a_short_text_is_whole():
    assert cut("a" * 300) == "a" * 300
