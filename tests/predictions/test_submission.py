"""The format of a submission is picked by name."""

import sys
from collections.abc import Iterator
from importlib import import_module

import numpy as np
import pandas as pd
import pytest
import yaml
from pydantic import ValidationError

from predictions.submission_cases import CATEGORIES, IMAGES, detections
from recycling.predictions import (
    BOX_FORMATS,
    CLASS_PROBABILITIES,
    BoxFormat,
    ClassFormat,
    ExternalMembers,
    LabelMaps,
    MaskFormat,
    SubmissionError,
    read_submission,
    to_submission,
)

PARAMETERS = "conf/base/parameters_submission.yml"
CROPS = pd.DataFrame({"annotation_id": [5, 3]})


def boxes():
    return detections([4, 7, 0.5, 1, 2, 3.125, 4], [2, 3, 1 / 3, 1, 2, 3, 4])


def label_maps(size=256):
    stack = np.random.default_rng(0).integers(0, 3, (10, size, size), dtype=np.uint8)
    return LabelMaps([4, 2, 9], stack.__getitem__)


def probabilities():
    table = pd.DataFrame(np.float32([[0.2, 0.8], [1 / 3, 2 / 3]]), columns=["Paper", "Metal"])
    table.insert(0, "annotation_id", CROPS["annotation_id"])
    return CLASS_PROBABILITIES.conform(table, where="test")


def written(settings, predictions, images):
    return to_submission(settings, predictions, images, CATEGORIES).to_csv(index=False).encode()


@pytest.fixture
def own_format() -> Iterator[None]:
    """The format of `own_format.py` is known."""
    import_module("predictions.own_format")
    yield
    BOX_FORMATS._entries.pop("row_a_box")
    sys.modules.pop("predictions.own_format")


def test_the_parameters_name_the_formats_of_the_competitions(request):
    given = yaml.safe_load((request.config.rootpath / PARAMETERS).read_text())["submission"]
    bases = {"cls": ClassFormat, "det": BoxFormat, "seg": MaskFormat}
    assert set(given) == set(bases)
    for task, base in bases.items():
        assert base.model_validate(given[task]) == base.model_validate({})


def test_what_is_submitted_is_read_again(tmp_path):
    path = tmp_path / "team.csv"
    path.write_bytes(written(BoxFormat.model_validate({}), boxes(), IMAGES))
    pd.testing.assert_frame_equal(
        read_submission(BoxFormat.model_validate({}), path, IMAGES, CATEGORIES), boxes()
    )
    settings = MaskFormat.model_validate({"size": 7})
    path.write_bytes(written(settings, label_maps(7), IMAGES))
    read = read_submission(settings, path, IMAGES, CATEGORIES)
    assert all((read[image_id] == label_maps(7)[image_id]).all() for image_id in (4, 2, 9))
    settings = ClassFormat.model_validate({"format": "class_probabilities"})
    path.write_bytes(written(settings, probabilities(), CROPS))
    pd.testing.assert_frame_equal(
        read_submission(settings, path, CROPS, CATEGORIES), probabilities()
    )


def test_a_format_of_a_file_of_its_own_is_picked_by_name(tmp_path, own_format):
    text = "{format: row_a_box, decimals: 1}"
    settings = BoxFormat.model_validate(yaml.safe_load(text))
    path = tmp_path / "team.csv"
    path.write_bytes(written(settings, boxes(), IMAGES))
    assert path.read_text().splitlines()[1:] == [
        "test/0000.jpg,7,0.5,1.0,2.0,3.1,4.0",
        "test/0001.jpg,3,0.3,1.0,2.0,3.0,4.0",
    ]
    skipping = ExternalMembers({"team": path}, missing_images="skip")
    read = skipping.read("team", settings, IMAGES, CATEGORIES)
    pd.testing.assert_frame_equal(read, boxes().round(1))
    with pytest.raises(SubmissionError, match="an image has no row"):
        ExternalMembers({"team": path}).read("team", settings, IMAGES, CATEGORIES)


@pytest.mark.parametrize(
    ("base", "given", "fault"),
    [
        (
            BoxFormat,
            {"format": "coco"},
            "no submission format of boxes is called 'coco'; there are",
        ),
        (BoxFormat, {"size": 128}, "'aistages_detection' takes no 'size'; it takes no settings"),
        (MaskFormat, {"size": 0}, "greater than or equal to 1"),
    ],
)
def test_an_unknown_format_or_setting_is_refused_with_those_that_there_are(base, given, fault):
    with pytest.raises(ValidationError, match=fault):
        base.model_validate(given)


def test_the_settings_of_a_base_class_are_those_of_its_default():
    assert BoxFormat.model_validate({}).format == BoxFormat.default == "aistages_detection"
