"""The server: images by id, a page for each address, on this machine alone unless told otherwise.

Annotations are not postponed here: NiceGUI reads those of the functions that build pages.
"""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import click
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse, PlainTextResponse
from nicegui import app as nicegui_app
from nicegui import ui
from nicegui.page_arguments import PageArguments

from recycling.annotations.images.decoding import UnreadableImageError
from recycling.listening import ListeningError, check_address, listen
from recycling.viewer.addresses import Address
from recycling.viewer.core import ViewerError
from recycling.viewer.guard import Guard
from recycling.viewer.holdings import Holdings
from recycling.viewer.images import SCREEN, THUMBNAIL, reduced_image
from recycling.viewer.markup import render, why_not
from recycling.viewer.pages import PAGES, Page
from recycling.viewer.views import View

_STATIC = Path(__file__).parent / "static"
_FRESH = {"Cache-Control": "private, max-age=60"}


def serve(
    holdings: Holdings,
    *,
    host: str,
    port: int,
    token: str | None = None,
) -> None:
    """Serve the pages until the process is stopped.

    Args:
        holdings: What the catalog holds.
        host: The address to listen on.
        port: The port; 0 takes any that is free.
        token: What others have to know; None where `host` is this machine.

    Raises:
        ListeningError: The port is taken, or others could look without a token.
    """
    check_address(host, token)
    if token is not None and quote(token, safe="") != token:
        raise ListeningError(
            "--token: letters, digits and - . _ ~ only, as it stands in an address"
        )
    listening, address = listen(host, port)
    app = application(holdings)
    click.echo(f"{address}/" if token is None else f"{address}/?token={token}")
    click.echo("Ctrl+C stops it")
    config = uvicorn.Config(Guard(app, token), log_level="warning", ws_ping_interval=None)
    uvicorn.Server(config).run(sockets=[listening])


def application(holdings: Holdings) -> FastAPI:
    """The pages and images as an application; one a process.

    Args:
        holdings: What the catalog holds.
    """
    app = FastAPI(openapi_url=None)
    add_images(app, holdings)
    nicegui_app.add_static_files("/static", _STATIC, max_cache_age=60)
    routes = {path: _builder(page, path, holdings) for path, page in PAGES.items()}

    def frame(request: Request) -> None:
        """The frame that all pages share; what is in it changes without a reload."""
        ui.add_head_html('<link rel="stylesheet" href="/static/viewer.css">')
        ui.add_head_html('<script src="/static/viewer.js"></script>')
        theme = request.cookies.get("theme")
        ui.dark_mode({"dark": True, "light": False}.get(theme or ""))
        with ui.element("header"):
            ui.html(render("navigation.html", pages=PAGES), sanitize=False)
        with ui.element("div").classes("page"):
            ui.sub_pages(routes, show_404=True)

    ui.page("/")(frame)
    ui.page("/{_:path}")(frame)
    ui.run_with(
        app,
        title="recycling",
        favicon="♻️",
        dark=None,
        tailwind=False,
        show_welcome_message=False,
        reconnect_timeout=30,
    )
    return app


def add_images(app: FastAPI, holdings: Holdings) -> None:
    """Serve images by set and id; nothing in an address is ever part of a path.

    Args:
        app: The application.
        holdings: What the catalog holds.
    """

    @app.get("/images/{name}/{image_id}/{side}")
    def image(name: str, image_id: int, side: int) -> Response:
        if side not in (THUMBNAIL, SCREEN):
            return PlainTextResponse(f"give {THUMBNAIL} or {SCREEN}", 404)
        try:
            source = holdings.image_set(name).file(image_id)
            kept = holdings.folder_of_thumbnails()
            return FileResponse(reduced_image(source, side, kept), headers=_FRESH)
        except (ViewerError, UnreadableImageError) as error:
            return PlainTextResponse(f"{error}", 404)
        except OSError as error:
            return PlainTextResponse(f"{error.strerror or error}", 404)


def _builder(page: Page, path: str, holdings: Holdings) -> Callable[[PageArguments], None]:
    """What NiceGUI calls for an address: the page, or one line that says what is wrong with it."""

    def build(arguments: PageArguments) -> None:
        address = Address(path, dict(arguments.query_parameters))
        view = View(holdings, address, arguments.frame.refresh)
        try:
            page.build(view)
        except Exception as error:
            view.html(why_not(error, view.address.link()))

    return build
