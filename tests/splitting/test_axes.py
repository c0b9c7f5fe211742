import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recycling.splitting import (
    AXES,
    SplitError,
    Splitting,
    balance_columns,
    make_folds,
    max_deviation,
)
from splitting.annotated_images import (
    IDS,
    annotated_images,
    shuffled,
    tables,
    with_extra,
    with_images,
)


def test_axes_say_what_is_on_each_image():
    annotations = annotated_images(n_images=60)
    columns = balance_columns(annotations, AXES)
    on = annotations.annotations
    areas = {}
    for image_id in annotations.images["image_id"]:
        mine = on[on["image_id"] == image_id]
        row = columns.loc[image_id]
        numbers = [int((mine["category_id"] == category_id).sum()) for category_id in IDS]
        assert row["category_counts"].tolist() == numbers
        assert row["category_presence"].tolist() == [int(number > 0) for number in numbers]
        distinct = row["number_of_categories"]
        assert distinct[distinct == 1].index.tolist() == [str(len(set(mine["category_id"])))]
        areas[image_id] = sum(
            (box.x_max - box.x_min) * (box.y_max - box.y_min) for box in mine.itertuples()
        )
        assert row["box_area_tercile"].sum() == 1
        assert row["area_tercile"].sum() == 1
    third = columns["box_area_tercile"].idxmax(axis="columns")
    order = third.loc[sorted(areas, key=areas.get)].tolist()
    assert order == ["small"] * 20 + ["medium"] * 20 + ["large"] * 20


def one_category(image_ids, boxes, segmentations=None):
    images = pd.DataFrame({"image_id": sorted(set(image_ids)), "file_name": "a"})
    boxes = pd.DataFrame(boxes, columns=["x_min", "y_min", "x_max", "y_max"])
    annotations = boxes.assign(
        annotation_id=range(len(boxes)), image_id=image_ids, category_id=1, area=1, iscrowd=False
    )
    if segmentations is not None:
        annotations["segmentation"] = segmentations
    categories = pd.DataFrame({"category_id": [1], "name": ["can"], "supercategory": [""]})
    group = images["image_id"].astype(str)
    return tables(images.assign(width=40, height=40, group=group), annotations, categories)


def thirds(annotations, axis):
    return balance_columns(annotations, [axis])[axis].idxmax(axis="columns").to_dict()


def test_area_that_two_annotations_cover_counts_once():
    # Image 1: four times the same 100 px; 2: 200 px; 3: 300 px in two parts that do not overlap.
    boxes = [(0, 0, 10, 10)] * 4 + [(0, 0, 20, 10), (0, 0, 10, 10), (20, 20, 40, 30)]
    annotations = one_category([1, 1, 1, 1, 2, 3, 3], boxes)
    assert thirds(annotations, "area_tercile") == {1: "small", 2: "medium", 3: "large"}
    assert thirds(annotations, "box_area_tercile") == {1: "large", 2: "small", 3: "medium"}


def test_area_is_that_of_the_mask_where_there_is_one():
    # A triangle is half of its box.
    triangle = json.dumps([[0, 0, 20, 0, 0, 20]])
    boxes = [(0, 0, 20, 20), (0, 0, 16, 16), (0, 0, 18, 18)]
    annotations = one_category([1, 2, 3], boxes, [triangle, None, None])
    assert thirds(annotations, "area_tercile") == {1: "small", 2: "medium", 3: "large"}
    assert thirds(annotations, "box_area_tercile") == {1: "large", 2: "small", 3: "medium"}


@settings(max_examples=15)
@given(st.integers(0, 10**6))
def test_axes_do_not_depend_on_the_order_of_rows(seed):
    annotations = annotated_images(n_images=30)
    columns = balance_columns(annotations, AXES)
    other = balance_columns(shuffled(annotations, seed), AXES)
    pd.testing.assert_frame_equal(other.loc[columns.index][columns.columns], columns)


