"""What is on an object store: a server of S3 on this machine, with good and bad connections."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fsspec
import numpy as np
import pandas as pd
import pytest
import yaml
from kedro.io import DataCatalog, DatasetError
from PIL import Image

from clone import kedro, models_of, project_with_images, set_models
from forked import in_a_process
from recycling import mirrors, placeholders
from recycling.addresses import files_below, put_files, set_options, system_of
from recycling.annotations import ImageCache, ImageFolder, check_images
from recycling.annotations.images.decoding import read_image
from recycling.backends import Checkpoint
from recycling.backends.shared import resume
from recycling.configuration import ConfigLoader
from recycling.datasets import CheckpointDataset, ImageFolderDataset, JsonDataset, RunsDataset
from recycling.files import write_bytes
from recycling.hooks import UpToDateHooks
from recycling.mirrors import Mirror
from recycling.placeholders import is_placeholder
from recycling.settings import CONFIG_LOADER_ARGS
from runners.small_cluster import wait_until
from s3_server import BUCKET, BadConnection, options, s3_server


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv(mirrors.CACHE, str(tmp_path / "cache"))
    monkeypatch.setattr(mirrors, "_open", {})
    placeholders.folder_of_placeholders.cache_clear()
    before = {name: dict(own) for name, own in fsspec.config.conf.items()}
    yield
    fsspec.config.conf.clear()
    fsspec.config.conf.update(before)
    os.environ.pop("FSSPEC_S3", None)
    placeholders.folder_of_placeholders.cache_clear()


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with s3_server(tmp_path_factory.mktemp("objects")) as port:
        yield port


@pytest.fixture
def bucket(port: int, request: pytest.FixtureRequest) -> str:
    """An address of the test's own."""
    set_options({"s3": options(port)})
    return f"s3://{BUCKET}/{request.node.name.split('[')[0]}"


def write_images(folder: Path, n: int = 12) -> list[str]:
    (folder / "deep").mkdir(parents=True)
    names = [f"deep/{number}.png" for number in range(n)]
    for number, name in enumerate(names):
        pixels = np.random.default_rng(number).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name)
    return names


def sent(folder: Path, address: str) -> None:
    system, path = system_of(address)
    files = [f.relative_to(folder).as_posix() for f in folder.rglob("*") if f.is_file()]
    put_files(system, folder, files, path)


# Folders of values -------------------------------------------------------------------------------


def checkpoint(folder: Path, content: str) -> Checkpoint:
    for name in ("checkpoint.json", "deep/more.txt", "weights.pth"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"{content} {name}")
    return Checkpoint(folder)


def content_of(dataset: CheckpointDataset) -> set[str]:
    loaded = dataset.load()  # its files are there as long as it is
    files = [path for path in loaded.folder.rglob("*.*") if path.is_file()]
    return {path.read_text().split()[0] for path in files}


def test_a_folder_without_its_marker_is_refused_in_one_line(tmp_path, bucket):
    dataset = CheckpointDataset(filepath=f"{bucket}/checkpoint")
    dataset.save(checkpoint(tmp_path / "made", "first"))
    system, path = system_of(f"{bucket}/checkpoint")
    assert sorted(files_below(system, path)) == [
        ".complete", "checkpoint.json", "deep/more.txt", "weights.pth",
    ]  # fmt: skip
    system.rm_file(f"{path}/.complete")
    assert not dataset.exists()
    with pytest.raises(DatasetError, match=r"checkpoint: not complete: \.complete.*make it again"):
        dataset.load()
    # Who has copied it says that it is whole.
    system.pipe_file(f"{path}/.complete", b"")
    assert content_of(dataset) == {"first"}


def test_a_writer_that_is_killed_leaves_the_old_folder_the_new_one_or_none(tmp_path, bucket):
    dataset = CheckpointDataset(filepath=f"{bucket}/checkpoint")
    first, second = (checkpoint(tmp_path / name, name) for name in ("first", "second"))

    def write() -> None:  # with connections of its own
        CheckpointDataset(filepath=f"{bucket}/checkpoint").save(second)

    found = []
    for step in range(1, 30):
        dataset.save(first)
        killed = killed_at(step, write)
        found.append(content_of(dataset) if dataset.exists() else set())
        if not killed:
            break
    assert not killed
    # Never parts of both: as it was, none while one takes the place of the other, as it is now.
    order = [each for n, each in enumerate(found) if n == 0 or each != found[n - 1]]
    assert order == [{"first"}, set(), {"second"}]


