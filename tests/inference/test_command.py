"""`kedro predict` goes on past an image that is at fault, and says which it was."""

from __future__ import annotations

import os
import subprocess
import sys

import pandas as pd
import pytest
from click.testing import CliRunner

from inference.looking import drawn, write
from inference.small_onnx import colour_classifier
from recycling.backends import BackendError
from recycling.cli.predict import predict
from recycling.inference import sources
from recycling.inference.exported import OnnxModel


@pytest.fixture
def photos(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "b.png"):
        write(tmp_path / "photos" / name, drawn((20, 10), [("red", 0, 0, 20, 10)]))
    return tmp_path / "photos"


@pytest.fixture
def run(tmp_path, photos):
    path = colour_classifier(tmp_path / "colours.onnx")

    def command(*options):
        arguments = ["photos", "--with", str(path), "--to", "out", "--device", "cpu", *options]
        return CliRunner().invoke(predict, arguments, catch_exceptions=False)

    return command


def unreadable(folder):
    return pd.read_csv(folder / "unreadable.csv").set_index("file_name")["fault"].to_dict()


def test_a_name_that_is_not_utf_8_is_listed_and_the_rest_is_predicted(run, photos, tmp_path):
    odd = photos / os.fsdecode(b"caf\xe9.png")
    (photos / "b.png").rename(odd)
    for formats in ("csv,coco", "csv,summary"):
        ran = run("--formats", formats)
        assert ran.exit_code == 0, ran.output
        (fault,) = unreadable(tmp_path / "out").items()
        assert fault == (r"caf\udce9.png", "its name is not UTF-8, rename it")
        assert "not UTF-8" in ran.stderr
        assert pd.read_csv(tmp_path / "out/objects.csv")["file_name"].tolist() == ["a.png"]
    odd.rename(photos / "b.png")
    run()
    assert pd.read_csv(tmp_path / "out/objects.csv")["file_name"].tolist() == ["a.png", "b.png"]


def test_forms_that_an_earlier_command_has_written_are_named(run, tmp_path):
    said = "left from an earlier command, and not of this one: "
    assert said not in run("--formats", "csv,coco,images").stdout
    (tmp_path / "out/notes.txt").touch()
    ran = run("--formats", "csv,summary", "--score-threshold", "0.9")
    assert f"{said}coco.json, images\n" in ran.stdout
    assert said not in run("--formats", "csv,coco,images,summary").stdout


def test_what_makes_the_model_fail_is_listed_and_the_rest_is_predicted(
    run, photos, tmp_path, monkeypatch
):
    whole = OnnxModel.run

    def fails(self, batch, *size):
        if batch.max() < 0.1:
            raise RuntimeError("no black\nimages")
        return whole(self, batch, *size)

    monkeypatch.setattr(OnnxModel, "run", fails)
    write(photos / "b.png", drawn((20, 10), []))
    ran = run("--batch-size", "1")
    assert ran.exit_code == 0, ran.output
    said = "the model fails on it: RuntimeError: no black images"
    assert unreadable(tmp_path / "out") == {"b.png": said}
    assert f"b.png: {said}" in ran.stderr
    assert pd.read_csv(tmp_path / "out/objects.csv")["file_name"].tolist() == ["a.png"]
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert "2 images, 1 are predicted already" in run().output


def test_what_tells_the_user_what_to_do_ends_the_command(run, monkeypatch):
    def fails(self, batch, *size):
        raise BackendError("the memory is too small; give a smaller --batch-size")

    monkeypatch.setattr(OnnxModel, "run", fails)
    ran = run()
    assert ran.exit_code == 1
    assert "Error: the memory is too small" in ran.stderr


def test_a_second_command_into_the_same_folder_waits_for_the_first(
    run, tmp_path, photos, monkeypatch
):
    monkeypatch.setattr(sources, "PIXELS_TOGETHER", 1)  # an image a part
    other = colour_classifier(tmp_path / "other.onnx", "cls.other")
    arguments = ["photos", "--with", str(other), "--to", "out", "--device", "cpu"]
    script = f"from recycling.cli.predict import predict; predict({arguments!r})"
    whole = OnnxModel.run
    seconds, said = [], []

    def interrupted(self, batch, *size):
        if len(list((tmp_path / "out/.parts").glob("*/*"))) == 1 and not seconds:
            command = [sys.executable, "-c", script]
            seconds.append(
                subprocess.Popen(
                    command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
                )
            )
            # It waits, or ends.
            lines = iter(seconds[0].stderr.readline, "")
            said.append(next((line for line in lines if "waits for" in line), ""))
        return whole(self, batch, *size)

    monkeypatch.setattr(OnnxModel, "run", interrupted)
    for ends in (lambda: run().exit_code, lambda: seconds[0].wait(60)):
        assert ends() == 0
        found = pd.read_csv(tmp_path / "out/objects.csv")
        assert found["file_name"].tolist() == ["a.png", "b.png"]
    assert "waits for" in said[0]


def test_a_photograph_of_another_folder_is_another_one(run, photos, tmp_path, monkeypatch):
    """Of the same name, size and time."""
    monkeypatch.chdir(tmp_path)
    red, other = photos / "a.png", tmp_path / "more/a.png"
    write(other, drawn((20, 10), [("blue", 0, 0, 20, 10)]))
    size = max(file.stat().st_size for file in (red, other))
    for file in (red, other):
        file.write_bytes(file.read_bytes().ljust(size, b"\0"))
        os.utime(file, (1, 1))
    path, found = str(tmp_path / "colours.onnx"), []
    for folder in ("photos", "more"):
        arguments = [f"{folder}/a.png", "--with", path, "--to", "out", "--device", "cpu"]
        assert CliRunner().invoke(predict, arguments, catch_exceptions=False).exit_code == 0
        found.append(pd.read_csv(tmp_path / "out/objects.csv")["category"].tolist())
    assert found == [["Red"], ["Blue"]]


def test_a_part_of_an_earlier_version_is_predicted_anew(run, tmp_path):
    run()
    (part,) = (tmp_path / "out/.parts").glob("*/*/images.parquet")
    pd.read_parquet(part).drop(columns="address").to_parquet(part, index=False)
    assert "2 images, 0 are predicted already" in run().output


@pytest.mark.parametrize(
    "options",
    [["--score-threshold", "nan"], ["--overlap", "nan"], ["--crops-from", "NaN"],
     ["--promised-precision", "nan"]],
    ids=" ".join,
)  # fmt: skip
def test_what_is_no_number_is_no_threshold(run, options):
    ran = run(*options)
    assert ran.exit_code == 2
    assert "is no finite number" in ran.output


def test_forms_that_are_none_are_refused(run):
    ran = run("--formats", " , ")
    assert ran.exit_code == 1
    assert "--formats: ' , ' names none; give some of coco,csv,summary" in ran.output
