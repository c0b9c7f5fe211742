"""What makes tiny trainings tiny: most of their time would go into what no test looks at."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from typing import Any

import pytest

from backends.tiny_trainings import draw_pictures
from recycling.annotations import LabeledImages
from recycling.backends.mmengine_backend import session

if find_spec("transformers") is not None and find_spec("mmpretrain") is not None:
    # Tests ask for the library by itself, too.
    with session.without_multimodal():
        import mmpretrain  # noqa: F401

collect_ignore = ["poly_loss.py"]
"""It registers a loss where it is imported, so only the test of that does."""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> LabeledImages:
    """Eight pictures of 80 x 64 pixels, each with a box and a disc."""
    return draw_pictures(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def index_read_once() -> Iterator[None]:
    """mmengine reads a library's whole index of models anew for each config that is inherited."""
    with pytest.MonkeyPatch.context() as patch:
        with suppress(ImportError):
            from mmengine.config import utils

            patch.setattr(utils, "load", cache(utils.load))
        yield


@pytest.fixture(scope="module", autouse=True)
def _no_garbage_is_looked_for_in_the_libraries() -> None:
    """mmengine collects garbage whenever it loads a data set, among all that was imported."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def _configs_are_written_on_long_lines() -> Iterator[None]:
    """Each training formats its config twice, which is a quarter or more of a tiny one's time."""
    with pytest.MonkeyPatch.context() as patch:
        if find_spec("yapf") is not None:
            patch.setattr("yapf.yapflib.yapf_api.FormatCode", _as_it_is)
        yield


def _as_it_is(text: str, **_: Any) -> tuple[str, bool]:
    return text, False