def killed_at(step: int, act: Any) -> bool:
    """Do something in a process that is killed before its so-manieth change; whether it was."""
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        from recycling.s3 import S3FileSystem

        left = [step]

        def counted(method: Any) -> Any:
            def ask(*arguments: Any, **named: Any) -> Any:
                left[0] -= 1
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return method(*arguments, **named)

            return ask

        for name in ("put_file", "mv", "rm", "rm_file", "pipe_file"):
            setattr(S3FileSystem, name, counted(getattr(S3FileSystem, name)))
        try:
            act()
            os._exit(0)
        finally:
            os._exit(1)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, -signal.SIGKILL)
    return status != 0


def test_a_connection_that_fails_and_is_slow_changes_no_byte(tmp_path, port):
    with BadConnection(port, one_in=3) as connection:
        set_options({"s3": options(connection.port)})
        base = f"s3://{BUCKET}/bad"
        dataset = CheckpointDataset(filepath=f"{base}/checkpoint")
        for content in ("first", "second"):
            dataset.save(checkpoint(tmp_path / content, content))
            assert content_of(dataset) == {content}
        for number in range(2):
            value = JsonDataset(filepath=f"{base}/a.json")
            value.save([number] * 100)
            assert value.load() == [number] * 100
        assert connection.failed > 10


def test_a_server_that_does_not_answer_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr("recycling.s3._ATTEMPTS", 1)
    set_options({"s3": options(1)})
    with pytest.raises(DatasetError, match=rf"s3://{BUCKET}/images: cannot be listed: .*onnect"):
        ImageFolderDataset(filepath=f"s3://{BUCKET}/images").load()
    with pytest.raises(DatasetError, match=rf"s3://{BUCKET}/runs: cannot be reached: .*onnect"):
        RunsDataset(filepath=f"s3://{BUCKET}/runs").load()


# Images -------------------------------------------------------------------------------------------


def kept_bytes(folder: Path) -> int:
    files = [path for path in folder.rglob("*.png") if not is_placeholder(path)]
    return sum(path.stat().st_size for path in files)


def test_images_are_fetched_when_they_are_read_and_so_many_are_kept(tmp_path, bucket):
    names = write_images(tmp_path / "images")
    sent(tmp_path / "images", f"{bucket}/images")
    size = (tmp_path / "images" / names[0]).stat().st_size
    dataset = ImageFolderDataset(filepath=f"{bucket}/images", cache_gigabytes=5.5 * size / 1e9)
    folder = dataset.load().path
    assert [path.stat().st_size for path in sorted(folder.rglob("*.png"))] == [
        path.stat().st_size for path in sorted((tmp_path / "images").rglob("*.png"))
    ]
    assert kept_bytes(folder) == 0
    for name in [*names, *names[::-1]]:
        there = read_image(folder / name)
        np.testing.assert_array_equal(there, read_image(tmp_path / "images" / name))
        assert size * 0.5 < kept_bytes(folder) < 5.5 * size
    # Loaders are processes that are forked.
    assert in_a_process(lambda: [read_image(folder / name) for name in names]) == 0
    assert kept_bytes(folder) < 5.5 * size


def test_images_elsewhere_are_checked_as_those_that_are_here(tmp_path, bucket):
    names = write_images(tmp_path / "images")
    (tmp_path / "images/deep/3.png").write_bytes(b"no image")
    sent(tmp_path / "images", f"{bucket}/images")
    images = pd.DataFrame(
        {"image_id": range(14), "file_name": [*names, "deep\\1.PNG", "gone.png"], "width": 32,
         "height": 32, "group": "a", "extra": None}
    )  # fmt: skip
    cache = ImageCache(tmp_path / "cache.parquet")
    there = ImageFolderDataset(filepath=f"{bucket}/images").load()
    found = [
        check_images(images, folder, cache=cache)
        for folder in (ImageFolder(tmp_path / "images"), there, there)
    ]
    pd.testing.assert_frame_equal(found[0], found[1])
    pd.testing.assert_frame_equal(found[0], found[2])


