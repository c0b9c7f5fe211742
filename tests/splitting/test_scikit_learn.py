"""scikit-learn's own tests of its `StratifiedGroupKFold`, with our splitter in its place."""

import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    StratifiedGroupKFold,
    check_cv,
    cross_val_predict,
    cross_val_score,
    cross_validate,
)
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from recycling.splitting import MultilabelStratifiedGroupKFold

theirs = pytest.importorskip("sklearn.model_selection.tests.test_split")

# Their tests know the class by its name.
Ours = type("StratifiedGroupKFold", (MultilabelStratifiedGroupKFold,), {})


@pytest.fixture(autouse=True)
def ours_instead(monkeypatch):
    others = [cv for cv in theirs.GROUP_SPLITTERS if not isinstance(cv, StratifiedGroupKFold)]
    monkeypatch.setattr(theirs, "StratifiedGroupKFold", Ours)
    monkeypatch.setattr(theirs, "GROUP_SPLITTERS", [*others, MultilabelStratifiedGroupKFold()])


@pytest.mark.parametrize(
    "test",
    [
        "test_cross_validator_with_default_params",
        "test_2d_y",
        "test_kfold_valueerrors",
        "test_stratified_group_kfold_trivial",
    ],
)
def test_it_passes_their_tests(test):
    getattr(theirs, test)()


@pytest.mark.parametrize(
    "test",
    [
        "test_stratifiedkfold_balance",
        "test_shuffle_kfold_stratifiedkfold_reproducibility",
        "test_random_state_shuffle_false",
    ],
)
def test_it_passes_their_tests_of_a_class(test):
    getattr(theirs, test)(Ours)


@pytest.mark.parametrize("shuffle", [False, True])
def test_it_passes_their_tests_with_and_without_shuffle(shuffle):
    theirs.test_group_kfold(Ours, shuffle, 42)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")
        theirs.test_stratified_kfold_label_invariance(4, shuffle, Ours)
        for k in (4, 10):
            theirs.test_stratified_kfold_ratios(k, shuffle, Ours)


def test_it_passes_their_tests_of_group_distributions():
    groups_of_one_class = (
        ([0] * 6 + [1] * 6, [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6], [[0.5, 0.5]] * 3),
        ([0] * 9 + [1] * 3, [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 5, 6], [[0.75, 0.25]] * 3),
    )
    for case in groups_of_one_class:
        theirs.test_stratified_group_kfold_homogeneous_groups(*map(np.array, case))
    for n_groups in (5, 30, 70):
        theirs.test_stratified_group_kfold_against_group_kfold((0.3, 0.7), n_groups)


def test_it_finds_even_folds_where_theirs_finds_uneven_ones():
    # The case of their test_stratified_group_kfold_approximate, which asserts uneven folds.
    y = np.array([1] * 6 + [0] * 12)
    groups = np.array([1, 2, 3, 3, 4, 4, 1, 1, 2, 2, 3, 4, 5, 5, 5, 6, 6, 6])
    parts = [y[test] for _, test in Ours(n_splits=3).split(y, y, groups)]
    assert [(len(part), part.sum()) for part in parts] == [(6, 2)] * 3


@pytest.mark.parametrize(
    ("settings", "constant"),
    [
        ({}, True),
        ({"shuffle": True, "random_state": 123}, True),
        ({"shuffle": True}, False),
        ({"shuffle": True, "random_state": np.random.RandomState(0)}, False),
    ],
)
def test_it_tells_searches_whether_its_folds_stay_the_same(settings, constant):
    theirs.test_yields_constant_splits(MultilabelStratifiedGroupKFold(**settings), constant)


def test_without_a_seed_numpys_decides():
    y = np.random.default_rng(0).poisson(1, (60, 3))
    splitter = MultilabelStratifiedGroupKFold(3, shuffle=True)

    def fold_0():
        return next(splitter.split(y, y, np.arange(60)))[1].tolist()

    state = np.random.get_state()
    first = fold_0()
    assert fold_0() != first
    np.random.set_state(state)
    assert fold_0() == first


