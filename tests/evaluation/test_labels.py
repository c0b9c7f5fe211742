import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss

from recycling.annotations import ANNOTATIONS, CATEGORIES, IMAGES, Annotations
from recycling.evaluation import EvaluationError, confusion, macro_f1
from recycling.predictions import CLASS_PROBABILITIES, ClassProbabilities
from recycling.tables import TableError

NAMES = ["Paper", "Metal", "Glass", "Battery"]
IDS = [7, 3, 5, 11]


@pytest.fixture
def truth():
    """Sixty crops; none is of the last category, and two are crowd regions."""
    rng = np.random.default_rng(0)
    annotations = pd.DataFrame(
        {
            "annotation_id": rng.permutation(60),
            "image_id": 1,
            "category_id": rng.choice(IDS[:3], 60),
            "x_min": 0,
            "y_min": 0,
            "x_max": 1,
            "y_max": 1,
            "area": 1,
            "segmentation": None,
            "iscrowd": np.arange(60) < 2,
            "source": "human",
            "score": 1,
            "extra": None,
        }
    )
    categories = pd.DataFrame({"category_id": IDS, "name": NAMES, "supercategory": NAMES})
    return Annotations(
        IMAGES.empty(),
        ANNOTATIONS.conform(annotations, where="test"),
        CATEGORIES.conform(categories.assign(extra=None), where="test"),
    )


@pytest.fixture
def probabilities(truth):
    rng = np.random.default_rng(1)
    values = rng.dirichlet(np.ones(4), 60).astype(np.float32)
    # Columns in another order than the categories, rows in another than the annotations.
    table = pd.DataFrame(values, columns=["Battery", "Glass", "Metal", "Paper"])
    return ClassProbabilities(
        CLASS_PROBABILITIES.conform(table.assign(annotation_id=np.arange(60)), where="test")
    )


def pairs(truth, probabilities):
    """True and predicted name of each crop, one at a time."""
    names = dict(zip(IDS, NAMES, strict=True))
    rows = probabilities.set_index("annotation_id")
    for row in truth.annotations.itertuples():
        if not row.iscrowd:
            yield names[row.category_id], max(NAMES, key=rows.loc[row.annotation_id].get)


def test_f1_is_that_of_counting_crop_by_crop(truth, probabilities):
    expected = list(pairs(truth, probabilities))
    f1 = {}
    for name in NAMES[:3]:
        hits = sum(true == name == guess for true, guess in expected)
        wrong = sum((true == name) != (guess == name) for true, guess in expected)
        f1[name] = 2 * hits / (2 * hits + wrong)
    metrics = macro_f1(truth, probabilities)
    assert metrics.metric == "macro F1"
    assert metrics.per_class == pytest.approx(f1)
    assert metrics.score == pytest.approx(sum(f1.values()) / 3)
    assert metrics.details["accuracy"] == pytest.approx(
        np.mean([true == guess for true, guess in expected])
    )
    assert metrics.details["classes_without_truth"] == 1


def test_log_loss_is_that_of_scikit_learn(truth, probabilities):
    crops = truth.annotations[~truth.annotations["iscrowd"]]
    scores = probabilities.set_index("annotation_id").loc[crops["annotation_id"], NAMES]
    scores = scores.to_numpy(np.float64)
    scores = scores / scores.sum(axis=1, keepdims=True)
    labels = [IDS.index(category_id) for category_id in crops["category_id"]]
    metrics = macro_f1(truth, probabilities)
    assert metrics.details["log_loss"] == pytest.approx(log_loss(labels, scores, labels=range(4)))


def test_confusion_counts_every_crop(truth, probabilities):
    table = confusion(truth, probabilities)
    expected = list(pairs(truth, probabilities))
    assert list(table.index) == list(table.columns) == NAMES
    for true in NAMES:
        for guess in NAMES:
            assert table.loc[true, guess] == expected.count((true, guess))
    assert table.to_numpy().sum() == 58


def test_crops_of_crowd_regions_may_be_missing(truth, probabilities):
    crowd = truth.annotations["annotation_id"][truth.annotations["iscrowd"]]
    fewer = ClassProbabilities(probabilities[~probabilities["annotation_id"].isin(crowd)])
    assert len(fewer) == 58
    assert macro_f1(truth, fewer) == macro_f1(truth, probabilities)


def test_a_crop_without_a_row_is_named(truth, probabilities):
    last = int(truth.annotations["annotation_id"].iloc[-1])
    fewer = ClassProbabilities(probabilities[probabilities["annotation_id"] != last])
    with pytest.raises(EvaluationError, match=f"annotation {last} has no row; 1 of 58"):
        macro_f1(truth, fewer)


def test_a_row_of_no_crop_is_named(truth, probabilities):
    probabilities.loc[3, "annotation_id"] = 777
    truth = truth.of_images([1])
    annotations = truth.annotations[truth.annotations["annotation_id"] != 3]
    truth = Annotations(truth.images, annotations, truth.categories)
    with pytest.raises(EvaluationError, match="annotation 777 is not in the truth; 1 of 60"):
        macro_f1(truth, probabilities)


def test_a_column_without_a_category_is_named(truth, probabilities):
    with pytest.raises(EvaluationError, match="column 'Plastic' is no category of the truth"):
        macro_f1(truth, ClassProbabilities(probabilities.assign(Plastic=0.1)))


def test_a_category_without_a_column_is_named(truth, probabilities):
    with pytest.raises(EvaluationError, match="no column for category 'Glass'"):
        confusion(truth, ClassProbabilities(probabilities.drop(columns="Glass")))


@pytest.mark.parametrize("values", [[np.nan] * 4, [0.0] * 4, [-0.1, 0.5, 0.3, 0.3]])
def test_a_row_that_is_no_distribution_is_named(truth, probabilities, values):
    crop = int(truth.annotations["annotation_id"].iloc[-1])
    probabilities.loc[crop, NAMES] = values
    with pytest.raises(EvaluationError, match=f"those of annotation {crop} are not finite"):
        macro_f1(truth, probabilities)


def test_a_crop_that_is_classified_twice_is_refused(truth, probabilities):
    twice = ClassProbabilities(pd.concat([probabilities, probabilities.iloc[:1]]))
    with pytest.raises(TableError, match="annotation_id occurs a second time"):
        macro_f1(truth, twice)


def test_a_truth_without_crops_is_refused(truth, probabilities):
    empty = Annotations(truth.images, ANNOTATIONS.empty(), truth.categories)
    with pytest.raises(EvaluationError, match="no annotation to classify"):
        macro_f1(empty, probabilities)
