"""HTML of the templates; whatever comes from data is text in it."""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from recycling.viewer.drawing import placed


@cache
def _templates() -> Environment:
    templates = Environment(
        loader=PackageLoader("recycling.viewer"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.globals["placed"] = placed
    return templates


def render(template: str, **values: Any) -> Markup:
    """A template of this room, filled in; text is escaped.

    >>> render("message.html", text="<b>no such image</b>")
    Markup('<p class="message" role="alert">&lt;b&gt;no such image&lt;/b&gt;</p>')
    """
    return Markup(_templates().get_template(template).render(values).strip())
