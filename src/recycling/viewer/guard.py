"""Who may look: this machine, or whoever has the token."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qsl, urlencode

from recycling.listening import why_not_let_in

Scope = MutableMapping[str, Any]
Application = Callable[[Scope, Any, Any], Awaitable[None]]

COOKIE = "recycling_view"


class Guard:
    """Stands before an application, and lets nobody else through; see `why_not_let_in`.

    Args:
        app: The application.
        token: What others have to know, if others may look.
    """

    def __init__(self, app: Application, token: str | None = None) -> None:
        self.app, self.token = app, token

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        why_not = why_not_let_in(scope["headers"], by_any_name=self.token is not None)
        cookies = dict(scope["headers"]).get(b"cookie", b"").decode("latin1")
        if why_not is not None:
            await _refuse(scope, send, why_not)
        elif self.token is None or _is(self.token, _cookie(cookies)):
            await self.app(scope, receive, send)
        else:
            await self._let_in(scope, send)

    async def _let_in(self, scope: Scope, send: Any) -> None:
        """Keep a token that is given in an address, and take it out of there."""
        query = parse_qsl(scope.get("query_string", b"").decode("latin1"))
        given = dict(query).get("token", "")
        if scope["type"] != "http" or not _is(self.token, given):
            await _refuse(scope, send, "add ?token=... to the address, as the console says it")
            return
        rest = urlencode([(key, value) for key, value in query if key != "token"])
        target = scope["path"] + (f"?{rest}" if rest else "")
        cookie = f"{COOKIE}={self.token}; Path=/; HttpOnly; SameSite=Strict"
        # One slash: two would name another host.
        headers = {"location": "/" + target.lstrip("/"), "set-cookie": cookie}
        await _answer(send, 303, "", headers)


def _is(token: str | None, given: str) -> bool:
    return token is not None and secrets.compare_digest(token.encode(), given.encode())


def _cookie(header: str) -> str:
    """Our cookie, whatever other programs of this machine have set beside it."""
    cookies = (each.strip().partition("=") for each in header.split(";"))
    return next((value for name, _, value in cookies if name == COOKIE), "")


async def _refuse(scope: Scope, send: Any, why: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    await _answer(send, 403, f"not shown: {why}\n", {"content-type": "text/plain"})


async def _answer(send: Any, status: int, text: str, headers: dict[str, str]) -> None:
    encoded = [(key.encode("latin1"), value.encode("latin1")) for key, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": text.encode()})
