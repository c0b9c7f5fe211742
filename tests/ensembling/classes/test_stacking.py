"""Stacking classifiers on their out-of-fold predictions."""

import numpy as np
import pandas as pd
import pytest

from recycling.ensembling import EnsemblingError, KnownLabels, average_probabilities
from recycling.ensembling.classes.stacking import stack_probabilities
from recycling.predictions import CLASS_PROBABILITIES

CLASSES = ["Paper", "Metal", "Glass"]


def table(probabilities, first_id=0):
    frame = pd.DataFrame(probabilities.astype(np.float32), columns=CLASSES)
    frame.insert(0, "annotation_id", np.arange(first_id, first_id + len(frame)))
    return CLASS_PROBABILITIES.conform(frame, where="test")


def members_and_labels(n_crops, knowledge, seed=0, first_id=0):
    """A member knows the class the better, the larger its number."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, n_crops)
    members = []
    for known in knowledge:
        logits = known * np.eye(3)[truth] + 2 * rng.normal(size=(n_crops, 3))
        odds = np.exp(logits)
        members.append(table(odds / odds.sum(1, keepdims=True), first_id))
    labels = pd.Series(np.array(CLASSES)[truth], index=members[0]["annotation_id"])
    return members, labels


def log_loss(probabilities, labels):
    table = probabilities.set_index("annotation_id").loc[labels.index, CLASSES].to_numpy(np.float64)
    of_label = table[np.arange(len(labels)), [CLASSES.index(name) for name in labels]]
    return -np.log(of_label / table.sum(1)).mean()


def stack(members, labels, test_members, folds=None):
    if folds is None:
        folds = pd.Series(np.arange(len(labels)) % 5, index=labels.index)
    return stack_probabilities(test_members, known=KnownLabels(members, labels, folds))


@pytest.fixture(scope="module")
def stacks():
    members, labels = members_and_labels(400, knowledge=(4, 1))
    test_members, test_labels = members_and_labels(400, (4, 1), seed=1, first_id=1000)
    return (
        members,
        labels,
        test_members,
        test_labels,
        stack(members, labels, test_members),
    )


def test_a_strong_and_a_weak_member_are_better_stacked_than_averaged(stacks):
    members, labels, test_members, test_labels, stacked = stacks
    for ours, tables, truth in (
        (stacked.test, test_members, test_labels),
        (stacked.out_of_fold, members, labels),
    ):
        assert log_loss(ours, truth) < 0.7 * log_loss(average_probabilities(tables), truth)


def test_the_out_of_fold_score_is_about_that_of_new_crops(stacks):
    _, labels, _, test_labels, stacked = stacks
    assert log_loss(stacked.out_of_fold, labels) == pytest.approx(
        log_loss(stacked.test, test_labels), rel=0.2
    )


def test_rows_are_distributions_in_the_members_order(stacks):
    members, _, test_members, _, stacked = stacks
    for ours, first in ((stacked.test, test_members[0]), (stacked.out_of_fold, members[0])):
        assert ours["annotation_id"].tolist() == first["annotation_id"].tolist()
        assert ours.columns.tolist() == ["annotation_id", *CLASSES]
        np.testing.assert_allclose(ours[CLASSES].sum(axis=1), 1, rtol=1e-5)
        CLASS_PROBABILITIES.conform(ours, where="stacked")


def test_members_that_know_nothing_get_no_flattering_score():
    # More features than a fit can do without: 8 members on 150 crops, labels at random.
    members, labels = members_and_labels(150, knowledge=(0,) * 8)
    stacked = stack(members, labels, members)
    assert log_loss(stacked.out_of_fold, labels) > np.log(3) - 0.02
    assert log_loss(stacked.test, labels) < np.log(3) - 0.02


def test_a_fold_is_predicted_without_its_labels():
    members, labels = members_and_labels(90, knowledge=(2, 1))
    folds = pd.Series(np.arange(90) % 3, index=labels.index)
    before = stack(members, labels, members, folds=folds).out_of_fold
    in_fold = folds[folds == 1].index
    altered = labels.copy()
    altered[in_fold] = labels[in_fold].map(
        dict(zip(CLASSES, CLASSES[1:] + CLASSES[:1], strict=True))
    )
    after = stack(members, altered, members, folds=folds).out_of_fold
    pd.testing.assert_frame_equal(
        before[before["annotation_id"].isin(in_fold)], after[after["annotation_id"].isin(in_fold)]
    )
    assert not before.equals(after)


def test_order_of_rows_columns_and_labels_is_of_no_consequence():
    members, labels = members_and_labels(120, knowledge=(3, 1))
    tests, _ = members_and_labels(30, knowledge=(3, 1), seed=1, first_id=500)
    folds = pd.Series(np.arange(120) % 4 + 10, index=labels.index)
    expected = stack(members, labels, tests, folds=folds)
    stacked = stack(
        [members[0], members[1].sample(frac=1, random_state=0)[[*CLASSES[::-1], "annotation_id"]]],
        labels.sample(frac=1, random_state=1),
        [tests[0][["annotation_id", *CLASSES[::-1]]], tests[1].sample(frac=1, random_state=2)],
        folds=folds.sample(frac=1, random_state=3),
    )
    pd.testing.assert_frame_equal(stacked.test, expected.test)
    pd.testing.assert_frame_equal(stacked.out_of_fold, expected.out_of_fold)


def test_a_class_that_no_label_has_gets_nothing_and_a_rare_one_is_learnt_where_it_can_be():
    members, labels = members_and_labels(60, knowledge=(3,))
    labels[labels == "Glass"] = "Metal"
    assert (stack(members, labels, members).test["Glass"] == 0).all()
    labels.iloc[:2] = "Glass"
    assert (stack(members, labels, members).test["Glass"] > 0).all()


def test_no_test_crops_give_an_empty_table():
    members, labels = members_and_labels(60, knowledge=(3,))
    assert len(stack(members, labels, [members[0].iloc[:0]]).test) == 0


def test_input_that_does_not_fit_is_refused_with_the_crop():
    members, labels = members_and_labels(60, knowledge=(3, 1))
    folds = pd.Series(np.arange(60) % 3, index=labels.index)

    def refused(message, **changes):
        given = {"members": members, "labels": labels, "test_members": members, "folds": folds}
        with pytest.raises(EnsemblingError, match=message):
            stack(**(given | changes))

    refused("^1 members on the test crops and 2 out of fold", test_members=members[:1])
    refused(
        "^member 0: class 'Glass' is in one of its tables only",
        test_members=[member.drop(columns="Glass") for member in members],
    )
    refused(r"^crop 59: no label \(1 of 60 crops have none\)", labels=labels.iloc[:59])
    refused("^crop 0: no label", labels=labels.where(labels.index > 0))
    refused("^crop 4: label 'Wood' is none of the", labels=labels.where(labels.index != 4, "Wood"))
    refused("^crop 3 has more than one label", labels=pd.concat([labels, labels.iloc[3:4]]))
    refused("^crop 0: no fold", folds=folds.iloc[1:])
    refused("^2 folds; stacking learns", folds=folds.clip(upper=1))
    refused("^without two of the folds all crops are", folds=labels.rank(method="dense"))
