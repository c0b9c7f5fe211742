"""The service on an address of this machine."""

from __future__ import annotations

import socket

import click
import uvicorn

from recycling.serving.core import ServingError
from recycling.serving.gate import Application

LOCAL = ("127.0.0.1", "localhost", "::1")
SHORTEST = 16
"""Characters of a token."""


def check_address(host: str, token: str | None, *, open_to_all: bool = False) -> None:
    """Refuse to let others in by accident.

    Raises:
        ServingError: Others could ask without a token, or it is too short.
    """
    if token is None and host not in LOCAL and not open_to_all:
        raise ServingError(
            f"--host {host}: others could ask; give --token, which they must send, or --open"
        )
    if token is not None and len(token) < SHORTEST:
        raise ServingError(
            f"--token: a token has {SHORTEST} characters or more, to be hard to guess"
        )


def serve(app: Application, *, host: str, port: int) -> None:
    """Serve until the process is stopped.

    Args:
        app: See `application`.
        host: The address to listen on.
        port: The port; 0 takes any that is free.

    Raises:
        ServingError: The port is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen()  # whoever reads the address may ask at once
    except OSError as error:
        raise ServingError(f"port {port}: {error.strerror}; give another --port") from error
    name = f"[{host}]" if ":" in host else host
    address = f"http://{name}:{listening.getsockname()[1]}"
    click.echo(f"{address}/ to drop a photograph on, {address}/docs for programs; Ctrl+C stops it")
    config = uvicorn.Config(
        app, log_level="warning", timeout_keep_alive=5, h11_max_incomplete_event_size=1 << 16
    )
    uvicorn.Server(config).run(sockets=[listening])
