"""Where a server listens, and whom it lets in: this machine alone unless told otherwise."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

LOCAL = ("127.0.0.1", "localhost", "::1")
SHORTEST = 16
"""Characters of a token."""


class ListeningError(ValueError):
    """A server cannot listen as asked: one line, what is wrong, what to do."""


def check_address(host: str, token: str | None, *, or_else: str = "") -> None:
    """Refuse to let others in by accident.

    Args:
        host: The address to listen on.
        token: What others have to know.
        or_else: What else would let them in, for the message.

    Raises:
        ListeningError: Others could look without a token, or it is too short.
    """
    if token is None and host not in LOCAL:
        raise ListeningError(
            f"--host {host}: others could look; give --token, which they must know{or_else}"
        )
    if token is not None and len(token) < SHORTEST:
        raise ListeningError(
            f"--token: a token has {SHORTEST} characters or more, to be hard to guess"
        )


def why_not_let_in(
    headers: Iterable[tuple[bytes, bytes]], *, by_any_name: bool = False
) -> str | None:
    """Why a request is not answered; None where it is.

    Without a token only requests to this machine's own names are: a page of the web that has its
    own name lead here is not answered. A request that another page sends is not either, such as for
    an image or a frame; a link that somebody follows is.

    Args:
        headers: Of the request.
        by_any_name: Whether other names than this machine's own may lead here.
    """
    said = {key.decode("latin1"): value.decode("latin1") for key, value in headers}
    host, origin = said.get("host", ""), said.get("origin")
    is_embedded = said.get("sec-fetch-site") == "cross-site" and (
        said.get("sec-fetch-dest") != "document"
    )
    if is_embedded or (origin is not None and urlsplit(origin).netloc != host):
        return "asked by a page of another address"
    if not by_any_name and urlsplit(f"//{host}").hostname not in LOCAL:
        return "this machine alone may look"
    return None


def listen(host: str, port: int) -> tuple[socket.socket, str]:
    """Listen on a port; who comes before the server runs waits.

    Args:
        host: The address to listen on.
        port: The port; 0 takes any that is free.

    Returns:
        The socket, and its address as a browser takes it, without a slash at the end.

    Raises:
        ListeningError: The port is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen()
    except OSError as error:
        listening.close()
        reason = error.strerror or error
        raise ListeningError(f"{host}:{port}: {reason}; give another --port, 0 for any") from error
    name = f"[{host}]" if ":" in host else host
    return listening, f"http://{name}:{listening.getsockname()[1]}"
