"""The viewer as a user starts it, and a real browser."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Error, Page, expect, sync_playwright

SECONDS = 30
"""What a page may take on a machine that does other things meanwhile."""

expect.set_options(timeout=SECONDS * 1000)

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium; tests of pages are skipped where there is none."""
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine: apt-get install chromium")
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
        try:
            started = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        except Error as error:
            pytest.skip(f"chromium does not start: {str(error).splitlines()[0]}")
        yield started
        started.close()


@pytest.fixture(scope="module")
def address(project: Path) -> Iterator[str]:
    """The viewer of the sample, started as a user starts it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "kedro", "view", "--port", "0"],
        cwd=project,
        env={**os.environ, "COLUMNS": "200"},
        stdout=subprocess.PIPE,
        stderr=(project / "errors.log").open("w"),
        text=True,
    )
    assert process.stdout is not None
    found = next((line for line in process.stdout if line.startswith("http")), None)
    assert found is not None, (project / "errors.log").read_text()
    yield found.strip().rstrip("/")
    process.terminate()
    process.wait(20)


@pytest.fixture(scope="module")
def window(browser: Browser, address: str) -> Iterator[BrowserContext]:
    """One for all tests, as a user has one, so that scripts are fetched once."""
    context = browser.new_context(base_url=address, viewport={"width": 1400, "height": 900})
    context.grant_permissions(["clipboard-read", "clipboard-write"], origin=address)
    yield context
    context.close()


@pytest.fixture
def page(window: BrowserContext, address: str) -> Iterator[Page]:
    """A tab that fails its test if it asks another address for anything, or a script fails."""
    tab = window.new_page()
    tab.set_default_timeout(SECONDS * 1000)
    wrong: list[str] = []
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    inside = (address, "data:", "blob:", address.replace("http:", "ws:"))
    tab.on("request", lambda own: None if own.url.startswith(inside) else wrong.append(own.url))
    yield tab
    tab.close()
    assert wrong == []
