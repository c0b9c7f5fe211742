import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from recycling.annotations import IMAGE_CHECKS, IMAGES
from recycling.annotations.images.checks import FEATURES
from recycling.splitting.shift.adversarial import (
    SHIFT,
    TEST_LIKENESS,
    AdversarialValidation,
    adversarial_validation,
)
from recycling.splitting.shift.shared_images import shared_images
from recycling.splitting.shift.two_sample_test import area_under_curve, classifier_two_sample_test

QUICK = AdversarialValidation(n_splits=3, permutations=19)


def part(n=80, seed=0, group_size=1, **features):
    """Images and what was found of them: grey noise of one kind, but for the features given."""
    rng = np.random.default_rng(seed)
    image_id = rng.permutation(n) + 1
    images = pd.DataFrame({"image_id": image_id, "file_name": "a", "width": 640, "height": 480})
    images["group"] = [f"{seed}: {i // group_size}" for i in range(n)]
    checks = pd.DataFrame({"image_id": image_id, "file_name": "a"})
    checks["sha256"] = [f"{seed}: {i}" for i in range(n)]
    checks["phash"] = [f"{bits:016x}" for bits in rng.integers(2**64, size=n, dtype=np.uint64)]
    for feature in FEATURES:
        checks[feature] = rng.uniform(0.4, 0.6, n)
    checks = checks.assign(width=640, height=480, file_size=rng.integers(50_000, 90_000, n))
    checks = checks.assign(**features).reindex(columns=IMAGE_CHECKS.names)
    return (
        IMAGES.conform(images.assign(extra=None), where="test"),
        IMAGE_CHECKS.conform(checks, where="test"),
    )


def noise(low, high, n=80, seed=9):
    return np.random.default_rng(seed).uniform(low, high, n)


@pytest.fixture(scope="module")
def alike():
    return adversarial_validation(*part(), *part(seed=1), QUICK)


@pytest.fixture(scope="module")
def darker():
    test = part(seed=1, brightness=noise(0.25, 0.5), contrast=None, sharpness=0.5)
    return adversarial_validation(*part(contrast=None, sharpness=0.5), *test, QUICK)


def test_parts_of_one_kind_cannot_be_told_apart(alike):
    summary = alike.summary
    assert summary["auc"] <= summary["chance"]
    assert summary["p_value"] > 0.05
    assert summary["low"] < 0.5 < summary["high"]
    assert summary["verdict"] == (
        f"AUC {summary['auc']:.2f} ({summary['low']:.2f} to {summary['high']:.2f}; by chance up to "
        f"{summary['chance']:.2f}): train and test cannot be told apart by these features"
    )


def test_a_shift_is_seen_and_said_in_plain_words(darker):
    summary, first = darker.summary, darker.features.iloc[0]
    assert summary["low"] > summary["chance"]
    assert summary["p_value"] == 0.05
    assert first["feature"] == "brightness"
    assert (
        f"test images are darker (brightness {first['test_mean']:.3g}, "
        f"in train {first['train_mean']:.3g}); validation on train may mislead"
    ) in summary["verdict"]


def test_every_feature_is_measured_in_both_parts(darker):
    table = darker.features.set_index("feature")
    assert darker.features.equals(SHIFT.conform(darker.features, where="test"))
    assert sorted(table.index) == sorted(FEATURES)
    brightness = table.loc["brightness"]
    train, test = part()[1]["brightness"], noise(0.25, 0.5)
    assert brightness["train_mean"] == pytest.approx(train.mean())
    assert brightness["test_mean"] == pytest.approx(test.mean())
    spread = np.sqrt((train.to_numpy().var() + test.var()) / 2)
    assert brightness["difference"] == pytest.approx((test.mean() - train.mean()) / spread)
    # Alone, by order: how often a train image is the brighter one.
    brighter = (train.to_numpy(float)[:, None] > test).mean()
    assert brightness["auc"] == pytest.approx(brighter)
    assert brightness["importance"] > 0.2
    assert abs(table.loc["red", "importance"]) < 0.1


