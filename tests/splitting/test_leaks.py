import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from recycling.annotations import IMAGE_CHECKS, ImageFolder, check_images
from recycling.splitting import FOLDS, Folds, SplitError, Splitting, check_leaks, make_folds
from splitting.annotated_images import annotated_images, with_images


def checks_of(image_ids, sha256, phash):
    """What the checks of images found, as far as leaks go."""
    table = pd.DataFrame({"image_id": image_ids}).assign(sha256=sha256, phash=phash)
    return table.astype({"image_id": "int64", "sha256": "string", "phash": "string"})


def in_folds(fold):
    """Annotations of images 1000, 1001, ... in groups of one, and folds as given."""
    annotations = annotated_images(n_images=len(fold), group_size=1)
    table = pd.DataFrame({"image_id": range(1000, 1000 + len(fold)), "fold": fold})
    return annotations, Folds(FOLDS.conform(table, where="test"))


def test_a_group_that_leaks_is_named_with_its_images_and_folds():
    annotations = annotated_images()
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


def test_images_of_the_same_bytes_may_not_be_in_two_folds():
    annotations, folds = in_folds([0, 1, 2, 0, 2])
    checks = checks_of(range(1000, 1005), ["a", "b", "b", "b", "b"], None)
    with pytest.raises(SplitError) as failure:
        check_leaks(annotations, folds, checks)
    assert str(failure.value) == (
        "folds: images 1001 (fold 1) and 1002 (fold 2) have the same bytes; 5 pairs of duplicates "
        "cross folds; switch on the cleaning rule that drops duplicate images, or the one that "
        "groups near-duplicates"
    )


def test_images_that_look_alike_may_not_be_in_two_folds():
    annotations, folds = in_folds([0, 0, 1, 1])
    hashes = ["0000000000000000", "00000000000000ff", "ffffffffffffffff", "00000000000001ff"]
    checks = checks_of(range(1000, 1004), list("abcd"), hashes)
    with pytest.raises(SplitError) as failure:
        check_leaks(annotations, folds, checks)
    assert str(failure.value) == (
        "folds: images 1001 (fold 0) and 1003 (fold 1) look alike (perceptual hashes within 8 of "
        "64 bits); at least 1 pairs of near-duplicates cross folds; switch on the cleaning rule "
        "that groups near-duplicates, or set near_duplicate_distance"
    )
    check_leaks(annotations, folds, checks, max_distance=0)
    check_leaks(annotations, folds, checks, max_distance=None)


def test_without_the_search_for_likeness_duplicates_still_leak():
    annotations, folds = in_folds([0, 1])
    checks = checks_of([1000, 1001], "a", "0000000000000000")
    with pytest.raises(SplitError, match="the same bytes"):
        check_leaks(annotations, folds, checks, max_distance=None)


def test_images_alike_in_one_fold_are_no_leak():
    annotations, folds = in_folds([0, 0, 1])
    checks = checks_of([1000, 1001, 1002], ["a", "a", "b"], ["0" * 16, "0" * 16, "f" * 16])
    check_leaks(annotations, folds, checks)


def test_images_that_could_not_be_read_and_images_not_split_are_no_leak():
    annotations, folds = in_folds([0, 1])
    check_leaks(annotations, folds, IMAGE_CHECKS.empty())
    check_leaks(annotations, folds, checks_of([1000, 1001], None, None))
    check_leaks(annotations, folds, checks_of([1000, 2000], "a", "0" * 16))


def test_copies_and_smaller_copies_are_found_in_a_folder_of_images(tmp_path):
    rng = np.random.default_rng(0)
    image, other = (
        Image.fromarray(rng.integers(0, 255, (6, 8, 3), dtype=np.uint8)).resize((80, 60))
        for _ in range(2)
    )
    annotations, folds = in_folds([0, 0, 1, 1])
    annotations = with_images(annotations, file_name=annotations.images["image_id"].astype(str))
    for name, content in (("1000", image), ("1001", other), ("1002", other)):
        content.save(tmp_path / name, "png")
    image.resize((40, 30)).save(tmp_path / "1003", "png")

    def leak():
        checks = check_images(annotations.images, ImageFolder(tmp_path))
        with pytest.raises(SplitError) as failure:
            check_leaks(annotations, folds, checks)
        return str(failure.value)

    assert "images 1001 (fold 0) and 1002 (fold 1) have the same bytes" in leak()
    (tmp_path / "1002").unlink()
    assert "images 1000 (fold 0) and 1003 (fold 1) look alike" in leak()


@settings(max_examples=30)
@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 2**6)),
        min_size=1,
        max_size=12,
    ),
    st.integers(0, 3),
    st.randoms(use_true_random=False),
)
def test_it_finds_a_leak_exactly_where_there_is_one(images, max_distance, random):
    annotations, folds = in_folds([fold for fold, _, _ in images])
    sha256 = [f"file {content}" for _, content, _ in images]
    phash = [f"{bits:016x}" for _, _, bits in images]
    checks = checks_of(range(1000, 1000 + len(images)), sha256, phash)
    leaks = any(
        one[0] != other[0]
        and (one[1] == other[1] or (one[2] ^ other[2]).bit_count() <= max_distance)
        for one in images
        for other in images
    )
    checks = checks.sample(frac=1, random_state=random.randint(0, 9))
    if leaks:
        with pytest.raises(SplitError):
            check_leaks(annotations, folds, checks, max_distance=max_distance)
    else:
        check_leaks(annotations, folds, checks, max_distance=max_distance)