def test_an_image_that_another_one_replaced_is_seen(tmp_path, bucket):
    names = write_images(tmp_path / "images", 2)
    sent(tmp_path / "images", f"{bucket}/images")
    dataset = ImageFolderDataset(filepath=f"{bucket}/images")
    read_image(dataset.load().path / names[0])
    Image.new("RGB", (8, 8), "red").save(tmp_path / "images" / names[0])
    (tmp_path / "images" / names[1]).unlink()
    system, path = system_of(f"{bucket}/images")
    system.rm_file(f"{path}/{names[1]}")
    sent(tmp_path / "images", f"{bucket}/images")
    placeholders.folder_of_placeholders.cache_clear()  # as the next process does
    folder = dataset.load().path
    assert read_image(folder / names[0]).shape == (8, 8, 3)
    assert not (folder / names[1]).exists()


def test_a_process_that_stays_up_lists_images_elsewhere_anew_for_each_run(tmp_path):
    names, address = write_images(tmp_path / "images", 2), f"memory://{tmp_path.name}/images"
    sent(tmp_path / "images", address)
    dataset = ImageFolderDataset(filepath=address)
    (dataset.load().path / names[0]).stat()
    Image.new("RGB", (8, 8), "red").save(tmp_path / "images" / names[0])
    sent(tmp_path / "images", address)
    for env in ("base", "local"):
        (tmp_path / "conf" / env).mkdir(parents=True)
    (tmp_path / "conf/base/globals.yml").write_text("data: data")
    config = ConfigLoader(str(tmp_path / "conf"), **CONFIG_LOADER_ARGS)
    context = SimpleNamespace(config_loader=config, project_path=tmp_path)
    UpToDateHooks().after_context_created(context)
    assert read_image(dataset.load().path / names[0]).shape == (8, 8, 3)


def test_a_folder_of_images_that_is_not_there_is_one_line(bucket):
    dataset = ImageFolderDataset(filepath=f"{bucket}/images")
    assert not dataset.exists()
    with pytest.raises(DatasetError, match=r"/images: not there"):
        dataset.load()
    assert ImageFolderDataset(filepath=f"{bucket}/images", required=False).exists()


def test_reduced_images_are_kept_from_one_process_to_the_next():
    catalog = Path(__file__).parents[1] / "conf/base/catalog_reporting.yml"
    entry = yaml.safe_load(catalog.read_text())["thumbnails"]
    entry["filepath"] = entry["filepath"].replace("${globals:data}", "memory://waste")

    def folder() -> Path:
        placeholders.folder_of_placeholders.cache_clear()  # as another process begins
        return DataCatalog.from_config({"thumbnails": entry}).get("thumbnails").filepath

    folder().mkdir(parents=True)
    (folder() / "a.jpg").write_bytes(b"made once")
    assert (folder() / "a.jpg").read_bytes() == b"made once"


# Folders that are written into --------------------------------------------------------------------


@pytest.fixture
def machine(tmp_path, monkeypatch, bucket):
    """Makes the mirror of a folder as another machine has it."""

    def of(name: str) -> Mirror:
        monkeypatch.setenv(mirrors.CACHE, str(tmp_path / name))
        opened = Mirror(f"{bucket}/folder", ("*/data/*",))
        opened.fetch()
        return opened

    return of


def tree(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".known"
    }


