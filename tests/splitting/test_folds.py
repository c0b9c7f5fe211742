import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from recycling.annotations import ANNOTATIONS, CATEGORIES, IMAGES, Annotations
from recycling.splitting import (
    FOLDS,
    Folds,
    SplitError,
    Splitting,
    balance_columns,
    balance_table,
    check_leaks,
    make_folds,
    max_deviation,
)

NAMES = ["Paper", "Metal", "Glass", "Battery"]
IDS = [7, 3, 5, 11]
METHODS = ["random", "stratified_group", "multilabel_stratified", "multilabel_stratified_group"]
WITH_GROUPS = [method for method in METHODS if method != "multilabel_stratified"]


def tables(images, annotations, categories):
    return Annotations(
        IMAGES.conform(images.assign(extra=None), where="test"),
        ANNOTATIONS.conform(
            annotations.assign(segmentation=None, source="human", score=1.0, extra=None),
            where="test",
        ),
        CATEGORIES.conform(categories.assign(extra=None), where="test"),
    )


def photographs(n_images=240, group_size=3, seed=0):
    """Images in groups, some bare, with up to a dozen annotations of skewed categories."""
    rng = np.random.default_rng(seed)
    image_id = rng.permutation(n_images) + 1000
    images = pd.DataFrame({"image_id": image_id, "width": 100, "height": 100, "file_name": "a"})
    images["group"] = [f"shot {i // group_size}" for i in range(n_images)]
    on = np.repeat(image_id, rng.poisson(3, n_images))
    side = rng.uniform(5, 50, (len(on), 2))
    annotations = pd.DataFrame(
        {
            "annotation_id": rng.permutation(len(on)),
            "image_id": on,
            "category_id": rng.choice(IDS, len(on), p=[0.6, 0.25, 0.1, 0.05]),
            "x_min": 1,
            "y_min": 1,
            "x_max": 1 + side[:, 0],
            "y_max": 1 + side[:, 1],
            "area": side.prod(axis=1),
            "iscrowd": False,
        }
    )
    categories = pd.DataFrame({"category_id": IDS, "name": NAMES, "supercategory": NAMES})
    return tables(images, annotations, categories)


def shuffled(annotations):
    return Annotations(
        annotations.images.sample(frac=1, random_state=1, ignore_index=True),
        annotations.annotations.sample(frac=1, random_state=2, ignore_index=True),
        annotations.categories,
    )


@pytest.mark.parametrize("method", WITH_GROUPS)
def test_groups_never_cross_folds(method):
    annotations = photographs()
    folds = make_folds(annotations, Splitting(method=method, n_splits=4))
    check_leaks(annotations, folds)
    by_group = annotations.images.merge(folds, on="image_id").groupby("group")["fold"].nunique()
    assert (by_group == 1).all()


@pytest.mark.parametrize("method", METHODS)
def test_every_image_is_in_one_of_the_folds(method):
    annotations = photographs(group_size=1)
    folds = make_folds(annotations, Splitting(method=method, n_splits=4))
    assert folds.equals(FOLDS.conform(folds, where="test"))
    assert sorted(annotations.images["image_id"]) == folds["image_id"].tolist()
    assert set(folds["fold"]) == {0, 1, 2, 3}


@pytest.mark.parametrize("method", METHODS)
def test_the_order_of_the_tables_does_not_matter(method):
    annotations = photographs(group_size=1)
    settings = Splitting(method=method, n_splits=4, seed=3)
    assert make_folds(annotations, settings).equals(make_folds(shuffled(annotations), settings))


@pytest.mark.parametrize("method", METHODS)
def test_the_seed_decides(method):
    annotations = photographs(group_size=1)
    first, again, other = (
        make_folds(annotations, Splitting(method=method, n_splits=4, seed=seed))
        for seed in (0, 0, 1)
    )
    assert first.equals(again)
    assert not first.equals(other)


def test_ours_is_the_most_even_method_on_every_axis():
    annotations = photographs(n_images=1000, group_size=2)
    deviation = {
        method: max_deviation(annotations, make_folds(annotations, Splitting(method=method)))
        for method in WITH_GROUPS
    }
    ours = deviation.pop("multilabel_stratified_group")["deviation"]
    assert (ours < 0.6).all()
    for other in deviation.values():
        assert (ours < other["deviation"]).all()


def test_only_the_axes_asked_for_are_balanced():
    annotations = photographs(n_images=600, group_size=1)
    settings = Splitting(axes=("area_tercile",))
    deviation = max_deviation(annotations, make_folds(annotations, settings))
    deviation = deviation.set_index("axis")["deviation"]
    assert deviation["area_tercile"] < 0.2
    assert deviation["category_counts"] > 1


def test_axes_say_what_is_on_each_image():
    annotations = photographs(n_images=60)
    columns = balance_columns(annotations)
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
        assert row["area_tercile"].sum() == 1
    third = columns["area_tercile"].idxmax(axis="columns")
    order = third.loc[sorted(areas, key=areas.get)].tolist()
    assert order == ["small"] * 20 + ["medium"] * 20 + ["large"] * 20


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


