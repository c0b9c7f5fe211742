"""The viewer on 5,000 images of 1024 pixels and 300,000 boxes: the first page, and each image."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from rich.console import Console
from rich.table import Table

from bench.drawn_members import annotations_of
from recycling.annotations import BOX, Annotations, write_tables

ROOT = Path(__file__).parents[1]
SIDE, BOXES_AN_IMAGE, DRAWN = 1024, 60, 25
FIRST, EACH = 2.0, 0.15
"""Seconds that the first page and an image may take."""


def run(*, quick: bool) -> None:
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        Console().print("viewer: no chromium on this machine: apt-get install chromium")
        return
    n_images, looked_at = (100, 5) if quick else (5000, 40)
    with tempfile.TemporaryDirectory() as folder:
        project = drawn_project(Path(folder), n_images)
        viewer = subprocess.Popen(
            [sys.executable, "-m", "kedro", "view", "--port", "0"],
            cwd=project,
            env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert viewer.stdout is not None
            address = next(line.strip() for line in viewer.stdout if line.startswith("http"))
            with sync_playwright() as playwright:
                arguments = ["--no-sandbox", "--disable-gpu", "--disable-quic"]
                browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
                page = browser.new_page(viewport={"width": 1400, "height": 900})
                # The page that the browser itself needs once, whatever is on it.
                page.goto(f"{address}nowhere")
                page.wait_for_load_state("networkidle")
                start = time.perf_counter()
                page.goto(address)
                page.wait_for_function(_ALL_SHOWN)
                first = time.perf_counter() - start
                start = time.perf_counter()
                page.goto(address)
                page.wait_for_function(_ALL_SHOWN)
                again = time.perf_counter() - start
                page.locator("figure a").first.click()
                page.wait_for_selector("ul.annotations")
                each = [_next(page) for _ in range(looked_at)]
                back = [_next(page, "ArrowLeft") for _ in range(looked_at)]
                browser.close()
        finally:
            viewer.terminate()
            viewer.wait(20)
    _show(n_images, first, again, each, back)


_ALL_SHOWN = """() => {
    const images = [...document.querySelectorAll("figure image")].slice(0, 24);
    if (images.length < 24) return false;
    return images.every((image) => performance.getEntriesByName(
        new URL(image.getAttribute("href"), location).href).length > 0);
}"""
"""Whether the images of the first screen have arrived."""

_ARRIVED = """(before) => {
    const image = document.querySelector(".one image");
    if (!image || image.getAttribute("href") === before) return false;
    const address = new URL(image.getAttribute("href"), location).href;
    return performance.getEntriesByName(address).length > 0
        && document.querySelectorAll(".one .shape").length > 0;
}"""


def _next(page: object, key: str = "ArrowRight") -> float:
    """Seconds from a key until the next image and its boxes are there."""
    from typing import Any, cast

    own = cast(Any, page)
    before = own.locator(".one image").first.get_attribute("href")
    start = time.perf_counter()
    own.keyboard.press(key)
    own.wait_for_function(_ARRIVED, arg=before, polling=5)
    return time.perf_counter() - start


def _show(n_images: int, first: float, again: float, each: list[float], back: list[float]) -> None:
    table = Table("what", "seconds", "may take")
    table.title = f"{n_images:,} images of {SIDE} pixels, {n_images * BOXES_AN_IMAGE:,} boxes"
    table.add_row("first page, thumbnails made", f"{first:.2f}", f"{FIRST:.2f}")
    table.add_row("first page again", f"{again:.2f}", f"{FIRST:.2f}")
    for what, seconds in (("an image, reduced now", each), ("an image seen before", back)):
        told = f"{statistics.median(seconds):.3f} (slowest {max(seconds):.3f})"
        table.add_row(what, told, f"{EACH:.2f}")
    table.caption = "median of all; in Chromium, from the key until image and boxes are there"
    Console(width=100).print(table)


def drawn_project(folder: Path, n_images: int) -> Path:
    """A project whose train part has so many images; the files are those of a few, linked."""
    for name in ("conf", "pyproject.toml", ".telemetry"):
        source = ROOT / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, folder / name)
    (folder / "src").mkdir()
    images = folder / "data/01_raw/sample/images"
    images.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(min(DRAWN, n_images)):
        coarse = rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        image.save(images / f"{number}.jpg", quality=90)
    for number in range(DRAWN, n_images):
        os.link(images / f"{number % DRAWN}.jpg", images / f"{number}.jpg")
    write_tables(drawn_annotations(n_images), folder / "data/03_primary/train")
    return folder


def drawn_annotations(n_images: int) -> Annotations:
    """Boxes of ten categories all over the images."""
    rng = np.random.default_rng(0)
    n = n_images * BOXES_AN_IMAGE
    corner = rng.uniform(0, 0.8 * SIDE, (n, 2))
    size = rng.uniform(8, 0.2 * SIDE, (n, 2))
    objects = pd.DataFrame(np.hstack([corner, corner + size]), columns=BOX).assign(
        image_id=np.repeat(np.arange(n_images), BOXES_AN_IMAGE),
        category_id=rng.integers(0, 10, n),
    )
    names = {number: f"category {number}" for number in range(10)}
    return annotations_of(objects, n_images, SIDE, names)
