"""What every type of catalog entry promises: versions, any file system, whole or not at all.

The types are taken from the package: a new one fails here until it has a row in `CASES`, or says
why it stands for no value.
"""

from __future__ import annotations

import inspect
import json
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pandas as pd
import pytest
from kedro.io import DataCatalog, DatasetError, Version
from kedro.io.core import get_filepath_str
from matplotlib.figure import Figure
from PIL import Image

from forked import in_a_process
from recycling import datasets, mirrors
from recycling.annotations import Annotations, to_coco
from recycling.backends import Checkpoint
from recycling.datasets import PathDataset
from recycling.datasets.kept import kept_by
from recycling.errors import message_for_user
from recycling.evaluation import Metrics
from recycling.experiments import Runs
from recycling.mirrors import CACHE
from recycling.predictions import DETECTIONS, LabelMaps, ProbabilityMaps
from recycling.tables import TABLES

TYPES = {name: getattr(datasets, name) for name in datasets.__all__ if name != "PathDataset"}
PLACES = sorted(name for name, kind in TYPES.items() if kind.not_a_value)
READ_ONLY = ("ClassCsvDataset", "LabelStudioDataset")
KILLS = 7  # moments of a save at which it is killed, beside those of a disk that is full
MEMORY = "memory://recycling-every"


@dataclass(frozen=True)
class World:
    """What entries and values refer to: a folder, and annotations."""

    folder: Path
    annotations: Annotations


@dataclass(frozen=True)
class Case:
    """One type of entry, and two values of it.

    Attributes:
        file_name: What its file or folder is called.
        value: Makes the value of a number, 0 or 1.
        facts: What tells two values apart, of a value that was loaded.
        options: Further options of an entry.
    """

    file_name: str
    value: Callable[[World, int], Any]
    facts: Callable[[Any], Any]
    options: Callable[[World], dict[str, Any]] = field(default=lambda world: {})


def some(annotations: Annotations, number: int) -> Annotations:
    return annotations.of_images(pd.Series([1, 2, 3] if number == 0 else [1]))


def boxes(world: World, number: int) -> pd.DataFrame:
    rows = [(1, 5, 0.5, 0.0, 0.0, 3.0, 4.0 + number)]
    return DETECTIONS.conform(pd.DataFrame(rows, columns=DETECTIONS.names), where="test")


def label_maps(world: World, number: int) -> LabelMaps:
    return LabelMaps([1, 2, 3], lambda i: np.full((4, 4), number, np.uint8))


def planes(world: World, number: int) -> ProbabilityMaps:
    return ProbabilityMaps([1, 2, 3], lambda i: np.full((2, 4, 4), number, np.uint8))


def checkpoint(world: World, number: int) -> Checkpoint:
    folder = world.folder / f"trained_{number}"
    folder.mkdir(exist_ok=True)
    for name in ("weights.pth", "checkpoint.json"):
        (folder / name).write_text(f"{number}" * 1000)
    return Checkpoint(folder)


def figure(world: World, number: int) -> Figure:
    drawn = Figure(figsize=(1, 1))
    drawn.add_subplot().plot([0, number])
    return drawn


def image(world: World, number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (32, 32, 3), dtype=np.uint8)


def images(world: World) -> dict[str, Any]:
    return {"images": str(world.folder / "images")}


def of_maps(maps: Any) -> dict[int, list[int]]:
    return {image_id: one.ravel().tolist() for image_id, one in maps.items()}


def of_annotations(loaded: Annotations) -> Any:
    # Pascal VOC and YOLO keep an image without annotations only as an empty file.
    return to_coco(loaded)["annotations"], to_coco(loaded)["images"]


def rows(frame: pd.DataFrame) -> list[list[Any]]:
    return frame.to_numpy().tolist()