def test_eight_categories_and_more_are_one_stratum():
    images = pd.DataFrame({"image_id": [1, 2, 3], "file_name": "a", "width": 9, "height": 9})
    on = np.repeat([1, 2, 3], [8, 10, 7])
    annotations = pd.DataFrame(
        {
            "annotation_id": range(25),
            "image_id": on,
            "category_id": [*range(8), *range(10), *range(7)],
            **dict.fromkeys(["x_min", "y_min"], 0),
            **dict.fromkeys(["x_max", "y_max", "area"], 1),
            "iscrowd": False,
        }
    )
    names = [f"kind {i}" for i in range(10)]
    categories = pd.DataFrame({"category_id": range(10), "name": names, "supercategory": names})
    made = tables(images.assign(group=["a", "b", "c"]), annotations, categories)
    columns = balance_columns(made, ["number_of_categories"])["number_of_categories"]
    assert columns.to_dict("list") == {"7": [0, 0, 1], "8": [1, 1, 0]}


def of_images(annotations, name):
    axis = f"images.{name}"
    return balance_columns(annotations, [axis])[axis]


def test_a_column_of_the_images_table_is_an_axis():
    annotations = with_images(annotated_images(n_images=6), width=[640, 480, 640, 640, 480, 640])
    assert of_images(annotations, "width").to_dict("list") == {
        "480": [0, 1, 0, 0, 1, 0],
        "640": [1, 0, 1, 1, 0, 1],
    }


def test_a_key_that_the_file_had_on_its_images_is_an_axis_and_no_value_is_a_value():
    keys = [{"place": "beach"}, {"place": "road"}, {"place": None}, {"other": 1}, None]
    annotations = with_extra(annotated_images(n_images=5), keys)
    assert of_images(annotations, "place").to_dict("list") == {
        "beach": [1, 0, 0, 0, 0],
        "road": [0, 1, 0, 0, 0],
        "missing": [0, 0, 1, 1, 1],
    }


def test_an_image_without_a_value_is_not_taken_for_one_whose_value_is_missing():
    annotations = with_extra(annotated_images(n_images=2), [{"lid": "missing"}, {}])
    assert of_images(annotations, "lid").to_dict("list") == {"missing": [1, 0], "(missing)": [0, 1]}


def test_a_few_numbers_are_values_and_many_are_terciles():
    annotations = annotated_images(n_images=30)
    few = with_extra(annotations, [{"stars": i % 3, "indoor": i % 2 == 0} for i in range(30)])
    assert of_images(few, "stars").columns.tolist() == ["0", "1", "2"]
    assert of_images(few, "indoor").sum().to_dict() == {"false": 15, "true": 15}
    many = with_extra(annotations, [{"iso": i} if i < 24 else {} for i in range(30)])
    columns = of_images(many, "iso")
    assert columns.columns.tolist() == ["small", "medium", "large", "missing"]
    assert columns.to_numpy().argmax(axis=1).tolist() == [0] * 8 + [1] * 8 + [2] * 8 + [3] * 6


def test_an_unknown_column_is_refused_with_those_that_there_are():
    annotations = with_extra(annotated_images(n_images=3), [{"place": "road"}, {"date": 1}, None])
    with pytest.raises(SplitError) as failure:
        of_images(annotations, "camera")
    assert str(failure.value) == (
        "axis 'images.camera': the images have no column 'camera'; they have image_id, file_name, "
        "width, height, group, date, place"
    )


def test_a_column_of_texts_that_hardly_two_images_share_is_refused():
    annotations = annotated_images(n_images=120)
    named = with_images(annotations, file_name=[f"{i}.jpg" for i in range(120)])
    with pytest.raises(SplitError, match=r"'images.file_name' has 120 different values on 120"):
        of_images(named, "file_name")


def test_an_unknown_axis_is_refused_with_those_that_there_are():
    with pytest.raises(SplitError, match=r"no axis 'size'; there are category_counts, .* images\."):
        balance_columns(annotated_images(n_images=3), ["size"])


def test_folds_are_balanced_by_a_key_of_the_images_and_its_deviation_is_measured():
    annotations = annotated_images(n_images=600, group_size=2)
    rng = np.random.default_rng(5)
    places = rng.choice(["beach", "road", "forest"], 600, p=[0.7, 0.2, 0.1])
    annotations = with_extra(annotations, [{"place": place} for place in places])
    axes = ("category_counts", "images.place")
    folds = make_folds(annotations, Splitting(axes=axes))
    deviation = max_deviation(annotations, folds, axes).set_index("axis")["deviation"]
    assert deviation.index.tolist() == list(axes)
    # One image of a fold of 120 is 0.83 percentage points.
    assert deviation["images.place"] <= 0.84
    without = make_folds(annotations, Splitting(axes=("category_counts",)))
    assert max_deviation(annotations, without, axes)["deviation"][1] > 2
