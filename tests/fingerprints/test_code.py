"""Code that has changed since an output was made: said, and acted on when that is asked for."""

from __future__ import annotations

import json
import sys
from importlib import import_module
from importlib.metadata import version

import click
import pytest

from recycling.fingerprints import ContentCache, code_line
from recycling.fingerprints.code import Code, library_versions

MODULES = {
    "__init__": "",
    "nodes": "from mine import shapes\n\ndef area(side):\n    return shapes.square(side)\n",
    "shapes": '"""Shapes."""\n\n\ndef square(side):\n    from mine.numbers import times\n'
    "    return times(side, side)\n",
    "numbers": "def times(one, other):\n    # A product.\n    return one * other\n",
    "aside": "X = 1\n",
    "things/__init__": "from recycling.registry import import_modules\n"
    "import_modules(__name__, __path__)\n",
    "things/first": "from ..numbers import times\n",
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of a user's own."""
    for name, text in MODULES.items():
        path = tmp_path / "mine" / f"{name}.py"
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    import_module("mine")  # as what registers something is, before anything runs
    yield tmp_path / "mine"
    del sys.modules["mine"]


def reached(package, module="mine.nodes"):
    return Code(ContentCache(package / ".cache")).reached_from([module])


def test_imports_count_wherever_they_are(package):
    assert set(reached(package)) == {"mine", "mine.nodes", "mine.shapes", "mine.numbers"}


def test_what_is_installed_is_not_of_the_project(package):
    (package / "shapes.py").write_text("import json.decoder, numpy.linalg\n")
    assert set(reached(package)) == {"mine", "mine.nodes", "mine.shapes"}


def test_a_package_that_imports_all_of_its_modules_counts_all(package):
    assert {"mine.things.first", "mine.numbers"} <= set(reached(package, "mine.things"))


def test_comments_docstrings_and_layout_do_not_count(package):
    before = reached(package)
    (package / "numbers.py").write_text(
        '"""Numbers."""\n\ndef times(one, other):\n    "It."\n    return (one *\n        other)\n'
    )
    assert reached(package) == before


def test_a_changed_module_is_told_from_the_others(package):
    before = reached(package)
    (package / "numbers.py").write_text("def times(one, other):\n    return one + other\n")
    after = reached(package)
    assert [name for name in after if after[name] != before[name]] == ["mine.numbers"]


def test_what_a_node_of_the_project_reaches_is_found_without_importing_it(tmp_path):
    code = Code(ContentCache(tmp_path / "cache.json"))
    found = code.reached_from(["recycling.pipelines.training"])
    # One imported inside a function, one named as a text in a config.
    assert "recycling.backends.mmengine_backend.session" in found
    assert any("mmengine_backend.networks." in name for name in found)
    # One of a package that imports all of its modules.
    assert "recycling.ensembling.boxes.nms" in code.reached_from(["recycling.pipelines.fusing"])


def test_templates_that_a_module_loads_count(package):
    (package / "shapes.py").write_text("from jinja2 import PackageLoader\nPackageLoader('mine')\n")
    page = package / "templates/page.html"
    page.parent.mkdir()
    page.write_text("<p>")
    before = reached(package)
    assert "mine.templates" in before
    page.write_text("<b>")
    assert reached(package)["mine.templates"] != before["mine.templates"]
    assert "mine.templates" not in reached(package, "mine.numbers")


def test_a_page_of_the_project_is_made_with_its_templates(tmp_path):
    code = Code(ContentCache(tmp_path / "cache.json"))
    assert "recycling.reporting.templates" in code.reached_from(["recycling.reporting.pages"])


def installed(folder, name, version):
    """Let something be installed of which only the version is known."""
    (folder / "site-packages").mkdir(exist_ok=True)
    (folder / "site-packages" / f"{name}.py").write_text("")
    sheet = folder / "site-packages" / f"{name}_x.dist-info/METADATA"
    sheet.parent.mkdir(exist_ok=True)
    sheet.write_text(f"Metadata-Version: 2.1\nName: {name}-x\nVersion: {version}\n")
    (sheet.parent / "top_level.txt").write_text(name)


def test_another_version_of_a_plugin_that_is_installed_is_reported(project, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path / "site-packages"))
    installed(tmp_path, "plugin_of_theirs", "1.0")
    project.custom_imports = ["plugin_of_theirs.losses"]
    project.run(only_missing=False)
    assert project.states(stale_code=True)["fused"].kind == "made"
    installed(tmp_path, "plugin_of_theirs", "1.1")
    state = project.states(stale_code=True)["fused"]
    assert state.why == "code changed (plugin_of_theirs-x 1.0 -> 1.1)"


