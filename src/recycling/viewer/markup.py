"""HTML of the templates; whatever comes from data is text in it."""

from __future__ import annotations

import logging
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from recycling.errors import message_for_user
from recycling.viewer.drawing import placed

logger = logging.getLogger(__name__)


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


def why_not(error: Exception, address: str) -> Markup:
    """The line that stands on a page instead of what could not be made.

    Args:
        error: Why; one that is ours to mend is told on the console.
        address: Of the page.

    >>> from recycling.viewer.core import ViewerError
    >>> why_not(ViewerError("no images yet"), "/")
    Markup('<p class="message" role="alert">no images yet</p>')
    """
    line = message_for_user(error)
    if line is None:
        logger.error("%s", address, exc_info=error)
        line = "this has an error, which the console tells"
    return render("message.html", text=line)