def test_another_machine_goes_on_with_what_one_has_written(machine):
    first = machine("first")
    for name in ("a.json", "deep/b.json", "x/data/c.json", "a.lock"):
        (first.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (first.folder / name).write_text(name)
    first.send()
    second = machine("second")
    assert tree(second.folder) == {"a.json": "a.json", "deep/b.json": "deep/b.json"}
    (second.folder / "a.json").unlink()
    (second.folder / "deep/b.json").write_text("changed")
    second.send()
    again = machine("first")
    expected = {"deep/b.json": "changed", "x/data/c.json": "x/data/c.json", "a.lock": "a.lock"}
    assert tree(again.folder) == expected


def test_what_a_machine_had_not_sent_when_it_was_killed_is_sent_by_its_next_process(machine):
    first = machine("first")
    (first.folder / "a.json").write_text("sent")
    first.send()
    (first.folder / "a.json").write_text("not sent")
    again = machine("first")
    assert tree(again.folder) == {"a.json": "not sent"}
    again.send()
    assert tree(machine("second").folder) == {"a.json": "not sent"}


def test_what_a_machine_had_removed_and_not_sent_when_it_was_killed_stays_removed(machine):
    first = machine("first")
    for name in ("state.pth", "training.json", "changed.json"):
        (first.folder / name).write_text("of the old training")
    first.send()
    for name in ("state.pth", "changed.json"):
        (first.folder / name).unlink()
    second = machine("second")
    (second.folder / "changed.json").write_text("by another machine")
    second.send()
    again = machine("first")
    (again.folder / "training.json").write_text("of the new training")
    again.send()
    expected = {"training.json": "of the new training", "changed.json": "by another machine"}
    assert tree(again.folder) == tree(machine("third").folder) == expected


def test_a_file_that_another_thread_removes_meanwhile_is_not_sent(tmp_path, monkeypatch):
    first = Mirror(f"memory://{tmp_path.name}/folder")
    first.folder.mkdir(parents=True)
    for name in ("kept.json", "state.pth"):
        (first.folder / name).write_text(name)
    stat = Path.stat

    def removed_just_after(path: Path, **how: Any) -> os.stat_result:
        found = stat(path, **how)
        if path.name == "state.pth":
            path.unlink()
        return found

    with monkeypatch.context() as patched:
        patched.setattr(Path, "stat", removed_just_after)
        first.send()  # sends nothing yet, and says nothing
    first.send()
    assert set(files_below(*system_of(first.address))) == {"kept.json"}


def test_a_state_that_another_process_keeps_is_sent_while_it_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(resume, "_LOOK_SECONDS", 0.01)
    address = f"memory://{tmp_path.name}/runs"
    training = mirrors.mirror(address) / "tuning/trial0"
    training.mkdir(parents=True)
    with resume.sharing(training.parent):
        for content in (b"first epoch", b"second"):
            assert (
                in_a_process(lambda content=content: write_bytes(training / "state.pth", content))
                == 0
            )
            wait_until(lambda content=content: sent_state(f"{address}/tuning/trial0") == content)


def sent_state(address: str) -> bytes | None:
    system, path = system_of(f"{address}/state.pth")
    return system.cat_file(path) if system.exists(path) else None


# Runs ---------------------------------------------------------------------------------------------

PIPELINES = "data_cleaning,splitting,training_cls,ensembling"
NOT_OF_RESULTS = (
    ".made/", "01_raw/", "02_intermediate/image_cache", "06_models/runs/", "08_reporting/runs/",
    "08_reporting/data_docs/", "08_reporting/report.html", "08_reporting/wandb/",
)  # fmt: skip
"""What is of a machine, or says when something was."""


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose data are on this machine, with one small model."""
    project = project_with_images(tmp_path_factory.mktemp("projects") / "here")
    model = {**models_of(project)["resnet18"], "epochs": 3, "batch_size": 16, "folds": [0]}
    set_models(project, {"resnet18": model}, ensembles={"final": "all"})
    return project


@pytest.fixture
def elsewhere(here: Path, tmp_path: Path, bucket: str, port: int) -> Path:
    """The same project, whose data are on the server."""
    raw = here / "data/01_raw/sample"
    sent(raw, f"{bucket}/raw")
    project = tmp_path / "elsewhere"
    clone_of(here, project, bucket, port)
    return project


def clone_of(here: Path, project: Path, address: str, port: int) -> None:
    shutil.copytree(here, project, ignore=shutil.ignore_patterns("data"))
    catalog = project / "conf/base/catalog_data.yml"
    catalog.write_text(catalog.read_text().replace("data/01_raw/sample", f"{address}/raw"))
    write_settings(project, "globals", {"data": f"{address}/data"})
    write_settings(project, "credentials", {"s3": options(port)})


def write_settings(project: Path, name: str, settings: dict[str, Any]) -> None:
    path = project / f"conf/local/{name}.yml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(settings))


def results_here(project: Path) -> dict[str, bytes]:
    data = project / "data"
    files = {path.relative_to(data).as_posix(): path for path in data.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in files.items() if is_result(name)}


def results_at(address: str) -> dict[str, bytes]:
    system, path = system_of(f"{address}/data")
    return {
        name: system.cat_file(f"{path}/{name}")
        for name in files_below(system, path)
        if is_result(name)
    }


def is_result(name: str) -> bool:
    return not name.startswith(NOT_OF_RESULTS) and Path(name).name not in (".complete", ".gitkeep")


def assert_same(found: dict[str, bytes], expected: dict[str, bytes]) -> None:
    # A checkpoint says how long it took and where, as pages do; its weights are the same.
    says = ("checkpoint/checkpoint.json", "checkpoint/config.json", ".html")
    assert found.keys() == expected.keys()
    assert [n for n in expected if found[n] != expected[n] and not n.endswith(says)] == []


@pytest.fixture(scope="module")
def made_here(here: Path) -> dict[str, bytes]:
    run = kedro(here, "run", "--pipelines", PIPELINES)
    assert run.returncode == 0, run.stdout + run.stderr
    found = results_here(here)
    assert {"07_model_output/cls/final/submission.csv", "05_model_input/folds.parquet"} <= set(
        found
    )
    return found


@pytest.mark.slow
def test_a_run_on_object_storage_makes_the_bytes_of_one_on_this_machine(
    made_here, elsewhere, bucket, port
):
    with BadConnection(port, one_in=25, seconds=0.05) as connection:
        write_settings(elsewhere, "credentials", {"s3": options(connection.port)})
        run = kedro(elsewhere, "run", "--pipelines", PIPELINES)
        assert run.returncode == 0, run.stdout + run.stderr
        assert connection.failed > 50
    assert_same(results_at(bucket), made_here)
    assert f"Report: {bucket}/data/08_reporting/report.html" in run.stdout
    assert not (elsewhere / "data").exists()
    # Nothing is left to do, on another machine as well.
    write_settings(elsewhere, "credentials", {"s3": options(port)})
    again = kedro(
        elsewhere, "run", "--pipelines", PIPELINES, "--only-missing-outputs",
        RECYCLING_CACHE=str(elsewhere.parent / "other cache"),
    )  # fmt: skip
    assert again.returncode == 0, again.stdout + again.stderr
    assert "Skipping all" in again.stdout, again.stdout
    listed = kedro(elsewhere, "experiments", "--format", "json")
    assert [each["state"] for each in json.loads(listed.stdout)] == ["completed", "completed"]
    # What the first run has kept there is what is there now, and its checkpoint can be told.
    compared = kedro(elsewhere, "compare", "latest~1:cls.final", "cls.final")
    assert compared.returncode == 0, compared.stdout + compared.stderr
    assert "differ in 0 of 44 crops" in compared.stdout, compared.stdout
    best = kedro(elsewhere, "experiments", "--best", "cls", "macro F1")
    name = "cls.resnet18.fold0.checkpoint/checkpoint"
    assert best.stdout.strip().startswith(f"{bucket}/data/08_reporting/runs/"), best.stdout
    assert best.stdout.strip().endswith(f"/kept/{name}"), best.stdout


@pytest.mark.slow
def test_another_machine_goes_on_with_a_training_that_was_killed(
    made_here, elsewhere, bucket, tmp_path
):
    system, path = system_of(f"{bucket}/data/06_models/runs")
    command = [sys.executable, "-m", "kedro", "run", "--pipelines", PIPELINES]
    run = subprocess.Popen(command, cwd=elsewhere, stdout=subprocess.DEVNULL)
    while not any(name.endswith("state.pth") for name in files_below(system, path)):
        assert run.poll() is None
        time.sleep(0.05)
    run.kill()
    run.wait()
    again = kedro(
        elsewhere, "run", "--pipelines", PIPELINES, "--only-missing-outputs",
        RECYCLING_CACHE=str(tmp_path / "other cache"),
    )  # fmt: skip
    assert again.returncode == 0, again.stdout + again.stderr
    assert "goes on after its last whole epoch" in again.stdout
    assert_same(results_at(bucket), made_here)


@pytest.mark.slow
def test_a_run_is_repeated_from_the_versions_of_what_it_took(elsewhere, bucket):
    entry = {"type": "recycling.datasets.TableDataset", "table": "folds", "versioned": True,
             "filepath": f"{bucket}/data/05_model_input/folds.parquet"}  # fmt: skip
    write_settings(elsewhere, "catalog", {"folds": entry})
    balances = []
    for seed in (0, 1):
        run = kedro(
            elsewhere, "run", "--pipelines", "data_cleaning,splitting",
            "--params", f"splitting.seed={seed}",
        )  # fmt: skip
        assert run.returncode == 0, run.stdout + run.stderr
        balances.append(results_at(bucket)["08_reporting/fold_balance.parquet"])
    assert balances[0] != balances[1]
    runs = RunsDataset(filepath=f"{bucket}/data/08_reporting/runs").load()
    first, second = (run.data_versions["folds"] for run in runs.all().values())
    assert first < second
    repeated = kedro(
        elsewhere, "run", "--nodes", "splitting.measure_balance",
        "--load-versions", f"folds:{first}",
    )  # fmt: skip
    assert repeated.returncode == 0, repeated.stdout + repeated.stderr
    assert results_at(bucket)["08_reporting/fold_balance.parquet"] == balances[0]
