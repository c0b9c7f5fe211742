"""What the server does with connections, below what the service answers."""

from __future__ import annotations

import socket
import threading

import pytest
import uvicorn

from recycling.listening import listen
from recycling.serving.server import configured


@pytest.fixture
def server():
    """The socket of a server of large answers, and whether it got to the end of the second."""
    second = threading.Event()

    async def app(scope, _, send):
        if scope["type"] != "http":
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": bytes(1 << 25)})
        if scope["path"] == "/second":
            second.set()

    listening, _ = listen("127.0.0.1", 0)
    running = uvicorn.Server(configured(app, 0.2))
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]})
    thread.start()
    with socket.create_connection(listening.getsockname(), 20) as asking:
        yield asking, second
    running.should_exit = True
    thread.join(20)


def test_who_does_not_read_an_answer_is_hung_up_on(server):
    """What is asked next on the same connection would wait for it, and keep its place."""
    asking, second = server
    asking.sendall(b"".join(b"GET /%s HTTP/1.1\r\nHost: a\r\n\r\n" % n for n in (b"", b"second")))
    assert second.wait(20)


def test_headers_without_an_end_are_refused(server):
    asking, _ = server
    asking.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 70_000)
    assert asking.recv(12) == b"HTTP/1.1 400"