def test_the_balance_table_holds_the_shares_of_each_part():
    annotations = photographs(n_images=90)
    folds = make_folds(annotations, Splitting(n_splits=3))
    table = balance_table(annotations, folds).set_index(["fold", "category"])
    on = annotations.annotations.merge(folds, on="image_id")
    for (k, name), row in table.iterrows():
        is_it = on["category_id"] == IDS[NAMES.index(name)]
        assert row["train"] == pytest.approx(100 * is_it[on["fold"] != k].mean())
        assert row["validation"] == pytest.approx(100 * is_it[on["fold"] == k].mean())
        assert row["deviation"] == pytest.approx(row["validation"] - 100 * is_it.mean())
    assert len(table) == 12
    largest = max_deviation(annotations, folds).set_index("axis")["deviation"]
    assert largest["category_counts"] == pytest.approx(table["deviation"].abs().max())


def test_the_largest_deviation_of_an_image_axis_is_a_share_of_images():
    annotations = photographs(n_images=90)
    folds = make_folds(annotations, Splitting(n_splits=3))
    presence = balance_columns(annotations)["category_presence"]
    fold = folds.set_index("image_id")["fold"].loc[presence.index]
    shares = [100 * (presence[fold == k].mean() - presence.mean()).abs().max() for k in range(3)]
    largest = max_deviation(annotations, folds).set_index("axis")["deviation"]
    assert largest["category_presence"] == pytest.approx(max(shares))


def test_a_group_that_leaks_is_named_with_its_images_and_folds():
    annotations = photographs()
    folds = make_folds(annotations, Splitting(n_splits=4))
    group = annotations.images["group"].iloc[0]
    members = sorted(annotations.images["image_id"][annotations.images["group"] == group])
    here = folds["image_id"] == members[1]
    folds.loc[here, "fold"] = (folds.loc[here, "fold"] + 1) % 4
    with pytest.raises(SplitError) as failure:
        check_leaks(annotations, folds)
    message = str(failure.value)
    assert message.startswith(f"folds: group '{group}' crosses folds (image ")
    for image_id in members:
        fold = folds["fold"][folds["image_id"] == image_id].item()
        assert f"{image_id} in fold {fold}" in message
    assert "1 of 80 groups" in message
    assert "\n" not in message


def test_an_image_in_no_fold_is_named():
    annotations = photographs()
    folds = make_folds(annotations, Splitting(n_splits=4))
    fewer = Folds(folds[folds["image_id"] != 1017])
    for measure in (check_leaks, balance_table, max_deviation):
        with pytest.raises(SplitError, match="image 1017 in no fold; 1 of 240 images"):
            measure(annotations, fewer)


@pytest.mark.parametrize("method", METHODS)
def test_a_category_without_annotations_is_named_and_changes_nothing(method, caplog):
    annotations = photographs(group_size=1)
    on = annotations.annotations[annotations.annotations["category_id"] != 11]
    rare = Annotations(annotations.images, on, annotations.categories)
    folds = make_folds(rare, Splitting(method=method))
    assert "categories without any annotation: Battery;" in caplog.text
    known = annotations.categories[annotations.categories["category_id"] != 11]
    only = Annotations(annotations.images, on, known.reset_index(drop=True))
    pd.testing.assert_frame_equal(folds, make_folds(only, Splitting(method=method)))


def test_more_folds_than_groups_are_refused():
    with pytest.raises(SplitError, match="n_splits is 5, but the 240 images form 4 groups"):
        make_folds(photographs(group_size=60), Splitting())


def test_a_method_that_breaks_groups_is_refused_where_there_are_groups():
    with pytest.raises(SplitError, match="breaks groups, and group 'shot 0' has 3 images"):
        make_folds(photographs(), Splitting(method="multilabel_stratified"))


@pytest.mark.parametrize(
    "wrong", [{"method": "kfold"}, {"n_splits": 1}, {"axes": ()}, {"axes": ("size",)}, {"sed": 1}]
)
def test_a_wrong_setting_is_refused(wrong):
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        Splitting(**wrong)


def test_the_package_imports_without_scikit_learn():
    code = "import sys, recycling.splitting, recycling.evaluation; print('sklearn' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


@pytest.fixture(scope="module")
def aistages():
    root = os.environ.get("AISTAGES_ROOT")
    if not root:
        pytest.skip("AISTAGES_ROOT does not name the folder of the competition's annotations")
    with gzip.open(Path(root) / "annotations.json.gz", "rt") as file:
        content = json.load(file)
    images = pd.DataFrame(content["images"]).rename(columns={"id": "image_id"})
    on = pd.DataFrame(content["annotations"]).rename(columns={"id": "annotation_id"})
    x, y, width, height = np.array(on["bbox"].tolist()).T
    boxes = on.assign(x_min=x, y_min=y, x_max=x + width, y_max=y + height)
    categories = pd.DataFrame(content["categories"]).rename(columns={"id": "category_id"})
    images["group"] = images["image_id"].astype(str)
    return tables(images, boxes.astype({"iscrowd": bool}), categories)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_competition_is_split_to_within_an_image(aistages, seed):
    folds = make_folds(aistages, Splitting(seed=seed))
    deviation = max_deviation(aistages, folds).set_index("axis")["deviation"]
    assert deviation["category_counts"] <= 0.05
    assert deviation.drop("category_counts").max() <= 0.12
    sizes = folds["fold"].value_counts()
    assert sizes.max() - sizes.min() <= 1


def test_the_competition_in_groups_of_three_is_split_evenly(aistages):
    number = np.random.default_rng(0).integers(0, len(aistages.images) // 3, len(aistages.images))
    images = aistages.images.assign(group=pd.Series(number).astype("string"))
    grouped = Annotations(images, aistages.annotations, aistages.categories)
    folds = make_folds(grouped, Splitting())
    check_leaks(grouped, folds)
    assert max_deviation(grouped, folds)["deviation"].max() <= 0.3
