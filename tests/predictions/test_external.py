"""Files of others become members."""

import pandas as pd
import pytest

from predictions.submission_cases import CATEGORIES, IMAGES, file_of
from recycling.predictions import (
    BoxFormat,
    ClassFormat,
    ExternalMembers,
    MaskFormat,
    SubmissionError,
    members_in,
)

BOXES = "PredictionString,image_id"
BOXES_AS = BoxFormat.model_validate({})


def touch(folder, *names):
    for name in names:
        (folder / name).touch()


def test_each_file_is_a_member_of_its_name(tmp_path):
    touch(tmp_path, "zoe.csv", "team_2.csv", "team_2.oof.csv", ".gitkeep", "README.md")
    assert members_in(tmp_path) == {
        "team_2": tmp_path / "team_2.csv",
        "zoe": tmp_path / "zoe.csv",
    }
    assert members_in(tmp_path, "out_of_fold") == {"team_2": tmp_path / "team_2.oof.csv"}


def test_a_folder_that_is_missing_or_empty_has_no_members(tmp_path):
    assert members_in(tmp_path) == {}
    assert members_in(tmp_path / "none", "out_of_fold") == {}


def test_a_name_that_no_member_can_have_is_to_be_changed(tmp_path):
    touch(tmp_path, "good.csv", "My Team.csv", "2nd.csv", "team.CSV", "a.b.csv")
    with pytest.raises(SubmissionError, match="4 faults: 4 x not a name for a member, rename it"):
        members_in(tmp_path)


def test_predictions_of_train_images_alone_are_refused(tmp_path):
    touch(tmp_path, "zoe.oof.csv")
    for part in ("test", "out_of_fold"):
        with pytest.raises(SubmissionError, match="1 fault: .*: zoe.oof.csv lacks zoe.csv"):
            members_in(tmp_path, part)


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    touch(tmp_path, "elsewhere")
    with pytest.raises(SubmissionError, match="elsewhere: is a file"):
        members_in(tmp_path / "elsewhere")


def test_files_of_other_kinds_are_counted_in_a_warning(tmp_path, caplog):
    touch(tmp_path, "a.csv", "a.parquet", "b.txt")
    assert list(members_in(tmp_path)) == ["a"]
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path}: 2 files are no CSV files and are left out: a.parquet, b.txt"
    ]


def test_a_member_is_read_when_it_is_asked_for(tmp_path):
    boxes = file_of(tmp_path, "0 0.5 1 2 3 4,test/0001.jpg", header=BOXES, name="boxes.csv")
    masks = file_of(
        tmp_path, "test/0001.jpg,0 1 2 0", header="image_id,PredictionString", name="masks.csv"
    )
    classes = file_of(tmp_path, "5,Metal", header="annotation_id,category", name="classes.csv")
    broken = file_of(tmp_path, header="nothing", name="broken.csv")
    members = ExternalMembers(members_in(tmp_path), missing_images="skip")
    assert dict(members) == {"boxes": boxes, "broken": broken, "classes": classes, "masks": masks}
    assert len(members) == 4
    assert members.read("boxes", BOXES_AS, IMAGES, CATEGORIES)["image_id"].tolist() == [2]
    masks_as = MaskFormat.model_validate({"size": 2})
    read = members.read("masks", masks_as, IMAGES, CATEGORIES)
    assert read[2].tolist() == [[0, 1], [2, 0]]
    crops = pd.DataFrame({"annotation_id": [5]})
    read = members.read("classes", ClassFormat.model_validate({}), crops, CATEGORIES)
    assert read.to_numpy().tolist() == [[5, 0, 1]]
    with pytest.raises(SubmissionError, match="broken.csv: the header is 'nothing'"):
        members.read("broken", BOXES_AS, IMAGES, CATEGORIES)


def test_a_member_that_lacks_images_is_refused_unless_told_otherwise(tmp_path):
    file_of(tmp_path, "0 0.5 1 2 3 4,test/0001.jpg", header=BOXES, name="boxes.csv")
    with pytest.raises(SubmissionError, match="boxes.csv: 2 faults: 2 x the image has no row"):
        ExternalMembers(members_in(tmp_path)).read("boxes", BOXES_AS, IMAGES, CATEGORIES)
