import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from recycling.annotations import Annotations, read_coco
from recycling.splitting import (
    AXES,
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
from splitting.annotated_images import (
    BREAKS_GROUPS,
    IDS,
    METHODS,
    NAMES,
    WITH_GROUPS,
    annotated_images,
    shuffled,
    tables,
    with_images,
)

AREAS = ("area_tercile", "box_area_tercile")


@pytest.mark.parametrize("method", WITH_GROUPS)
def test_groups_never_cross_folds(method):
    annotations = annotated_images()
    folds = make_folds(annotations, Splitting(method=method, n_splits=4))
    check_leaks(annotations, folds)
    by_group = annotations.images.merge(folds, on="image_id").groupby("group")["fold"].nunique()
    assert (by_group == 1).all()


@pytest.mark.parametrize("method", METHODS)
def test_every_image_is_in_one_of_the_folds(method):
    annotations = annotated_images(group_size=1)
    folds = make_folds(annotations, Splitting(method=method, n_splits=4))
    assert folds.equals(FOLDS.conform(folds, where="test"))
    assert sorted(annotations.images["image_id"]) == folds["image_id"].tolist()
    assert set(folds["fold"]) == {0, 1, 2, 3}


@pytest.mark.parametrize("method", METHODS)
def test_the_order_of_the_tables_does_not_matter(method):
    annotations = annotated_images(group_size=1)
    settings = Splitting(method=method, n_splits=4, seed=3)
    assert make_folds(annotations, settings).equals(make_folds(shuffled(annotations), settings))


@pytest.mark.parametrize("method", METHODS)
def test_the_seed_decides(method):
    annotations = annotated_images(group_size=1)
    first, again, other = (
        make_folds(annotations, Splitting(method=method, n_splits=4, seed=seed))
        for seed in (0, 0, 1)
    )
    assert first.equals(again)
    assert not first.equals(other)


def test_ours_is_the_most_even_method_on_every_axis():
    annotations = annotated_images(n_images=1000, group_size=2)
    deviation = {
        method: max_deviation(annotations, make_folds(annotations, Splitting(method=method)))
        for method in WITH_GROUPS
    }
    ours = deviation.pop("multilabel_stratified_group")["deviation"]
    assert (ours < 0.6).all()
    for other in deviation.values():
        assert (ours < other["deviation"]).all()


def test_only_the_axes_asked_for_are_balanced():
    annotations = annotated_images(n_images=600, group_size=1)
    settings = Splitting(axes=("area_tercile",))
    deviation = max_deviation(annotations, make_folds(annotations, settings))
    deviation = deviation.set_index("axis")["deviation"]
    assert deviation["area_tercile"] < 0.2
    assert deviation["category_counts"] > 1


def test_the_balance_table_holds_the_shares_of_each_part():
    annotations = annotated_images(n_images=90)
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
    annotations = annotated_images(n_images=90)
    folds = make_folds(annotations, Splitting(n_splits=3))
    presence = balance_columns(annotations)["category_presence"]
    fold = folds.set_index("image_id")["fold"].loc[presence.index]
    shares = [100 * (presence[fold == k].mean() - presence.mean()).abs().max() for k in range(3)]
    largest = max_deviation(annotations, folds).set_index("axis")["deviation"]
    assert largest["category_presence"] == pytest.approx(max(shares))


def test_an_image_in_no_fold_is_named():
    annotations = annotated_images()
    folds = make_folds(annotations, Splitting(n_splits=4))
    fewer = Folds(folds[folds["image_id"] != 1017])
    for measure in (check_leaks, balance_table, max_deviation):
        with pytest.raises(SplitError, match="image 1017 in no fold; 1 of 240 images"):
            measure(annotations, fewer)


@pytest.mark.parametrize("method", METHODS)
def test_a_category_without_annotations_is_named_and_changes_nothing(method, caplog):
    annotations = annotated_images(group_size=1)
    on = annotations.annotations[annotations.annotations["category_id"] != 11]
    rare = Annotations(annotations.images, on, annotations.categories)
    folds = make_folds(rare, Splitting(method=method))
    assert "1 of 4 categories have no annotation" in caplog.text
    known = annotations.categories[annotations.categories["category_id"] != 11]
    only = Annotations(annotations.images, on, known.reset_index(drop=True))
    pd.testing.assert_frame_equal(folds, make_folds(only, Splitting(method=method)))


def test_more_folds_than_groups_are_refused():
    with pytest.raises(SplitError, match="n_splits is 5, but the 240 images form 4 groups"):
        make_folds(annotated_images(group_size=60), Splitting())


@pytest.mark.parametrize("method", BREAKS_GROUPS)
def test_a_method_that_breaks_groups_is_refused_where_there_are_groups(method):
    with pytest.raises(SplitError) as failure:
        make_folds(annotated_images(), Splitting(method=method))
    assert str(failure.value) == (
        f"method {method!r} breaks groups, and group 'shot 0' has 3 images; use a method that "
        "keeps them whole: hold_out, joint_labels, multilabel_stratified_group, random, "
        "stratified_group"
    )


def test_classes_too_small_for_the_folds_are_refused_in_the_name_of_the_method():
    annotations = annotated_images(n_images=9, group_size=1)
    with pytest.raises(SplitError, match="method 'stratified': n_splits=9 cannot be greater"):
        make_folds(annotations, Splitting(method="stratified", n_splits=9))


def counts_by_fold(annotations, folds, label):
    """How many images of each label each fold has."""
    fold = folds.set_index("image_id")["fold"]
    return pd.crosstab(label.to_numpy(), fold.loc[label.index].to_numpy())


def test_stratified_spreads_images_by_their_rarest_category():
    annotations = annotated_images(group_size=1)
    total = annotations.annotations["category_id"].value_counts()
    on = annotations.annotations.assign(total=annotations.annotations["category_id"].map(total))
    rarest = on.sort_values("total").groupby("image_id")["category_id"].first()
    label = rarest.reindex(annotations.images["image_id"], fill_value=-1)
    folds = make_folds(annotations, Splitting(method="stratified", n_splits=4))
    counts = counts_by_fold(annotations, folds, label)
    assert counts.index.tolist() == sorted([*IDS, -1])
    assert (counts.max(axis=1) - counts.min(axis=1) <= 1).all()


def test_equally_rare_categories_do_not_depend_on_the_order_of_their_table():
    images = pd.DataFrame({"image_id": range(80), "file_name": "a", "width": 9, "height": 9})
    images["group"] = images["image_id"].astype(str)
    # One half shows both, a quarter each only one of them.
    on = [*range(60), *range(20, 80)]
    annotations = pd.DataFrame({"image_id": on, "category_id": np.repeat([1, 2], 60)}).assign(
        annotation_id=range(120), x_min=0, y_min=0, x_max=1, y_max=1, area=1, iscrowd=False
    )
    both = pd.DataFrame({"category_id": [1, 2], "name": ["can", "jar"], "supercategory": ""})
    first, other = (
        make_folds(tables(images, annotations, categories), Splitting(method="stratified"))
        for categories in (both, both[::-1])
    )
    assert first.equals(other)


def test_in_joint_labels_a_category_counts_once_on_an_image():
    annotations = annotated_images(group_size=1)
    on = annotations.annotations
    again = on.sample(200, random_state=0, replace=True)
    again = again.assign(annotation_id=range(10_000, 10_200))
    more = Annotations(annotations.images, pd.concat([on, again]), annotations.categories)
    settings = Splitting(method="joint_labels")
    assert make_folds(more, settings).equals(make_folds(annotations, settings))


def test_joint_labels_are_spread_evenly():
    annotations = annotated_images(n_images=900, group_size=1)
    columns = balance_columns(annotations)
    kind = (
        columns["area_tercile"].idxmax(axis=1)
        + " "
        + columns["number_of_categories"].idxmax(axis=1)
    )
    on = annotations.annotations[["image_id", "category_id"]].drop_duplicates()
    label = on["category_id"].astype(str).str.cat(kind.loc[on["image_id"]].to_numpy(), sep=" ")
    label.index = pd.Index(on["image_id"])

    def largest_gap(method):
        folds = make_folds(annotations, Splitting(method=method, n_splits=3))
        counts = counts_by_fold(annotations, folds, label)
        return (counts.max(axis=1) - counts.min(axis=1)).max()

    assert largest_gap("joint_labels") <= 4
    assert largest_gap("stratified_group") >= 8


@pytest.mark.parametrize(
    "wrong",
    [
        {"method": "kfold"},
        {"n_splits": 1},
        {"axes": ()},
        {"axes": ("size",)},
        {"axes": ("images.",)},
        {"axes": ("area_tercile", "area_tercile")},
        {"near_duplicate_distance": 65},
        {"sed": 1},
    ],
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
    return read_coco(Path(root) / "annotations.json.gz")


@pytest.mark.parametrize("area", [("area_tercile",), ("box_area_tercile",), AREAS])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_competition_is_split_to_within_an_image(aistages, seed, area):
    axes = ("category_counts", "category_presence", *area, "number_of_categories")
    folds = make_folds(aistages, Splitting(seed=seed, axes=axes))
    deviation = max_deviation(aistages, folds, axes).set_index("axis")["deviation"]
    assert deviation["category_counts"] <= 0.05
    assert deviation.drop("category_counts").max() <= 0.12
    sizes = folds["fold"].value_counts()
    assert sizes.max() - sizes.min() <= 1


def test_the_competition_in_groups_of_three_is_split_evenly(aistages):
    number = np.random.default_rng(0).integers(0, len(aistages.images) // 3, len(aistages.images))
    grouped = with_images(aistages, group=number.astype(str))
    folds = make_folds(grouped, Splitting(axes=AXES))
    check_leaks(grouped, folds)
    assert max_deviation(grouped, folds, AXES)["deviation"].max() <= 0.3


def _like(objects, *, crowds=0, n_images=10, groups=None):
    """Images of 100 x 100 pixels with `objects` of a category each, and as many crowd regions."""
    images = pd.DataFrame({"image_id": range(n_images), "width": 100, "height": 100})
    images["file_name"] = images["image_id"].map("{}.jpg".format)
    images["group"] = groups or images["image_id"].astype(str)
    rows = [
        (image, NAMES_OF[image % 2], crowd)
        for image in range(n_images)
        for crowd in [False] * objects + [True] * crowds
    ]
    table = pd.DataFrame(rows, columns=["image_id", "category_id", "iscrowd"])
    box = {"x_min": 1, "y_min": 1, "x_max": 11, "y_max": 11, "area": 100}
    table = table.assign(annotation_id=range(len(table)), **box)
    categories = pd.DataFrame({"category_id": NAMES_OF, "name": ["Paper", "Metal"]})
    return tables(images, table, categories.assign(supercategory=""))


NAMES_OF = [4, 9]


@pytest.mark.parametrize("method", ["stratified_group", "joint_labels"])
def test_a_fold_that_stays_empty_stops_the_run(method):
    groups = ["a"] * 2 + ["b"] * 3 + ["c"] + ["d"] * 4
    annotations = _like(1, n_images=10, groups=groups)
    kinds = annotations.annotations.assign(category_id=[0, 2, 1, 0, 0, 2, 1, 2, 1, 0])
    three = pd.DataFrame({"category_id": range(3), "name": ["A", "B", "C"], "supercategory": ""})
    annotations = tables(annotations.images, kinds, three)
    with pytest.raises(SplitError, match=rf"method '{method}' leaves fold \d+ of 4 empty"):
        make_folds(annotations, Splitting(method=method, n_splits=4))


def test_a_group_with_more_than_a_fifth_of_the_images_is_warned_of(caplog):
    make_folds(_like(1, groups=["big"] * 3 + [str(n) for n in range(7)]), Splitting(n_splits=3))
    assert "1 groups hold more than a fifth of the 10 images each" in caplog.text
    assert "big (3 images)" in caplog.text


def test_a_group_with_a_fifth_of_the_images_is_not(caplog):
    make_folds(_like(1, groups=["pair"] * 2 + [str(n) for n in range(8)]), Splitting(n_splits=3))
    assert "more than a fifth" not in caplog.text


def test_crowd_regions_are_no_objects_to_folds():
    objects, with_crowds = _like(2), _like(2, crowds=3)
    for axis in AXES:
        pd.testing.assert_frame_equal(
            balance_columns(objects, [axis]), balance_columns(with_crowds, [axis])
        )
    for method in METHODS:
        settings = Splitting(method=method, n_splits=2)
        folds = make_folds(objects, settings)
        assert make_folds(with_crowds, settings).equals(folds)
        assert balance_table(with_crowds, folds).equals(balance_table(objects, folds))


def test_categories_of_crowd_regions_alone_are_warned_of(caplog):
    make_folds(_like(0, crowds=1), Splitting(n_splits=2))
    assert "2 of 2 categories have no annotation" in caplog.text


@pytest.mark.parametrize(
    ("groups", "todo"),
    [
        (["a", "b", "b", "b"], "form 2 groups, which stay whole; set splitting.n_splits to 2 or"),
        (["a"] * 4, "form 1 group, which stays whole; add images of other groups"),
    ],
)
def test_fewer_groups_than_folds_are_refused_with_what_to_set(groups, todo):
    annotations = with_images(annotated_images(4, group_size=1), group=groups)
    with pytest.raises(SplitError, match=todo):
        make_folds(annotations, Splitting(method="stratified_group", n_splits=4))
