"""The site is built from pages and from the code, and leaves nothing out."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from docs.pages import PAGES, ROOT, known_pipelines
from recycling.plan.parameters import SECTIONS
from recycling.registry import PickedSettings, Settings

sys.path.insert(0, str(ROOT / "docs"))  # what mkdocs imports by path
from generated import library, settings


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` builds it."""
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    return folder


def test_every_page_is_built(site):
    for page in PAGES:
        assert (site / f"{page.stem}.html").stat().st_size > 1000


def test_a_page_needs_no_network(site):
    loaded = re.compile(r"<(?:script|link|img)[^>]+https?://[^>]+>|url\(['\"]?https?://")
    for page in site.rglob("*.html"):
        found = [tag for tag in loaded.findall(page.read_text(encoding="utf-8")) if tag]
        assert not [tag for tag in found if "canonical" not in tag], page.name


def test_what_is_exported_is_on_the_page_of_its_package(site):
    for package in library.PACKAGES:
        module = import_module(f"recycling.{package}")
        page = (site / f"library/{package}.html").read_text(encoding="utf-8")
        for name in module.__all__:
            defined = getattr(getattr(module, name), "__module__", None)
            places = (f"{where}.{name}" for where in (module.__name__, defined))
            assert any(f'id="{place}"' in page for place in places), f"{package}.{name}"


def test_doctests_are_shown_as_code(site):
    page = (site / "library/experiments.html").read_text(encoding="utf-8")
    assert "<blockquote>" not in page


def models(of: type[Settings]) -> list[type[Settings]]:
    found = [each for sub in of.__subclasses__() for each in (sub, *models(sub))]
    return [each for each in found if each.__module__.startswith("recycling.")]


def test_every_parameter_has_its_place_on_the_page_of_settings():
    named = {where.split(".")[0] for where in settings.SECTIONS}
    assert named | set(settings.OTHERS) == set(SECTIONS)


def test_every_setting_is_on_the_page_of_settings_and_is_explained():
    page = settings.settings_page()
    for model in models(Settings):
        for name, meaning in settings.meanings(model).items():
            if issubclass(model, PickedSettings) and name == model.key:
                continue
            assert meaning, f"{model.__module__}.{model.__name__}.{name}"
            assert f"| `{name}` |" in page, name


def test_every_link_to_a_setting_leads_somewhere(site):
    page = (site / "settings.html").read_text(encoding="utf-8")
    for target in set(re.findall(r'href="#([\w.]+)"', page)):
        assert f'id="{target}"' in page, target


def test_what_is_promised_is_tested():
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    named = re.findall(r"`(test_\w+)`", (ROOT / "docs/promises.md").read_text())
    assert len(named) > 20
    assert not [name for name in named if f"def {name}(" not in tests]


def test_every_technique_of_the_reports_is_where_the_page_says():
    page = settings.settings_page()
    rows = re.findall(r"^\| .* \| .* \| (.*) \|$", (ROOT / "docs/reports.md").read_text(), re.M)
    places = [code for row in rows for code in re.findall(r"`([^`]+)`", row)]
    assert len(places) > 60
    for place in places:
        is_path = any((folder / place).exists() for folder in (ROOT, ROOT / "src/recycling"))
        is_setting = any(form in page for form in (f"| `{place}` |", f"\n## `{place}"))
        assert is_path or is_setting, place


def test_every_pipeline_has_its_heading():
    headings = re.findall(r"^## `(\w+)`$", (ROOT / "docs/pipelines.md").read_text(), re.M)
    assert headings == [name for name in known_pipelines() if name != "__default__"]
