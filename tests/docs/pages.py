"""The pages of the docs: their blocks and commands, as a reader would copy them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from recycling import pipeline_registry
from recycling.configuration import ConfigLoader
from recycling.settings import CONFIG_LOADER_ARGS

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").glob("*.md"))
FRONT_PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
"""Those that are read on their own, beside the site."""

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
_FILE = re.compile(r"# ((?:conf|src)/[\w/.]+\.(?:py|yml))\b")
_INLINE = re.compile(r"`((?:\w+=\S+ )*(?:(?:\.venv/bin/)?kedro|make|\.venv/bin/\w+) [^`]+)`")


@dataclass(frozen=True)
class Block:
    """A block of a page.

    Attributes:
        language: As the page says it.
        text: What is in it.
    """

    language: str
    text: str

    @property
    def file(self) -> str | None:
        """The file that it is, as a comment on its first line says."""
        named = _FILE.match(self.text)
        return named[1] if named else None


def blocks(page: Path, language: str | None = None) -> list[Block]:
    """The blocks of a page in a language; None for all."""
    found = (Block(*parts) for parts in _BLOCK.findall(page.read_text(encoding="utf-8")))
    return [block for block in found if language in (None, block.language)]


def commands(page: Path) -> Iterator[str]:
    """Each command of a page, in a block or in a line."""
    # The blocks of the front pages have no language.
    for block in [*blocks(page, "bash"), *blocks(page, "")]:
        yield from (line.partition("  #")[0] for line in block.text.splitlines() if line)
    yield from _INLINE.findall(_BLOCK.sub("", page.read_text(encoding="utf-8")))


@cache
def known_pipelines() -> tuple[str, ...]:
    """The names of the pipelines of `conf/base`."""
    config = ConfigLoader(str(ROOT / "conf"), env="base", **CONFIG_LOADER_ARGS)
    before = pipeline_registry._active
    pipeline_registry.activate(pipeline_registry.plan_of(config, ROOT))
    try:
        return tuple(pipeline_registry.register_pipelines())
    finally:
        pipeline_registry._active = before


def write_files(page: Path, project: Path) -> None:
    """Write what a page shows into a project, as its reader would.

    Blocks that name no file are parameters, or entries of the catalog, of `conf/local`.
    """
    for name, block in files(page):
        if name is not None:
            (project / name).parent.mkdir(parents=True, exist_ok=True)
            (project / name).write_text(block.text, encoding="utf-8")


def files(page: Path) -> Iterator[tuple[str | None, Block]]:
    """The blocks of a page in order, each with the file that it is, if it is one."""
    for number, block in enumerate(blocks(page)):
        unnamed = f"conf/local/parameters_{number}.yml" if block.language == "yaml" else None
        yield block.file or unnamed, block