def test_a_constant_feature_and_one_that_is_missing_everywhere_tell_nothing(darker):
    table = darker.features.set_index("feature")
    assert table.loc["sharpness", "auc"] == 0.5
    assert pd.isna(table.loc["sharpness", "difference"])
    assert table.loc["sharpness", "importance"] == table.loc["contrast", "importance"] == 0
    assert table.loc["contrast", ["train_mean", "test_mean", "auc", "difference"]].isna().all()
    assert table.loc["contrast", "train_missing"] == table.loc["contrast", "test_missing"] == 1


def test_a_feature_with_another_value_throughout_each_part_tells_all():
    chosen = QUICK.model_copy(update={"features": ("width", "blue")})
    shift = adversarial_validation(*part(), *part(seed=1, width=512), chosen)
    assert shift.summary["auc"] == shift.summary["low"] == shift.summary["high"] == 1
    assert "test images are narrower (width 512, in train 640); " in shift.summary["verdict"]
    width = shift.features.set_index("feature").loc["width"]
    assert width["auc"] == 1
    assert pd.isna(width["difference"])
    assert shift.features["feature"].tolist() == ["width", "blue"]


def test_a_feature_missing_for_some_images_only_is_measured_on_the_others():
    values = np.where(np.arange(80) < 60, noise(0.4, 0.6), np.nan)
    test = part(seed=1, saturation=values)
    shift = adversarial_validation(*part(), *test, QUICK)
    row = shift.features.set_index("feature").loc["saturation"]
    assert row["test_mean"] == pytest.approx(np.nanmean(values))
    assert (row["train_missing"], row["test_missing"]) == (0, 0.25)
    assert shift.summary["n_test"] == 80
    # That it is missing is itself something that the parts differ in.
    assert shift.features.iloc[0]["feature"] == "saturation"


def test_a_change_of_spread_is_seen_though_every_mean_stays():
    test = part(160, seed=1, green=noise(0.2, 0.8, 160), red=noise(0.2, 0.8, 160, 8))
    shift = adversarial_validation(*part(160), *test, QUICK)
    assert shift.summary["auc"] > shift.summary["chance"]
    assert "test images differ in how features spread or go together" in shift.summary["verdict"]


def test_the_order_of_rows_does_not_matter_and_the_same_seed_gives_the_same(darker):
    def mixed(tables, seed):
        return [table.sample(frac=1, random_state=seed + i) for i, table in enumerate(tables)]

    test = part(seed=1, brightness=noise(0.25, 0.5), contrast=None, sharpness=0.5)
    again = adversarial_validation(
        *mixed(part(contrast=None, sharpness=0.5), 1), *mixed(test, 3), QUICK
    )
    assert again.summary == darker.summary
    assert again.features.equals(darker.features)
    assert again.likeness.equals(darker.likeness)
    other = adversarial_validation(
        *part(contrast=None, sharpness=0.5), *test, QUICK.model_copy(update={"seed": 1})
    )
    assert other.summary["auc"] != darker.summary["auc"]


def test_every_image_has_a_probability_and_the_odd_ones_out_are_named():
    brightness = noise(0.5, 0.6)
    brightness[:3] = 0.2  # three of the train images are as dark as the test images
    train = part(brightness=brightness)
    test = part(seed=1, brightness=np.where(np.arange(80) < 4, 0.55, noise(0.1, 0.3)))
    shift = adversarial_validation(*train, *test, QUICK)
    assert shift.likeness.equals(TEST_LIKENESS.conform(shift.likeness, where="test"))
    assert sorted(shift.likeness["part"]) == ["test"] * 80 + ["train"] * 80
    assert set(train[0]["image_id"][:3]) < set(shift.summary["train_most_like_test"])
    by_id = shift.likeness[shift.likeness["part"] == "test"].set_index("image_id")["probability"]
    bright = test[0]["image_id"][:4]
    assert by_id.loc[bright].max() < 0.1
    assert by_id.drop(bright).median() > 0.9
    assert not set(bright) & set(shift.summary["test_least_like_train"])