def test_the_version_of_detectron2_which_nothing_asks_for_is_known(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path / "site-packages"))
    installed(tmp_path, "detectron2", "0.6")
    sheet = tmp_path / "site-packages/detectron2_x.dist-info/METADATA"
    sheet.write_text(sheet.read_text().replace("detectron2-x", "detectron2"))
    sheet.parent.rename(sheet.parent.with_name("detectron2-0.6.dist-info"))
    assert library_versions()["detectron2"] == "0.6"


def test_versions_are_those_of_what_the_project_asks_for():
    import numpy as np

    found = library_versions()
    assert found["numpy"] == np.__version__
    assert "python" in found


def test_versions_are_also_those_of_what_trains_and_fuses():
    found = library_versions()
    training = {"torch", "torchvision", "onedl-mmengine", "onedl-mmdetection", "albumentations"}
    assert training | {"numba", "scikit-learn", "optuna"} <= found.keys()
    assert found["torch"] == version("torch")
    assert "none" not in found.values()  # an extra that is not installed makes nothing
    # Nor does what develops the project, serves it, or hands nodes to other machines.
    assert not {"pytest", "ruff", "uvicorn", "distributed"} & found.keys()


@pytest.fixture
def custom(project, package):
    """The project with a module of a user's own, after it has been edited."""
    project.custom_imports = ["mine.numbers"]
    project.run(only_missing=False)
    path = package / "numbers.py"
    path.write_text(path.read_text().replace("# A product.", "# Their product."))
    assert code_line(list(project.states().values())) is None
    path.write_text(path.read_text().replace("*", "+"))
    return project


def test_changed_code_is_reported_and_makes_nothing_anew(custom, caplog):
    assert custom.run() == []
    assert "code has changed since 7 outputs were made (mine.numbers)" in caplog.text
    assert "`kedro run --stale-code` makes them anew" in caplog.text


def test_changed_code_makes_outputs_stale_when_that_is_asked_for(custom):
    state = custom.states(stale_code=True)["fused"]
    assert (state.kind, state.why) == ("stale", "code changed (mine.numbers)")


def test_the_option_of_the_command_is_what_asks_for_it(custom):
    from recycling.cli import run

    command = click.Context(run)
    command.params["stale_code"] = True
    with command:
        assert len(custom.run()) == 7
    assert custom.run() == []


@pytest.mark.parametrize("stale_code", [False, True])
def test_a_training_of_other_code_gives_no_weights_back_where_it_is_to_be_made_anew(
    stale_code, custom
):
    from recycling.cli import run

    weights = custom.folder / "trainings/cls.a.fold0/checkpoint/weights.pth"
    state = weights.parents[1] / "state.pth"
    weights.parent.mkdir(parents=True)
    for path in (weights, state):
        path.write_bytes(b"")
    command = click.Context(run)
    command.params["stale_code"] = stale_code
    with command:
        custom.run()
    assert weights.exists() != stale_code
    assert state.exists()


def edit_versions(project, edit):
    path = project.made / "fused.json"
    record = json.loads(path.read_text())
    edit(record["versions"])
    path.write_text(json.dumps(record))


@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_another_version_of_a_library_is_reported(project, library):
    edit_versions(project, lambda versions: versions.update({library: "1.0"}))
    line = code_line(list(project.states().values()))
    now = library_versions()[library]
    assert line is not None
    assert line.startswith(f"code has changed since 1 output was made ({library} 1.0 -> {now})")
    assert project.states(stale_code=True)["fused"].kind == "stale"


def test_a_library_that_a_record_does_not_name_has_not_changed(project):
    edit_versions(project, lambda versions: versions.pop("torch", None))
    assert code_line(list(project.states().values())) is None
    assert project.states(stale_code=True)["fused"].kind == "made"