def test_its_metadata_is_that_of_a_group_splitter():
    cv = theirs.GROUP_SPLITTERS[-1]
    theirs.test_splitter_get_metadata_routing(cv)
    theirs.test_splitter_set_split_request(cv)


def test_check_cv_takes_it_as_it_is():
    splitter = MultilabelStratifiedGroupKFold(4)
    assert check_cv(splitter, y=np.eye(4), classifier=True) is splitter
    assert splitter.get_n_splits() == 4


@pytest.fixture(scope="module")
def images():
    """Features, indicators of three labels that follow from them, and groups of two rows."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(120, 3))
    return features, (features > [-0.5, 0, 0.8]).astype(int), np.repeat(np.arange(60), 2)


SPLITTER = MultilabelStratifiedGroupKFold(3, shuffle=True, random_state=4)


def test_it_works_in_cross_validation(images):
    features, labels, groups = images
    model = KNeighborsClassifier()
    scores = cross_val_score(model, features, labels, groups=groups, cv=SPLITTER)
    assert scores.shape == (3,)
    predicted = cross_val_predict(model, features, labels, groups=groups, cv=SPLITTER)
    fold_of_row = np.empty(len(groups), dtype=int)
    for k, (_, test) in enumerate(SPLITTER.split(features, labels, groups)):
        fold_of_row[test] = k
    right = (predicted == labels).all(axis=1)
    assert scores == pytest.approx([right[fold_of_row == k].mean() for k in range(3)])
    indices = cross_validate(
        model, features, labels, groups=groups, cv=SPLITTER, return_indices=True
    )["indices"]
    for train, test in zip(indices["train"], indices["test"], strict=True):
        assert not set(groups[train]) & set(groups[test])


def test_it_works_in_a_search(images):
    features, labels, groups = images
    search = GridSearchCV(KNeighborsClassifier(), {"n_neighbors": [1, 5]}, cv=SPLITTER)
    search.fit(features, labels, groups=groups)
    assert search.n_splits_ == 3
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_groups_reach_it_through_metadata_routing(images):
    features, labels, groups = images
    model = make_pipeline(StandardScaler(), LogisticRegression())
    labels = labels[:, 1]
    plain = cross_val_score(model, features, labels, groups=groups, cv=SPLITTER)
    with sklearn.config_context(enable_metadata_routing=True):
        routed = cross_val_score(model, features, labels, params={"groups": groups}, cv=SPLITTER)
        search = GridSearchCV(model, {"logisticregression__C": [1]}, cv=SPLITTER)
        search.fit(features, labels, groups=groups)
    assert np.array_equal(plain, routed)
    assert search.cv_results_["mean_test_score"] == pytest.approx(plain.mean())


def test_it_takes_tables_lists_and_arrays_of_other_libraries(images):
    _, labels, groups = images
    expected = [test.tolist() for _, test in SPLITTER.split(labels, labels, groups)]
    forms = [
        (pd.DataFrame(labels), pd.DataFrame(labels), pd.Series(groups)),
        (labels.tolist(), labels.tolist(), groups.tolist()),
        (labels, labels.astype(bool), groups.astype("int16")),
        (labels, labels.astype("float32"), groups.reshape(-1, 1)),
    ]
    for form in forms:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="A column-vector y was passed")
            assert [test.tolist() for _, test in SPLITTER.split(*form)] == expected


def test_it_takes_tensors(images):
    torch = pytest.importorskip("torch")
    _, labels, groups = images
    expected = [test.tolist() for _, test in SPLITTER.split(labels, labels, groups)]
    tensors = (torch.tensor(labels), torch.tensor(labels), torch.tensor(groups))
    assert [test.tolist() for _, test in SPLITTER.split(*tensors)] == expected
