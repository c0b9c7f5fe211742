"""Who may look."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from recycling.listening import ListeningError
from recycling.viewer.guard import Guard

TOKEN = "a-long-secret-token"


def client(token: str | None, host: str = "http://127.0.0.1:8765") -> TestClient:
    async def page(_: Any) -> PlainTextResponse:
        return PlainTextResponse("the page")

    async def talk(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text("hello")
        await socket.close()

    app = Starlette(routes=[Route("/", page), Route("/x", page), WebSocketRoute("/talk", talk)])
    return TestClient(Guard(app, token), base_url=host, follow_redirects=False)


def test_this_machine_may_look():
    for host in ("http://127.0.0.1:8765", "http://localhost:8765", "http://[::1]:8765"):
        assert client(None, host).get("/").text == "the page"


def test_a_name_that_is_led_here_may_not():
    answer = client(None, "http://evil.example").get("/")
    assert (answer.status_code, answer.text) == (403, "not shown: this machine alone may look\n")


@pytest.mark.parametrize("token", [None, TOKEN])
def test_a_page_of_another_address_may_not_ask(token):
    own = client(token)
    own.cookies.set("recycling_view", TOKEN)
    assert own.get("/", headers={"origin": "http://evil.example"}).status_code == 403
    assert own.get("/", headers={"origin": "http://127.0.0.1:8765"}).status_code == 200
    with pytest.raises(WebSocketDisconnect):
        own.websocket_connect("/talk", headers={"origin": "http://evil.example"}).__enter__()


@pytest.mark.parametrize("wanted", ["image", "iframe", "script", "empty"])
def test_a_page_of_another_address_may_not_show_it(wanted):
    """A browser sends no origin for an image or a frame, but says what asks."""
    headers = {"sec-fetch-site": "cross-site", "sec-fetch-dest": wanted}
    assert client(None).get("/", headers=headers).status_code == 403
    followed = {"sec-fetch-site": "cross-site", "sec-fetch-dest": "document"}
    assert client(None).get("/", headers=followed).status_code == 200


def test_cookies_of_other_programs_of_this_machine_do_not_matter():
    headers = {"cookie": f'other={{"a": 1}}; recycling_view={TOKEN}; next=x y'}
    assert client(TOKEN).get("/", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "token", ["a-long-secret+token", "a-long-secret&token", "a long secret token"]
)
def test_a_token_that_an_address_would_change_is_refused(token):
    from recycling.viewer.server import serve

    with pytest.raises(ListeningError, match="letters, digits and"):
        serve(None, host="127.0.0.1", port=0, token=token)  # type: ignore[arg-type]


def test_with_a_token_whoever_has_it_may_look_from_anywhere():
    own = client(TOKEN, "http://10.0.0.7:8765")
    assert own.get("/").status_code == 403
    assert own.get("/?token=wrong").status_code == 403
    with pytest.raises(WebSocketDisconnect):
        own.websocket_connect("/talk").__enter__()
    answer = own.get(f"/x?a=1&token={TOKEN}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/x?a=1")
    assert "HttpOnly" in answer.headers["set-cookie"]
    assert own.get("/").text == "the page"
    with own.websocket_connect("/talk", headers={"cookie": f"recycling_view={TOKEN}"}) as talk:
        assert talk.receive_text() == "hello"


def test_a_token_leads_to_no_other_host():
    answer = client(TOKEN).get(f"http://127.0.0.1:8765//evil.example/?token={TOKEN}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/evil.example/")


def test_others_are_let_in_with_a_token_only():
    from recycling.viewer.server import serve

    with pytest.raises(ListeningError, match=r"--host 0\.0\.0\.0: others could look; give --token"):
        serve(None, host="0.0.0.0", port=0)  # type: ignore[arg-type]
    with pytest.raises(ListeningError, match="a token has 16 characters or more"):
        serve(None, host="0.0.0.0", port=0, token="short")  # type: ignore[arg-type]
