"""Stands before the application: who may ask, how often, how much, and for how long."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from recycling.listening import why_not_let_in
from recycling.serving.core import Refused, ServiceLimits
from recycling.serving.room import Room

Scope = MutableMapping[str, Any]
Application = Callable[[Scope, Any, Any], Awaitable[None]]

WITHOUT_TOKEN = ("/", "/health", "/docs", "/openapi.json")
"""What tells nothing that a token is for."""

WITH_BODY = "/predict"
"""What takes a body; that of any other request is not received."""

UNLIMITED = "/health"
"""What is answered however much there is to do; it is one of `WITHOUT_TOKEN`."""

ASSETS = "/assets"
"""Where the scripts and styles of ``/docs`` are, which need no token either."""

_ADDRESSES = 10_000
"""Addresses whose requests are counted; of more, those that asked longest ago are forgotten."""


class Gate:
    """Receives each request as a whole, within limits, and hands it on; or says why not.

    Args:
        app: The application.
        limits: How much is taken.
        token: What ``Authorization: Bearer`` has to say; None lets everybody in.
        here: Whether this machine alone may ask, and no page of another address.
        tell: Is told the path and status of each answer, and the seconds that it took.
    """

    def __init__(
        self,
        app: Application,
        limits: ServiceLimits,
        token: str | None = None,
        tell: Callable[[str, int, float], None] = lambda *_: None,
        *,
        here: bool = False,
    ) -> None:
        self.app, self.limits, self.token, self.tell = app, limits, token, tell
        self._here = here
        self._rate = Rate(limits.per_minute)
        self._room = Room(limits.bytes_waiting, "bytes")
        self._n = 0

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = time.perf_counter(), 499  # whoever asked went away

        async def tell_and_send(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        counts = scope["path"] != UNLIMITED
        self._n += counts
        try:
            self._check(scope)
            with self._room.taken() as take:
                asked = scope["path"] == WITH_BODY
                body = await self._body(scope, receive, take) if asked else b""
                await self.app(scope, _again(body, receive), tell_and_send)
        except Refused as error:
            await refuse(tell_and_send, error)
        except _GoneError:
            pass
        finally:
            self._n -= counts
            self.tell(scope["path"], status, time.perf_counter() - began)

    def _check(self, scope: Scope) -> None:
        """Whether a request is heard."""
        if scope["path"] == UNLIMITED:
            return
        if self._here and (why_not := why_not_let_in(scope["headers"])) is not None:
            raise Refused(403, f"{why_not}; --token or --open lets others ask")
        if self.token is not None and not is_open(scope["path"]):
            given = dict(scope["headers"]).get(b"authorization", b"")
            if not secrets.compare_digest(given, f"Bearer {self.token}".encode()):
                raise Refused(401, "send the header Authorization: Bearer TOKEN")
        wait = self._rate.wait((scope.get("client") or ("",))[0])
        if wait > 0:
            many = f"{self.limits.per_minute} requests a minute"
            raise Refused(429, f"more than {many}; try again later", max(1, round(wait)))
        if self._n > self.limits.uploads:
            raise Refused(503, f"{self.limits.uploads} requests are being answered; try later", 1)

    async def _body(self, scope: Scope, receive: Any, take: Callable[[int], None]) -> bytes:
        """What a request sends, all of it.

        What is too large is received all the same, and dropped, up to four times the limit: who
        still sends does not read the answer.
        """
        most = self.limits.max_bytes
        too_many = Refused(413, f"more than {most:,} bytes; send less")
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if len(length) > 18 or not length.isdigit() or int(length) > 4 * most:
            raise too_many
        kept, n = bytearray(), 0  # not a list, as who sends decides how small the pieces are
        try:
            async with asyncio.timeout(self.limits.seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _GoneError
                    piece = message.get("body", b"")
                    n += len(piece)
                    if n <= most:
                        take(len(piece))
                        kept += piece
                    else:
                        kept.clear()
                    is_last = not message.get("more_body", False)
                    if n > 4 * most or (is_last and n > most):
                        raise too_many
                    if is_last:
                        return bytes(kept)
        except TimeoutError as error:
            raise Refused(408, f"not received within {self.limits.seconds:g} s") from error


def is_open(path: str) -> bool:
    """Whether a path is answered without a token.

    >>> is_open("/docs"), is_open("/assets/swagger-ui.css"), is_open("/predict")
    (True, True, False)
    """
    return path in WITHOUT_TOKEN or path.startswith(f"{ASSETS}/")


class Rate:
    """How many requests an address may send: a bucket that fills up within a minute.

    Args:
        per_minute: How many; 0 for any number.

    >>> rate = Rate(60)
    >>> [rate.wait("a", at) for at in (0.0, 0.0)], sum(rate.wait("b", 0.0) > 0 for _ in range(100))
    ([0.0, 0.0], 40)
    """

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, address: str, now: float | None = None) -> float:
        """Seconds until an address may ask again; 0 if it may now, which counts."""
        if not self.per_minute:
            return 0.0
        now = time.monotonic() if now is None else now
        left, before = self._left.pop(address, (float(self.per_minute), now))
        left = min(self.per_minute, left + (now - before) * self.per_minute / 60)
        self._left[address] = max(left - 1, 0.0) if left >= 1 else left, now
        if len(self._left) > _ADDRESSES:
            self._left.popitem(last=False)
        return 0.0 if left >= 1 else (1 - left) * 60 / self.per_minute


class _GoneError(Exception):
    """Whoever asked has gone."""


def _again(body: bytes, receive: Any) -> Callable[[], Awaitable[Any]]:
    """A body that was received, for an application to receive."""
    given = False

    async def again() -> Any:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


async def refuse(send: Any, error: Refused) -> None:
    """Send the reason, as JSON."""
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    if error.retry_after is not None:
        headers.append((b"retry-after", str(error.retry_after).encode()))
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    body = json.dumps({"reason": error.reason}).encode()
    await send({"type": "http.response.body", "body": body})
