"""Parts of a page that take seconds: the page is there before, and they come when made."""

from __future__ import annotations

from collections.abc import Callable

from markupsafe import Markup

from recycling.viewer.markup import why_not
from recycling.viewer.views import View


def later(view: View, make: Callable[[], Markup], waiting: str) -> None:
    """Put a part of a page where it belongs once it is made.

    Args:
        view: The page.
        make: Gives the part; it runs beside the pages of others.
        waiting: What stands there until then.
    """
    from nicegui import run, ui

    place = ui.element("div").classes("later")
    with place:
        ui.label(waiting)

    async def fill() -> None:
        html = str(await run.io_bound(made, view, make))
        place.clear()
        with place:
            ui.html(html, sanitize=False)

    ui.timer(0.02, fill, once=True)


def made(view: View, make: Callable[[], Markup]) -> Markup:
    """What `make` gives, or one line that says why it gives nothing."""
    try:
        return make()
    except Exception as error:
        return why_not(error, view.address.link())
