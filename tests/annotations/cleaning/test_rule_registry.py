"""A rule of one's own, and what is said of a rule or a setting that there is not."""

import pytest
import yaml
from pydantic import Field, ValidationError

from recycling.annotations import IMAGE_CHECKS, Cleaning, clean, from_coco, rule_report, what_if
from recycling.annotations.cleaning.registry import RULES, RuleSettings, cleaning_rule
from recycling.annotations.cleaning.rows import without_rows

DOCUMENT = {
    "images": [{"id": 1, "file_name": "1.png", "width": 40, "height": 20}],
    "categories": [{"id": 1, "name": "Glass"}],
    "annotations": [
        {"id": i, "image_id": 1, "category_id": 1, "bbox": bbox, "area": bbox[2] * bbox[3]}
        for i, bbox in enumerate([[0, 0, 30, 2], [0, 0, 6, 5], [30, 0, 20, 1]], start=1)
    ],
}
NO_CHECKS = IMAGE_CHECKS.empty()


@pytest.fixture
def drop_long_boxes(monkeypatch):
    """The name of a rule that is known during a test only."""
    monkeypatch.setattr(RULES, "_entries", dict(RULES._entries))

    class DropLongBoxes(RuleSettings):
        """Drop boxes that are much longer than high."""

        max_ratio: float = Field(default=10, gt=0)

    @cleaning_rule("drop_long_boxes", DropLongBoxes, position=65)
    def drop_long_boxes(annotations, *, max_ratio=10):
        table = annotations.annotations
        ratio = (table["x_max"] - table["x_min"]) / (table["y_max"] - table["y_min"])
        long = (ratio > max_ratio).to_numpy()
        reasons = [f"{value:g} times as long as high" for value in ratio[long]]
        return without_rows(annotations, "drop_long_boxes", long, reasons)

    return "drop_long_boxes"


def test_a_rule_of_ones_own_is_used_through_yaml(drop_long_boxes):
    rules = Cleaning.model_validate(yaml.safe_load("drop_long_boxes: {max_ratio: 15}"))
    # Before boxes are clipped, by its position: afterwards the third box is only 10 pixels long.
    assert rules.order.index("clip_boxes") == rules.order.index(drop_long_boxes) + 1
    annotations = from_coco(DOCUMENT, where="test")
    cleaned, audit = clean(annotations, NO_CHECKS, rules)
    assert cleaned.annotations["annotation_id"].tolist() == [1, 2]
    assert audit["rule"].tolist() == [drop_long_boxes]
    assert audit["reason"].tolist() == ["20 times as long as high"]
    report = rule_report(rules, audit, what_if(annotations, NO_CHECKS, rules))
    assert set(report["rule"]) == set(rules.order)
    assert report.set_index("rule")["rows"][drop_long_boxes] == 1


def test_a_rule_of_ones_own_is_checked_and_switched_off_like_any_other(drop_long_boxes):
    with pytest.raises(ValidationError, match="takes no 'ratio'; it takes enabled, max_ratio"):
        Cleaning.model_validate({drop_long_boxes: {"ratio": 3}})
    rules = Cleaning.model_validate({drop_long_boxes: {"enabled": False}})
    annotations = from_coco(DOCUMENT, where="test")
    assert drop_long_boxes not in set(clean(annotations, NO_CHECKS, rules)[1]["rule"])
    would = what_if(annotations, NO_CHECKS, rules)
    assert would.loc[would["rule"] == drop_long_boxes, "subject_id"].tolist() == [1, 3]


@pytest.mark.parametrize(
    ("settings", "where", "message"),
    [
        ({"clip_box": {}}, (), "no cleaning rule is called 'clip_box'; did you mean 'clip_boxes'"),
        (
            {"polish": {}},
            (),
            "no cleaning rule is called 'polish'; there are check_boxes, clip_boxes",
        ),
        ({"order": ["polish"]}, ("order", 0), "no cleaning rule is called 'polish'; there are"),
        (
            {"drop_degenerate_boxes": {"min_size": 3}},
            ("drop_degenerate_boxes",),
            "the rule takes no 'min_size'; it takes enabled, min_side",
        ),
        ({"drop_degenerate_boxes": {"min_side": -1}}, ("drop_degenerate_boxes", "min_side"), ""),
        ({"drop_degenerate_boxes": 3}, ("drop_degenerate_boxes",), ""),
    ],
)
def test_a_rule_or_a_setting_that_there_is_not_is_refused_with_those_that_there_are(
    settings, where, message
):
    with pytest.raises(ValidationError) as failure:
        Cleaning.model_validate(settings)
    [fault] = failure.value.errors()
    assert fault["loc"] == where
    assert message in fault["msg"]