def test_images_of_one_group_are_never_on_both_sides():
    """A group has a colour of its own, which tells of the others of the group and no one else."""
    train = part(96, group_size=12, blue=np.repeat(np.arange(0, 16, 2), 12))
    test = part(96, seed=1, group_size=12, blue=np.repeat(np.arange(1, 16, 2), 12))
    chosen = QUICK.model_copy(update={"features": ("blue",)})
    kept = adversarial_validation(*train, *test, chosen).summary
    assert kept["auc"] <= kept["chance"]
    split = [
        table.assign(group=table["image_id"].astype("string")) for table in (train[0], test[0])
    ]
    broken = adversarial_validation(split[0], train[1], split[1], test[1], chosen).summary
    assert broken["auc"] > 0.9


def test_the_same_images_in_both_parts_are_counted_and_do_not_fool_the_classifier():
    train, test = part(), part()
    shift = adversarial_validation(*train, *test, QUICK)
    assert shift.summary["auc"] == 0.5  # twins are held out together, hence get one probability
    assert shift.summary["exact_duplicates"] == 80
    assert shift.summary["near_duplicates"] == 0
    assert shift.summary["duplicate_pairs"] == [[1, 1], [2, 2], [3, 3], [4, 4], [5, 5]]
    assert shift.summary["shared"] == (
        "Of 80 test images 80 have the same bytes as a train image and 0 more look like one "
        "(the first: test image 1, train image 1); they flatter a score"
    )


@pytest.mark.parametrize(
    ("max_distance", "near", "pairs"),
    [(None, 0, [(9, 3)]), (2, 0, [(9, 3)]), (3, 2, [(9, 3), (7, 5), (7, 6)])],
)
def test_test_images_that_look_like_train_images_are_found(max_distance, near, pairs):
    train, test = (part(seed=seed)[1].set_index("image_id") for seed in (0, 1))
    test.loc[3, "sha256"] = train.loc[9, "sha256"]
    test.loc[3, "phash"] = train.loc[10, "phash"]
    bits = int(train.loc[7, "phash"], 16)
    test.loc[[5, 6], "phash"] = f"{bits ^ 0b111:016x}"
    train.loc[8, "phash"] = f"{bits ^ 0b111111:016x}"  # as near, but of a higher id
    test.loc[11, ["phash", "sha256"]] = train.loc[12, ["phash", "sha256"]] = pd.NA
    found = shared_images(train.reset_index(), test.reset_index(), max_distance=max_distance)
    assert found == (79, 1, near, pairs)


def test_big_ids_of_shared_images_are_exact():
    big = 2**53 + 1
    train = pd.DataFrame(
        {"image_id": [big, big + 2], "sha256": ["a", "b"], "phash": ["f" * 16, "0" * 16]}
    )
    test = pd.DataFrame(
        {
            "image_id": [big, big + 2, 5],
            "sha256": ["a", "c", "d"],
            "phash": ["f" * 16, "0" * 16, "0f" * 8],
        }
    )
    found = shared_images(train, test, max_distance=2)
    assert found.pairs == [(big, big), (big + 2, big + 2)]


def test_images_that_are_not_at_hand_are_said_to_be_not_measured():
    images = part()[0]
    shift = adversarial_validation(images, IMAGE_CHECKS.empty(), *part(seed=1), QUICK)
    assert shift.summary["verdict"] == (
        "Not measured: 0 train images have features, and 20 are needed; the files of 80 more were "
        "not read: are they there?"
    )
    assert shift.summary["shared"].startswith("Whether test images are in train is not known")
    assert shift.summary["auc"] is shift.summary["low"] is shift.summary["p_value"] is None
    assert (shift.summary["train_left_out"], shift.summary["test_left_out"]) == (80, 0)
    assert shift.likeness.equals(TEST_LIKENESS.empty())
    assert shift.features["train_mean"].isna().all()
    assert shift.features["test_mean"].notna().all()