CASES = {
    "AnnotationsDataset": Case("tables", lambda w, n: some(w.annotations, n), of_annotations),
    "CheckpointDataset": Case("checkpoint", checkpoint, lambda c: sorted(
        (path.name, path.read_text()) for path in c.folder.iterdir()
    )),
    "ClassCsvDataset": Case(
        "classes.csv", lambda w, n: f"file_name,label\n1.png,{'ab'[n]}\n2.png,a\n",
        lambda loaded: loaded.categories["name"].tolist(), images,
    ),
    "CocoDataset": Case("coco.json.gz", lambda w, n: some(w.annotations, n), of_annotations),
    "CsvDataset": Case("table.csv", lambda w, n: pd.DataFrame({"a": [n] * 500}), rows),
    "FigureDataset": Case("figure.png", figure, lambda content: content),
    "ImageDataset": Case("image.png", image, lambda loaded: loaded.tolist()),
    "JsonDataset": Case("a.json", lambda w, n: {"a": [n] * 500}, lambda loaded: loaded),
    "LabelMapsDataset": Case("maps", label_maps, of_maps),
    "LabelStudioDataset": Case(
        "labelled.json",
        lambda w, n: json.dumps([{
            "data": {"file_name": "1.png"},
            "annotations": [{"result": [
                {"type": "choices", "value": {"choices": ["ab"[n]]}}
            ]}],
        }]),
        lambda loaded: loaded.categories["name"].tolist(), images,
    ),
    "MetricsDataset": Case(
        "metrics.json", lambda w, n: Metrics("mAP50", n / 2, {"Paper": 0.5}, {}),
        lambda m: m.to_dict(),
    ),
    "PascalVocDataset": Case(
        "voc", lambda w, n: some(w.annotations, n), of_annotations,
        lambda w: {**images(w), "categories": ["Paper", "Metal"]},
    ),
    "ProbabilityMapsDataset": Case("planes", planes, of_maps),
    "TableDataset": Case("a.parquet", boxes, rows, lambda w: {"table": "detections"}),
    "TextDataset": Case("a.html", lambda w, n: f"na\u00efve {n}\r\n" * 500, lambda loaded: loaded),
    "YoloDataset": Case(
        "labels", lambda w, n: some(w.annotations, n), of_annotations,
        lambda w: {**images(w), "data_yaml": str(w.folder / "data.yaml")},
    ),
}  # fmt: skip


@pytest.fixture
def world(tmp_path, annotations) -> World:
    (tmp_path / "images").mkdir()
    for name in annotations.images["file_name"]:
        Image.new("L", (40, 30)).save(tmp_path / "images" / name)
    return World(tmp_path, annotations)


@pytest.fixture
def memory() -> Iterator[None]:
    yield
    system = fsspec.filesystem("memory")
    if system.exists("/recycling-every"):
        system.rm("/recycling-every", recursive=True)


def entry(name: str, world: World, folder: str | Path, *, versioned: bool = False) -> PathDataset:
    case = CASES[name]
    config = {
        "type": f"recycling.datasets.{name}",
        "filepath": f"{folder}/{case.file_name}",
        **({"versioned": True} if versioned else {}),
        **case.options(world),
    }
    return DataCatalog.from_config({"a": config}).get("a")


def put(name: str, dataset: PathDataset, world: World, number: int) -> None:
    value = CASES[name].value(world, number)
    if name not in READ_ONLY:
        dataset.save(value)
        return
    where = get_filepath_str(dataset._get_save_path(), dataset._protocol)
    with fsspec.open(f"{dataset._protocol}://{where}", "w", auto_mkdir=True) as file:
        file.write(value)
    dataset.release()


def facts(name: str, dataset: PathDataset) -> Any:
    if name == "FigureDataset":  # what is written is not read back: an image of it is
        return dataset.content()
    return CASES[name].facts(dataset.load())


@pytest.fixture
def expected(world) -> Callable[[str], list[Any]]:
    """The facts of a type's two values, from a plain entry."""

    def of(name: str) -> list[Any]:
        found = []
        for number in (0, 1):
            dataset = entry(name, world, world.folder / f"plain_{number}")
            put(name, dataset, world, number)
            found.append(facts(name, dataset))
        assert found[0] != found[1]
        return found

    return of


def test_every_type_of_the_package_is_known_here():
    defined = {
        name
        for module in vars(datasets).values()
        if inspect.ismodule(module)
        for name, kind in vars(module).items()
        if inspect.isclass(kind) and issubclass(kind, PathDataset) and "read" in vars(kind)
        and not inspect.isabstract(kind)
    }  # fmt: skip
    assert defined == set(TYPES)
    assert set(TYPES) == set(CASES) | set(PLACES)


@pytest.mark.parametrize("name", sorted(CASES))
def test_a_value_comes_back_from_any_file_system(name, world, memory, expected):
    dataset = entry(name, world, f"{MEMORY}/deep")
    assert not dataset.exists()
    with pytest.raises(DatasetError, match=f"{CASES[name].file_name}: not there"):
        dataset.load()
    for number, wanted in enumerate(expected(name)):
        put(name, dataset, world, number)
        assert dataset.exists()
        assert facts(name, dataset) == wanted
    left = fsspec.filesystem("memory").ls(f"{MEMORY}/deep", detail=False)
    assert [Path(path).name for path in left] == [CASES[name].file_name]
    assert dataset.stored is None


