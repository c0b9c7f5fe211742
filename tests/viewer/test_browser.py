"""Every page in a real browser, clicked and typed into as a user would."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError

import pytest
from playwright.sync_api import Browser, BrowserContext, Error, Page, expect, sync_playwright

from viewer.drawn import HOSTILE, project_with_sample

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
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return project_with_sample(tmp_path_factory.mktemp("project"))


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
    tab.set_default_timeout(10_000)
    wrong: list[str] = []
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    inside = (address, "data:", "blob:", address.replace("http:", "ws:"))
    tab.on("request", lambda own: None if own.url.startswith(inside) else wrong.append(own.url))
    yield tab
    tab.close()
    assert wrong == []


def status(url: str, **headers: str) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code


def choose(page: Page, label: str, option: str) -> None:
    """Choose from a list as a user does: open it, click."""
    page.get_by_label(label, exact=True).click()
    page.get_by_role("option", name=option, exact=True).click()


def test_images_are_chosen_by_category_and_each_choice_has_a_link(page):
    page.goto("/?set=test.annotations")
    expect(page.locator("figure")).to_have_count(48)
    expect(page.locator(".pager").first).to_contain_text("80 images, page 1 of 2")
    choose(page, "category", "Battery")
    expect(page).to_have_url(re.compile("set=test.annotations&category=Battery"))
    expect(page.locator(".pager").first).not_to_contain_text("80 images")
    n_chosen = page.locator("figure").count()
    assert 0 < n_chosen < 48
    page.reload()
    expect(page.locator("figure")).to_have_count(n_chosen)
    page.go_back()
    expect(page.locator(".pager").first).to_contain_text("80 images")


def test_thumbnails_are_made_once(page, project):
    page.goto("/?set=test.annotations")
    page.wait_for_load_state("networkidle")
    kept = project / "data/02_intermediate/thumbnails"
    before = {path: path.stat().st_mtime_ns for path in kept.rglob("*.jpg")}
    assert len(before) >= 48
    page.reload()
    page.wait_for_load_state("networkidle")
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_annotations_are_shown_by_size_both_ways(page):
    page.goto("/?set=test.annotations&show=annotations")
    areas = {}
    for order in ("largest first", "smallest first"):
        choose(page, "order", order)
        expect(page).to_have_url(re.compile(f"order={order.split()[0]}"))
        lines = page.locator("figcaption span:last-child").all_text_contents()
        areas[order] = [int(line.split()[0].replace(",", "")) for line in lines]
    assert areas["largest first"] == sorted(areas["largest first"], reverse=True)
    assert areas["smallest first"] == sorted(areas["smallest first"])
    assert areas["smallest first"][0] < areas["largest first"][-1]


def test_annotations_are_gone_through_by_key_and_their_ids_copied(page):
    page.goto("/?set=test.annotations")
    page.locator("figure a").first.click()
    expect(page.locator("h1")).to_have_text("test/0001.jpg")
    page.keyboard.press("j")
    expect(page.locator(".shape.chosen")).to_have_count(1)
    number = page.locator(".shape.chosen").get_attribute("data-number")
    expect(page).to_have_url(re.compile(f"annotation={number}"))
    page.keyboard.press("c")
    expect(page.get_by_text(f"copied: {number}")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == number
    page.keyboard.press("ArrowRight")
    expect(page.locator("h1")).to_have_text("test/0002.jpg")
    page.keyboard.press("u")
    expect(page.locator("h1")).to_have_text("Data")


def test_an_image_is_found_by_name_and_what_is_not_there_is_said(page):
    page.goto("/?set=test.annotations")
    page.get_by_label("file name or id").fill("0007")
    page.get_by_label("file name or id").press("Enter")
    expect(page.locator("figure")).to_have_count(1)
    page.get_by_label("file name or id").fill("<script>alert(1)</script>")
    page.get_by_label("file name or id").press("Enter")
    expect(page.locator(".page")).to_contain_text("nothing here")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("/?set=nope", "no images 'nope'; there are train.annotations"),
        ("/?set=test.annotations&category=Gold", "category=Gold: there are "),
        ("/?set=test.annotations&page=two", "page=two: not a whole number"),
        ("/?set=test.annotations&fold=99", "fold=99: there are "),
        ("/image?set=test.annotations&id=1", "test.annotations: no image 1"),
        ("/image?set=test.annotations&id=20001&annotation=5", "annotation=5: not on image 20001"),
        ("/image?set=pool.annotations&id=2", "secret.png: lies outside"),
    ],
)
def test_a_wrong_address_is_answered_in_one_line(page, asked, said):
    page.goto(asked)
    expect(page.get_by_role("alert")).to_contain_text(said)


def test_names_with_html_in_them_are_text(page):
    page.goto("/?set=pool.annotations")
    expect(page.locator("figcaption b").first).to_have_text("<b>bold<<b>.png")
    page.locator("figure a").first.click()
    expect(page.locator("ul.annotations li").first).to_contain_text(HOSTILE)
    page.goto("/?set=pool.annotations")
    page.get_by_label("category", exact=True).click()
    expect(page.get_by_role("option").first).to_have_text(HOSTILE)
    assert "harmed" not in page.title()


def test_no_file_outside_the_folder_is_served_and_a_broken_one_is_no_error(address):
    images = f"{address}/images/pool.annotations"
    assert status(f"{images}/1/320") == 200
    assert status(f"{images}/2/320") == 404
    assert status(f"{images}/3/320") == 404
    assert status(f"{images}/1/99999") == 404
    for path in ("..%2f..%2f..%2fsecret.png", "%2e%2e/%2e%2e/secret.png"):
        assert status(f"{address}/images/{path}/1/320") == 404
    assert status(f"{address}/static/..%2f__init__.py") == 404


def test_another_name_or_page_may_not_look(address):
    assert status(address) == 200
    assert status(address, Host="evil.example") == 403
    assert status(address, Origin="http://evil.example") == 403


def test_light_and_dark_are_kept(page):
    page.goto("/?set=test.annotations")
    expect(page.locator("body")).to_have_class(re.compile("body--light"))
    page.keyboard.press("d")
    expect(page.locator("body")).to_have_class(re.compile("body--dark"))
    page.reload()
    expect(page.locator("body")).to_have_class(re.compile("body--dark"))
