"""A server of S3 on this machine, and a bad connection to it."""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

BUCKET = "bucket"
SERVER = os.environ.get("S3RVER") or shutil.which("s3rver")
"""s3rver 3.7.1: npm install --global s3rver@3.7.1, or S3RVER=path/of/s3rver."""


def options(port: int) -> dict[str, Any]:
    """What reaches a server on a port."""
    url = f"http://127.0.0.1:{port}"
    return {"key": "S3RVER", "secret": "S3RVER", "endpoint_url": url, "region": "us-east-1"}


@contextmanager
def s3_server(folder: Path) -> Iterator[int]:
    """A server that keeps its objects in a folder, with a bucket.

    Yields:
        Its port.
    """
    if SERVER is None:
        pytest.skip(
            "s3rver is not installed: npm install --global s3rver@3.7.1, or S3RVER=its path"
        )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    told = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    # It encrypts the tokens of long lists in a way that newer versions of OpenSSL call legacy.
    is_new = int(told.strip("v\n").split(".")[0]) >= 17
    process = subprocess.Popen(
        [SERVER, "--directory", str(folder), "--address", "127.0.0.1", "--port", str(port),
         "--silent", "--configure-bucket", BUCKET],
        env={**os.environ, "NODE_OPTIONS": "--openssl-legacy-provider" if is_new else ""},
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        for _ in range(200):
            with socket.socket() as attempt:
                if attempt.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait()


class BadConnection:
    """Stands before a server: of its requests some fail, in three ways, and some are slow.

    Args:
        port: Of the server.
        one_in: Each so-manieth request fails.
        seconds: How long each so-manieth, less one, takes at least.
    """

    def __init__(self, port: int, one_in: int = 4, seconds: float = 0.1) -> None:
        self.failed = self.asked = 0
        counting = threading.Lock()
        connection = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def forward(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                with counting:
                    connection.asked += 1
                    number = connection.asked
                    fails = number % one_in == 0
                    connection.failed += fails
                    way = connection.failed % 3 if fails else None
                if number % one_in == one_in - 1:
                    time.sleep(seconds)
                if way == 0:  # it says that it is busy
                    self.send_response(503)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                if way == 1:  # nothing arrives
                    self.close_connection = True
                    return
                server = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
                server.putrequest(
                    self.command, self.path, skip_host=True, skip_accept_encoding=True
                )
                for name, value in self.headers.items():
                    server.putheader(name, value)
                server.endheaders(body)
                answer = server.getresponse()
                content = answer.read()
                if way == 2:  # it has been done, and the answer is cut off
                    self.close_connection = True
                    self.wfile.write(b"HTTP/1.1 200")
                    return
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                        self.send_header(name, value)
                length = answer.getheader("Content-Length") if self.command == "HEAD" else None
                self.send_header("Content-Length", length or str(len(content)))
                self.end_headers()
                self.wfile.write(content)
                server.close()

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = forward  # noqa: N815

            def log_message(self, *arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]

    def __enter__(self) -> BadConnection:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
