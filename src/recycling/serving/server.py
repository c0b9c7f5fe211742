"""The service on an address of this machine."""

from __future__ import annotations

import click
import uvicorn

from recycling.listening import listen
from recycling.serving.gate import Application


def serve(app: Application, *, host: str, port: int) -> None:
    """Serve until the process is stopped.

    Args:
        app: See `application`.
        host: The address to listen on.
        port: The port; 0 takes any that is free.

    Raises:
        ListeningError: The port is taken.
    """
    listening, address = listen(host, port)
    click.echo(f"{address}/ to drop a photograph on, {address}/docs for programs; Ctrl+C stops it")
    config = uvicorn.Config(
        app, log_level="warning", timeout_keep_alive=5, h11_max_incomplete_event_size=1 << 16
    )
    uvicorn.Server(config).run(sockets=[listening])
