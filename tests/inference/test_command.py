"""`kedro predict` goes on past an image that is at fault, and says which it was."""

from __future__ import annotations

import os

import pandas as pd
import pytest
from click.testing import CliRunner

from inference.looking import drawn, write
from inference.small_onnx import colour_classifier
from recycling.cli.predict import predict


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
