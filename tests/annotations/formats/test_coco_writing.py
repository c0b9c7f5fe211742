"""What is written is what was read, whatever the file held."""

import gzip
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotations.coco_cases import documents, spellings
from recycling.annotations import AnnotationError, from_coco, read_coco, to_coco, write_coco
from recycling.annotations.formats.coco.layout import box_corners, box_sizes
from recycling.annotations.formats.coco.writing import CHUNK

SECTIONS = ("images", "annotations", "categories")
NUMBERS = {"bbox", "area", "score"}  # 1 may come back as 1.0


@settings(max_examples=40)
@given(st.data(), st.sampled_from(["a.json", "a.json.gz"]))
def test_any_file_comes_back_as_it_was(tmp_path_factory, data, name):
    document = data.draw(documents())
    folder = tmp_path_factory.mktemp("coco")
    (folder / "before.json").write_bytes(data.draw(spellings(document)))
    write_coco(read_coco(folder / "before.json"), folder / name)
    content = (folder / name).read_bytes()
    written = json.loads(gzip.decompress(content) if name.endswith(".gz") else content)
    assert written == document
    # Compared as text too, because True == 1 in Python.
    for section in SECTIONS:
        for again, entry in zip(written[section], document[section], strict=True):
            for key in entry.keys() - NUMBERS:
                assert json.dumps(again[key]) == json.dumps(entry[key])


@settings(max_examples=40)
@given(documents())
def test_the_file_holds_the_document_of_the_same_tables(tmp_path_factory, document):
    path = tmp_path_factory.mktemp("coco") / "a.json"
    annotations = from_coco(document, where="test")
    write_coco(annotations, path)
    assert repr(_in_order(json.loads(path.read_bytes()))) == repr(_in_order(to_coco(annotations)))


def _in_order(value):
    """With the keys of every object in order."""
    if isinstance(value, dict):
        return {key: _in_order(value[key]) for key in sorted(value)}
    return [_in_order(one) for one in value] if isinstance(value, list) else value


def test_keys_that_only_python_reads_come_back(document, tmp_path):
    document["images"][0]["quality"] = math.nan
    document["images"][1]["note"] = "\ud800"
    document["images"][2]["note"] = {"depth": -math.inf}
    document["annotations"][0]["note"] = ["\udfff", math.inf]
    document["annotations"][1] |= {"note": math.nan, "segmentation": []}
    document["categories"][1]["note"] = "é\u2028"
    document["info"]["note"] = [math.nan, "\ud800"]
    write_coco(from_coco(document, where="test"), tmp_path / "a.json")
    written = json.loads((tmp_path / "a.json").read_bytes())
    assert repr(written["images"]) == repr(document["images"])
    assert written["annotations"][0]["note"] == ["\udfff", math.inf]
    assert written["annotations"][0]["segmentation"] == document["annotations"][0]["segmentation"]
    assert written["annotations"][1]["segmentation"] == []
    assert written["categories"] == document["categories"]
    assert repr(written["info"]) == repr(document["info"])


@pytest.mark.parametrize("rest", [{"a": 1}, {"é": "\u00e9"}, {}])
def test_a_long_file_comes_back_as_it_was(document, tmp_path, rest):
    image, annotation = document["images"][0], document["annotations"][0]
    numbers = range(1, CHUNK + 4)
    document["images"] = [image | {"id": one, "file_name": f"{one}.jpg"} | rest for one in numbers]
    document["annotations"] = [
        annotation | {"id": one, "image_id": one, "bbox": [one / 10, 0, one / 7, 1]}
        for one in numbers
    ]
    write_coco(from_coco(document, where="test"), tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_bytes()) == document


@pytest.mark.parametrize(
    "extra", ["{}", " { }", '{"n": 1}', '{ "id": 5, "n": 1}', '{"\\u0069d": 5}']
)
def test_an_extra_that_someone_wrote_never_changes_a_column(document, tmp_path, extra):
    annotations = from_coco(document, where="test")
    before = to_coco(annotations)
    for table in (annotations.images, annotations.annotations, annotations.categories):
        table.loc[1, "extra"] = extra
    write_coco(annotations, tmp_path / "a.json")
    written = json.loads((tmp_path / "a.json").read_bytes())
    assert written == to_coco(annotations)
    for section in SECTIONS:
        assert written[section][1]["id"] == before[section][1]["id"]
        assert written[section][1].get("n") == json.loads(extra).get("n")


@pytest.mark.parametrize(
    ("table", "column", "value", "message"),
    [
        ("annotations", "segmentation", "[[1, 2", "annotation 2: segmentation is not JSON"),
        ("annotations", "segmentation", "[],[]", "annotation 2: segmentation is not JSON"),
        ("annotations", "segmentation", '[],"x":[]', "annotation 2: segmentation is not JSON"),
        ("annotations", "area", math.nan, "row 1: area is missing"),
        ("annotations", "x_max", math.inf, "row 1: x_max is not finite"),
        ("annotations", "annotation_id", 1, "row 1: annotation_id occurs a second time"),
        ("images", "width", 0, "row 1: width is below 1"),
        ("images", "extra", "{", r"extra is no JSON object, correct the table: '\{'"),
        ("images", "extra", "[]", "extra is no JSON object"),
        ("categories", "extra", '{"a": 1},{"b": 2}', "extra is no JSON object"),
    ],
)
def test_tables_that_make_no_coco_file_are_refused_and_nothing_is_written(
    document, tmp_path, table, column, value, message
):
    annotations = from_coco(document, where="test")
    getattr(annotations, table).loc[1, column] = value
    with pytest.raises(AnnotationError, match=message) as error:
        write_coco(annotations, tmp_path / "a.json")
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_top_level_keys_named_as_a_section_give_way_to_the_table(document, tmp_path):
    annotations = from_coco(document, where="test")
    annotations.extra["images"] = "old"
    write_coco(annotations, tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_bytes()) == document
    assert to_coco(annotations) == document


_PIXELS = st.floats(-1e4, 1e4) | st.integers(-1000, 1000).map(float)


@given(st.lists(st.tuples(_PIXELS, _PIXELS, _PIXELS, _PIXELS), min_size=1, max_size=5))
def test_the_size_of_a_box_leads_back_to_its_corners(boxes):
    corners = box_corners(np.array(boxes))
    again = box_corners(np.hstack([corners[:, :2], box_sizes(corners)]))
    np.testing.assert_array_equal(again, corners)


_HUNDREDTHS = st.integers(0, 1_000_000).map(lambda number: number / 100)


@given(st.lists(st.tuples(*[_HUNDREDTHS] * 4), min_size=1, max_size=5))
def test_sizes_of_two_decimals_are_found_again(boxes):
    table = np.array(boxes)
    np.testing.assert_array_equal(box_sizes(box_corners(table)), table[:, 2:])