@pytest.mark.parametrize("where", ["here", "elsewhere"])
@pytest.mark.parametrize("name", sorted(CASES))
def test_every_version_of_a_value_is_kept(name, where, world, memory, expected):
    folder = world.folder / "versions" if where == "here" else MEMORY
    assert not entry(name, world, folder, versioned=True).exists()
    versions = []
    for number, wanted in enumerate(expected(name)):
        dataset = entry(name, world, folder, versioned=True)
        put(name, dataset, world, number)
        versions.append(dataset.resolve_save_version())
        assert facts(name, entry(name, world, folder, versioned=True)) == wanted
    assert versions[0] != versions[1]
    first = entry(name, world, folder, versioned=True)
    first._version = Version(versions[0], None)
    assert facts(name, first) == expected(name)[0]
    assert first.list_versions(full_path=False) == versions[::-1]


@pytest.mark.parametrize("where", ["here", "here, with versions", "elsewhere"])
@pytest.mark.parametrize("name", sorted(set(CASES) - set(READ_ONLY)))
def test_what_a_run_keeps_is_there_whatever_later_runs_write(name, where, world, memory, expected):
    folder = MEMORY if where == "elsewhere" else str(world.folder / "data")
    run = Runs(world.folder / "runs", f"{MEMORY}/08_reporting/runs").folder("1")
    versioned = where == "here, with versions"
    put(name, dataset := entry(name, world, f"{folder}/deep", versioned=versioned), world, 0)
    kept = kept_by(run, "a", dataset)
    for _ in range(2):  # the second time in place of the first
        dataset.copy_to(kept)
    put(name, later := entry(name, world, f"{folder}/deep", versioned=versioned), world, 1)
    assert facts(name, kept) == expected(name)[0]
    assert facts(name, later) == expected(name)[1]
    kept.remove()
    assert not kept.exists()
    assert facts(name, later) == expected(name)[1]


def test_what_runs_keep_elsewhere_is_not_fetched_with_their_manifests(
    tmp_path, monkeypatch, memory
):
    monkeypatch.setenv(CACHE, str(tmp_path))
    monkeypatch.setattr(mirrors, "_open", {})
    there = fsspec.filesystem("memory")
    for name in ("manifest.json", "kept/a/a.parquet"):
        there.pipe_file(f"/recycling-every/runs/1/{name}", b"{}")
    run = datasets.RunsDataset(filepath=f"{MEMORY}/runs").load().folder("1")
    assert run.address == f"{MEMORY}/runs/1"
    assert [path.name for path in run.path.iterdir()] == ["manifest.json"]


