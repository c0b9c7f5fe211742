"""Exported files predict in the project's formats, without torch, or say what is wrong."""

from __future__ import annotations

import subprocess
import sys

import cv2
import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest

from clone import copy_project
from inference.small_onnx import colour_classifier, colour_segmenter, misshapen
from recycling.inference import InferenceError, in_memory, whole_images
from recycling.inference.exported import OnnxModel, onnx_predictor

RED, BLUE = (np.full((20, 30, 3), colour, np.uint8) for colour in ((250, 0, 0), (0, 0, 250)))


def test_an_exported_classifier_says_the_class_of_each_crop(tmp_path):
    model = OnnxModel.load(colour_classifier(tmp_path / "colours.onnx"), batch_size=1)
    said = model.predict(whole_images(in_memory([RED, BLUE])))
    assert said[["Red", "Green", "Blue"]].to_numpy().argmax(axis=1).tolist() == [0, 2]


def test_an_exported_segmenter_labels_each_pixel_of_the_image_as_it_was(tmp_path):
    image = np.concatenate([RED, BLUE], axis=1)
    model = OnnxModel.load(colour_segmenter(tmp_path / "colours.onnx"))
    said = model.predict(in_memory([image]))[1]
    assert said.shape == image.shape[:2]
    assert set(np.unique(said[:, :25])) == {1}
    assert set(np.unique(said[:, 35:])) == {3}


@pytest.mark.parametrize("size", [(1, 5000), (5000, 1)])
def test_an_exported_segmenter_labels_very_thin_images_too(tmp_path, size):
    model = OnnxModel.load(colour_segmenter(tmp_path / "colours.onnx"), probabilities=True)
    said = model.predict(in_memory([np.full((*size, 3), RED[0, 0], np.uint8)]))
    np.testing.assert_array_equal(said[1], np.ones(size, np.uint8))
    assert min(said.probabilities[1].shape[1:]) == 1


def test_an_exported_model_computes_on_the_device_that_is_asked_for(tmp_path):
    path = colour_classifier(tmp_path / "colours.onnx")
    assert OnnxModel.load(path, device="cpu").session.get_providers() == ["CPUExecutionProvider"]
    refused = {"toaster": "give cpu or cuda", "cuda:x": "give cpu or cuda"}
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        refused |= {"cuda": "computes on no GPU", "cuda:1": "computes on no GPU"}
    for device, why in refused.items():
        with pytest.raises(InferenceError, match=f"device '{device}': .*{why}") as error:
            onnx_predictor(path, device=device)
        assert "\n" not in str(error.value)


def test_the_command_predicts_without_the_libraries_that_train(tmp_path):
    path = colour_classifier(tmp_path / "colours.onnx")
    cv2.imwrite(str(tmp_path / "red.png"), RED[..., ::-1])
    code = f"""
import sys
for name in ("torch", "torchvision", "mmengine", "mmcv", "mmdet", "mmseg", "mmpretrain"):
    sys.modules[name] = None
from recycling.cli import cli
cli(["predict", "red.png", "--with", {str(path)!r}, "--to", "found", "--formats", "csv"])
"""
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stderr
    (found,) = pd.read_csv(tmp_path / "found/objects.csv").to_dict("records")
    assert (found["file_name"], found["category"]) == ("red.png", "Red")


def test_limits_and_credentials_of_the_project_hold_without_the_libraries_that_train(tmp_path):
    path = colour_classifier(tmp_path / "colours.onnx")
    project = copy_project(tmp_path / "recycling")
    parameters = project / "conf/base/parameters.yml"
    parameters.write_text(parameters.read_text().replace("max_pixels: 89478485", "max_pixels: 500"))
    (project / "conf/local").mkdir(exist_ok=True)
    (project / "conf/local/credentials.yml").write_text("s3: {key: mine}\n")
    cv2.imwrite(str(project / "red.png"), RED[..., ::-1])
    code = f"""
import atexit, os, sys
atexit.register(lambda: print(os.environ.get("FSSPEC_S3")))
for name in ("torch", "torchvision", "mmengine", "mmcv", "mmdet", "mmseg", "mmpretrain"):
    sys.modules[name] = None
from kedro.framework.startup import bootstrap_project
from recycling.cli import cli
bootstrap_project({str(project)!r})
cli(["predict", "red.png", "--with", {str(path)!r}, "--to", "found"])
"""
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=project, capture_output=True, text=True, check=False
    )
    assert told.returncode == 1
    assert "red.png: cannot be read as an image: 30 x 20 is more than 500 pixels" in told.stderr
    assert told.stdout.splitlines()[-1] == '{"key": "mine"}'


def test_the_command_given_twice_does_not_predict_on_what_it_has_written(tmp_path):
    path = colour_segmenter(tmp_path / "colours.onnx")
    (tmp_path / "photos").mkdir()
    cv2.imwrite(str(tmp_path / "photos/red.png"), RED[..., ::-1])
    code = f"""
from recycling.cli import cli
options = ["--with", {str(path)!r}, "--to", "photos/out", "--formats", "maps,images"]
cli(["predict", "photos", *options])
"""
    first, second = (
        subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    )
    assert "1 images, 0 are predicted already" in first
    assert "1 images, 1 are predicted already" in second


def test_a_file_that_this_project_did_not_export_is_refused(tmp_path):
    path = colour_classifier(tmp_path / "colours.onnx")
    model = onnx.load(path)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "theirs.onnx")
    (tmp_path / "broken.onnx").write_bytes(path.read_bytes()[:100])
    for name, why in {
        "theirs.onnx": "not exported by this version",
        "broken.onnx": "no ONNX file",
        "missing.onnx": "No such file",
    }.items():
        with pytest.raises(InferenceError, match=why) as error:
            onnx_predictor(tmp_path / name)
        assert "\n" not in str(error.value)


def test_an_exported_file_that_cannot_be_computed_is_one_line(tmp_path):
    model = OnnxModel.load(misshapen(tmp_path / "odd.onnx"))
    with pytest.raises(InferenceError, match=r"^cls\.odd: onnxruntime cannot compute it") as error:
        model.predict(whole_images(in_memory([RED])))
    assert "\n" not in str(error.value)


def test_an_exported_file_has_no_weights_read_from_other_files(tmp_path, monkeypatch):
    """Those that it says are beside it would be files of the working directory."""
    path = colour_segmenter(tmp_path / "colours.onnx")
    model = onnx.load(path)
    (weights,) = model.graph.initializer
    weights.ClearField("raw_data")
    weights.dims[:] = (1, 1, 16, 16)
    weights.data_location = onnx.TensorProto.EXTERNAL
    weights.external_data.add(key="location", value="conf/local/credentials.yml")
    path.write_bytes(model.SerializeToString())
    (tmp_path / "conf/local").mkdir(parents=True)
    (tmp_path / "conf/local/credentials.yml").write_bytes(bytes(4 * 16 * 16))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InferenceError, match="External data path does not exist") as error:
        onnx_predictor(path)
    assert "\n" not in str(error.value)
