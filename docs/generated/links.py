"""Links that leave the docs: on the site they are the names of files."""

from __future__ import annotations

import re
from typing import Any

_LEAVES = re.compile(r"\[[^]]+\]\(\.\./([^)#]+)\)")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Show what a link leads to outside of the site as code."""
    return named(markdown)


def named(markdown: str) -> str:
    """Links that lead out of the folder of docs, as names.

    >>> named("see [models.yml](../conf/base/models.yml), [here](models.md)")
    'see `conf/base/models.yml`, [here](models.md)'
    """
    return _LEAVES.sub(r"`\1`", markdown)