def test_a_copy_elsewhere_that_fails_leaves_nothing(world, memory, monkeypatch):
    dataset = entry("JsonDataset", world, MEMORY)
    put("JsonDataset", dataset, world, 0)
    there = fsspec.filesystem("memory")
    monkeypatch.setattr(type(there), "mv", lambda *names: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        dataset.copy_to(dataset.at(f"{MEMORY}/kept/a.json"))
    assert there.find("/recycling-every") == ["/recycling-every/a.json"]


def test_of_what_lies_elsewhere_alone_a_run_keeps_nothing(tmp_path):
    dataset = datasets.JsonDataset(filepath=f"{MEMORY}/a.json")
    assert kept_by(Runs(tmp_path).folder("1"), "a", dataset) is None
    assert kept_by(Runs(tmp_path, "memory://other/08/runs").folder("1"), "a", dataset) is None


STAY_HERE = [name for name in PLACES if not TYPES[name].has_stand_in]
WISHES = [(name, "versions") for name in PLACES] + [(name, "url") for name in STAY_HERE]


@pytest.mark.parametrize(("name", "wish"), WISHES)
def test_what_stands_for_a_place_says_why_it_has_no_versions_and_no_url(name, wish, tmp_path):
    reason = TYPES[name].not_a_value
    config = {"type": f"recycling.datasets.{name}", "filepath": str(tmp_path)}
    config |= {"versioned": True} if wish == "versions" else {"filepath": "memory://a/b"}
    with pytest.raises(DatasetError) as error:
        DataCatalog.from_config({"a": config}).get("a")
    todo = "remove `versioned: true`" if wish == "versions" else "copy the data here first"
    assert reason in str(error.value)
    assert todo in str(error.value)


@pytest.mark.parametrize("name", sorted(set(PLACES) - set(STAY_HERE)))
def test_a_place_elsewhere_has_a_folder_here_and_the_credentials_of_all(
    name, tmp_path, monkeypatch
):
    monkeypatch.setenv(CACHE, str(tmp_path))
    kind = f"recycling.datasets.{name}"
    place = {"type": kind, "filepath": f"{MEMORY}/{name}"}
    assert DataCatalog.from_config({"a": place}).get("a").filepath.is_relative_to(tmp_path)
    with pytest.raises(DatasetError, match=r"below memory in credentials\.yml"):
        DataCatalog.from_config({"a": {**place, "fs_args": {"b": 1}}}).get("a")


@pytest.mark.parametrize("table", sorted(TABLES))
def test_every_table_keeps_its_schema_even_with_no_rows(table, tmp_path):
    schema = TABLES[table].schema
    dataset = datasets.TableDataset(table=table, filepath=tmp_path / "a.parquet")
    dataset.save(schema.empty())
    pd.testing.assert_frame_equal(dataset.load(), schema.empty())
    assert dataset.value_type is TABLES[table].type
    with pytest.raises(DatasetError, match=f"no column .* a table of {schema.name} has"):
        dataset.save(pd.DataFrame({"other": [1]}))


# Of these a part is a whole one, or what reads them is a backend, which has tests of its own.
WITHOUT_AN_END = ("CheckpointDataset", "CsvDataset", "FigureDataset", "TextDataset", "YoloDataset")
DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "cut off": lambda content: content[: len(content) // 2],
    "zeros": lambda content: bytes(len(content)),
    "empty": lambda content: b"",
    "of another kind": lambda content: b"[1, 2]",
}


HARMED = [(name, damage) for name in sorted(set(CASES) - set(WITHOUT_AN_END)) for damage in DAMAGE]
HARMED.remove(("JsonDataset", "of another kind"))  # any JSON is a value


@pytest.mark.parametrize(("name", "damage"), HARMED)
def test_a_damaged_file_is_named_in_one_line_of_our_own(name, damage, world):
    dataset = entry(name, world, world.folder / "damaged")
    put(name, dataset, world, 0)
    for path in [each for each in (world.folder / "damaged").rglob("*") if each.is_file()]:
        whole = path.read_bytes()
        path.write_bytes(DAMAGE[damage](whole))
        dataset.release()
        with pytest.raises((DatasetError, ValueError)) as error:
            facts(name, dataset)
        line = message_for_user(error.value)
        assert line is not None
        assert path.name in line
        assert "Failed while loading" not in line  # Kedro's words, which say nothing to do
        path.write_bytes(whole)
    facts(name, dataset)


@pytest.mark.parametrize("name", sorted(set(CASES) - set(READ_ONLY)))
def test_a_save_that_is_killed_leaves_the_old_value_or_the_new_one(name, world, expected):
    folder = world.folder / "killed"
    dataset = entry(name, world, folder)
    wanted = expected(name)
    put(name, dataset, world, 0)
    before = sorted(path.name for path in folder.iterdir())
    steps = count_steps(lambda: put(name, dataset, world, 1))
    put(name, dataset, world, 0)
    kills = [kill_at(step) for step in np.unique(np.linspace(1, steps, KILLS, dtype=int))]
    found = set()
    for kill in [*kills, full_at(0), full_at(10), full_at(100)]:
        killed = in_a_process(lambda kill=kill: (kill(), put(name, dataset, world, 1)))
        assert killed in (-signal.SIGKILL, -signal.SIGXFSZ, 0), killed
        assert killed or kill not in kills
        found.add(wanted.index(facts(name, dataset)))
        if 1 in found:
            put(name, dataset, world, 0)
    assert 0 in found
    put(name, dataset, world, 1)
    assert facts(name, dataset) == wanted[1]
    assert sorted(path.name for path in folder.iterdir()) == before  # no leftovers


# How a save is killed ---------------------------------------------------------------------------

STEPS = ("open", "os.", "shutil.")


def count_steps(save: Callable[[], None]) -> int:
    """How often a save asks the system for something, as Python's audit hooks see it."""
    receiver, sender = os.pipe()

    def act() -> None:
        steps = 0

        def note(event: str, arguments: object) -> None:
            nonlocal steps
            steps += event.startswith(STEPS)

        sys.addaudithook(note)
        save()
        os.write(sender, str(steps).encode())

    assert in_a_process(act) == 0
    os.close(sender)
    with os.fdopen(receiver) as file:
        return int(file.read())


def kill_at(step: int) -> Callable[[], None]:
    """Has this process killed just before its so-manieth step."""

    def arm() -> None:
        left = step

        def note(event: str, arguments: object) -> None:
            nonlocal left
            left -= event.startswith(STEPS)
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(note)

    return arm


def full_at(size: int) -> Callable[[], None]:
    """Has the system kill this process when it writes a file beyond so many bytes: in a write."""

    def arm() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return arm
