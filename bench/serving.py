"""The service on loopback: requests a second beside the bare model, and requests of every kind.

Give exported models: ``SERVED=data/06_models/exported/cls.resnet18.fold0.onnx,... python -m bench
serving``. By default those that ``kedro export`` writes for resnet18 and yolox.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import random
import re
import subprocess
import sys
import time
import zipfile
import zlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path

import httpx2
import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from recycling.annotations.images.decoding import decode_image
from recycling.inference import Predictor, in_memory, whole_images
from recycling.inference.exported import onnx_predictor

ROOT = Path(__file__).parents[1]
EXPORTED = ROOT / "data/06_models/exported"
MODELS = (EXPORTED / "cls.resnet18.fold0.onnx", EXPORTED / "det.yolox.fold0.onnx")
CLIENTS = (1, 8, 64)
SHARE = 0.8
"""Of the bare model's images a second that 8 clients get at least."""

MOST_GROWTH = 64
"""Megabytes that the service may grow by once it has met every kind of request at once."""

_AT_A_TIME = 16  # mixed requests
_UNTIL_CLOSED = 6  # seconds; the service keeps connections for five, and each is an open file

MOST_OPENED = 8
"""Files that it may then have open beside those that it had."""


def run(*, quick: bool) -> None:
    paths = [Path(each) for each in os.environ.get("SERVED", "").split(",") if each]
    paths = paths or [path for path in MODELS if path.exists()]
    if not paths:
        Console().print("serving: no exported model; kedro export cls.resnet18, and det.yolox")
        return
    table = Table("model", "clients", "images a second", "the bare model", "ratio", "p99, ms")
    seconds, n_mixed = (1.0, 300) if quick else (10.0, 10_000)
    for path in paths:
        predictor = onnx_predictor(path)
        with Service([path]) as service:
            for clients in CLIENTS:
                bare = _bare(predictor, seconds)  # each time anew: a machine is not always as fast
                rate, p99 = _load(service.address, clients, seconds)
                share = rate / bare
                mark = " (too few)" if clients == 8 and share < SHARE else ""
                row = (path.stem, f"{clients}", f"{rate:.1f}", f"{bare:.1f}", f"{share:.2f}{mark}")
                table.add_row(*row, f"{1e3 * p99:.0f}")
    Console().print(table)
    with Service(paths, "--max-pixels", "1000000", "--seconds", "20") as service:
        _mixed(service, n_mixed)


class Service:
    """A service in a process of its own.

    Args:
        paths: The exported models.
        options: Of `kedro serve`.
    """

    def __init__(self, paths: list[Path], *options: str) -> None:
        command = [sys.executable, "-m", "kedro", "serve", "--with", ",".join(map(str, paths))]
        self.process = subprocess.Popen(
            [*command, "--port", "0", "--per-minute", "0", *options],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        found = (re.search(r"http://\S+:\d+", line) for line in self.process.stdout)
        self.address = next(match.group() for match in found if match)

    def __enter__(self) -> Service:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(20)

    @property
    def megabytes(self) -> float:
        """What it has in memory."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(text.split("VmRSS:")[1].split()[0]) / 1024

    @property
    def files(self) -> int:
        """How many it has open."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))


def _image_file(side: int = 128) -> bytes:
    rng = np.random.default_rng(side)
    file = io.BytesIO()
    Image.fromarray(rng.integers(0, 255, (side, side, 3), np.uint8)).save(file, "JPEG")
    return file.getvalue()


def _bare(predictor: Predictor, seconds: float) -> float:
    """Images a second of the model alone, one after the other, from the bytes of a file on."""
    content = _image_file()
    n, start = -1, time.perf_counter()  # the first call is not counted
    while time.perf_counter() - start < seconds:
        predictor.predict(whole_images(in_memory([decode_image(content, "a.jpg")])))
        n += 1
        start = start if n else time.perf_counter()
    return n / (time.perf_counter() - start)


def _load(address: str, clients: int, seconds: float) -> tuple[float, float]:
    """Requests a second of clients that each wait for their answer, and the 99th percentile.

    Of the standard library: the clients share two cores with the service. With httpx's, 8 of them
    got 106 images a second of a small classifier; with these 181.
    """
    request = httpx2.Request("POST", address, files={"file": ("a.jpg", _image_file())})
    body, headers = request.read(), {"Content-Type": request.headers["content-type"]}
    took: list[float] = []

    def ask(seconds: float) -> None:
        connection = HTTPConnection(address.removeprefix("http://"), timeout=60)
        end = time.perf_counter() + seconds
        while (start := time.perf_counter()) < end:
            connection.request("POST", "/predict", body, headers)
            said = connection.getresponse()
            content = said.read()
            assert said.status == 200, content
            took.append(time.perf_counter() - start)
        connection.close()

    ask(0.5)  # the first calls are not counted
    took.clear()
    start = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(ask, [seconds] * clients))
    return len(took) / (time.perf_counter() - start), float(np.percentile(took, 99))