def test_images_without_a_file_are_left_out_and_counted():
    train, test = part(), part(seed=1)
    blank = ["sha256", "phash", *FEATURES]
    test[1].loc[:9, blank] = pd.NA
    shift = adversarial_validation(*train, *test, QUICK)
    assert (shift.summary["n_test"], shift.summary["test_left_out"]) == (70, 10)
    gone = set(test[0]["image_id"][:10])
    of_test = shift.likeness[shift.likeness["part"] == "test"]
    assert set(of_test["image_id"]) == set(test[0]["image_id"]) - gone


@pytest.mark.parametrize(
    ("test", "message"),
    [
        (part(0, seed=1), "Not measured: 0 test images have features, and 20 are needed"),
        (part(19, seed=1), "Not measured: 19 test images have features, and 20 are needed"),
        (
            part(40, seed=1, group_size=8),
            "Not measured: the 40 test images form 5 groups (images that look alike are one), and "
            "3 folds need 6; set fewer n_splits or a smaller near_duplicate_distance",
        ),
    ],
)
def test_too_few_images_or_groups_are_said_to_be_not_measured(test, message):
    shift = adversarial_validation(*part(), *test, QUICK)
    assert shift.summary["verdict"] == message
    assert shift.summary["auc"] is None
    assert len(shift.likeness) == 0


def test_the_summary_is_json(alike, darker):
    for shift in (alike, darker):
        assert json.loads(json.dumps(shift.summary, allow_nan=False)) == shift.summary


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"features": ("brightnes",)}, "no feature 'brightnes'; there are width, height"),
        ({"features": ("red", "red")}, "feature 'red' is there twice; name it once"),
        ({"features": ()}, "at least 1 item"),
        ({"permutations": 5}, "greater than or equal to 19"),
    ],
)
def test_a_wrong_setting_is_refused(wrong, message):
    with pytest.raises(ValidationError, match=message):
        AdversarialValidation(**wrong)


@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=30))
def test_the_area_under_the_curve_is_that_of_scikit_learn(rows):
    from sklearn.metrics import roc_auc_score

    scores, positive = np.array([row[0] for row in rows], float), np.array([r[1] for r in rows])
    if positive.all() or not positive.any():
        positive[0] = not positive[0]
    area, _ = area_under_curve(scores, positive, np.arange(len(rows)))
    assert area == pytest.approx(roc_auc_score(positive, scores))


def test_copies_of_an_image_in_its_group_add_no_certainty():
    rng = np.random.default_rng(0)
    scores, positive, groups = rng.normal(size=50), rng.random(50) < 0.4, np.arange(50)
    once = area_under_curve(scores, positive, groups)
    thrice = area_under_curve(*(np.repeat(values, 3) for values in (scores, positive, groups)))
    assert thrice == pytest.approx(once)
    apart = area_under_curve(np.repeat(scores, 3), np.repeat(positive, 3), np.arange(150))
    assert apart[1] < 0.7 * once[1]


@settings(max_examples=5)
@given(st.integers(0, 2**32 - 1), st.integers(2, 3), st.floats(0, 2))
def test_whether_it_could_be_chance_follows_from_the_shuffles(seed, n_splits, shift):
    rng = np.random.default_rng(seed)
    in_test = np.concatenate([np.arange(8) % 2, rng.integers(0, 2, 40)]).astype(bool)
    groups = np.concatenate([np.arange(8), rng.integers(0, 30, 40)])  # some hold both parts
    features = rng.normal(size=(48, 2)) + shift * in_test[:, None]
    result = classifier_two_sample_test(
        features, in_test, groups, n_splits=n_splits, n_permutations=19, random_state=seed
    )
    assert (result.auc > result.chance) == (result.p_value <= 0.05)
    assert 0 <= result.low <= result.auc <= result.high <= 1
    assert ((result.probability >= 0) & (result.probability <= 1)).all()


def test_nothing_heavy_is_imported_before_it_is_needed():
    imported = "import sys, recycling.splitting.shift.adversarial"
    code = f"{imported}; print({{'sklearn', 'scipy'}} & {{*sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
