"""The service on an address of this machine."""

from __future__ import annotations

import asyncio

import click
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from recycling.listening import listen
from recycling.serving.gate import Application


def serve(app: Application, *, host: str, port: int, seconds: float) -> None:
    """Serve until the process is stopped.

    Args:
        app: See `application`.
        host: The address to listen on.
        port: The port; 0 takes any that is free.
        seconds: As long may somebody take to read an answer.

    Raises:
        ListeningError: The port is taken.
    """
    listening, address = listen(host, port)
    click.echo(f"{address}/ to drop a photograph on, {address}/docs for programs; Ctrl+C stops it")
    uvicorn.Server(configured(app, seconds)).run(sockets=[listening])


def configured(app: Application, seconds: float) -> uvicorn.Config:
    """How uvicorn serves: by h11, whose headers are limited, and hanging up on who does not read.

    Args:
        app: See `application`.
        seconds: As long may somebody take to read an answer.
    """

    class HangsUp(H11Protocol):
        """An answer that nobody reads is kept in memory, and what is asked next waits behind it."""

        _end: asyncio.TimerHandle | None = None

        def pause_writing(self) -> None:
            super().pause_writing()
            self._end = self.loop.call_later(seconds, self.transport.abort)

        def resume_writing(self) -> None:
            super().resume_writing()
            if self._end is not None:
                self._end.cancel()

    return uvicorn.Config(
        app,
        http=HangsUp,
        log_level="warning",
        timeout_keep_alive=5,
        h11_max_incomplete_event_size=1 << 16,
    )