# Good, bad, hostile and cut-off requests ----------------------------------------------------------


def _bomb() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", bytes(100 << 20))
    return file.getvalue()


def _huge() -> bytes:
    """A small file that says it has 1.6 billion pixels."""
    file = io.BytesIO()
    Image.new("1", (2000, 2000)).save(file, "PNG")
    content = bytearray(file.getvalue())
    content[16:24] = (40_000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    return bytes(content)


def _kinds() -> dict[str, tuple[bytes, set[int]]]:
    """What is sent, and the statuses that are right for it."""
    good = _image_file()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("../../a.jpg", good)
        archive.writestr("b.jpg", b"no image")
    return {
        "image": (good, {200}),
        "zip": (packed.getvalue(), {200}),
        "half an image": (good[: len(good) // 2], {415}),
        "text": (b"<svg onload=alert(1)>", {415}),
        "nothing": (b"", {415}),
        "noise": (random.Random(0).randbytes(5000), {415}),
        "half a zip": (packed.getvalue()[:-40], {415}),
        "too large": (b"\xff\xd8" + bytes(21 << 20), {413}),
        "too many pixels": (_huge(), {413}),
        "a bomb": (_bomb(), {413}),
    }


def _mixed(service: Service, n: int) -> None:
    """Send requests of every kind, and say what was not as it should be."""
    wrong: Counter[str] = Counter()
    answered: Counter[str] = Counter()
    kinds, rng = _kinds(), random.Random(0)
    often = ["image", "zip", "half an image", "text", "nothing", "noise", "half a zip"] * 8
    names = [*often, *kinds, *["cut off"] * 8, *["not HTTP"] * 4, *["no file"] * 4]

    async def send(name: str, client: httpx2.AsyncClient) -> None:
        if name in ("cut off", "not HTTP"):
            await _cut_off(service.address, kinds["image"][0], name, rng)
            answered[name] += 1
            return
        if name == "no file":
            said, right = await client.post("/predict", content=b"--x", headers=_BROKEN), {400, 422}
        else:
            content, right = kinds[name]
            said = await client.post("/predict", files={"file": (name, content)})
        answered[f"{name}: {said.status_code}"] += 1
        has_reason = said.is_success or "reason" in json.loads(said.text)
        if said.status_code not in right or not has_reason:
            wrong[f"{name}: {said.status_code}"] += 1

    async def all_of(these: list[str]) -> None:
        limits = httpx2.Limits(max_connections=_AT_A_TIME)
        async with httpx2.AsyncClient(
            base_url=service.address, timeout=60, limits=limits
        ) as client:
            at_a_time = asyncio.Semaphore(_AT_A_TIME)

            async def send_in_turn(name: str) -> None:
                async with at_a_time:
                    try:
                        await send(name, client)
                    except httpx2.TransportError as error:
                        wrong[f"{name}: {type(error).__name__}"] += 1

            await asyncio.gather(*map(send_in_turn, these))

    # What the largest of a kind take at once is kept by the service, and is no leak.
    asyncio.run(all_of([name for name in sorted(set(names)) for _ in range(_AT_A_TIME)]))
    answered.clear()
    time.sleep(_UNTIL_CLOSED)
    before, files = service.megabytes, service.files
    asyncio.run(all_of(rng.choices(names, k=n)))
    time.sleep(_UNTIL_CLOSED)
    grown, opened = service.megabytes - before, service.files - files
    alive = httpx2.get(f"{service.address}/health").is_success
    Console().print(f"{n:,} mixed requests: {dict(sorted(answered.items()))}")
    Console().print(
        f"wrong: {dict(wrong) or 'none'}; alive: {alive}; grown from {before:.0f} MB by "
        f"{grown:.0f} MB, from {files} open files by {opened}"
    )
    if wrong or not alive or grown > MOST_GROWTH or opened > MOST_OPENED:
        raise SystemExit("the service did not answer as it should")


_BROKEN = {"content-type": "multipart/form-data; boundary=x"}


async def _cut_off(address: str, content: bytes, kind: str, rng: random.Random) -> None:
    """Begin a request and hang up."""
    host, port = address.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /predict HTTP/1.1\r\nHost: {host}\r\nContent-Type: multipart/form-data; " \
        f"boundary=x\r\nContent-Length: {len(content) + 200}\r\n\r\n--x\r\n"  # fmt: skip
    whole = rng.randbytes(400) if kind == "not HTTP" else head.encode() + content
    writer.write(whole[: rng.randrange(len(whole))])
    try:
        await writer.drain()
    except OSError:
        return
    writer.close()
