"""What one rule of cleaning does to what the others leave in the audit: see `clean`."""

import json
from dataclasses import replace

import pandas as pd
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from annotations.defective import RULES, cleanings, defective
from recycling.annotations import AnnotationError
from recycling.annotations.cleaning.core import Cleaning, clean, what_if

BITS = Cleaning().group_near_duplicates.max_distance


def _switched(rules, rule, *, on):
    return rules.model_copy(update={rule: getattr(rules, rule).model_copy(update={"enabled": on})})


def _audit(drawn, rules):
    """The audit; examples in which a rule names a category that is gone are none."""
    try:
        return clean(*drawn, rules)[1]
    except AnnotationError:
        assume(False)


def _compared(images, checks):
    """By hand: for each image those that it is compared with, those that these are, and so on."""
    looks = checks.set_index("image_id").astype(object).where(checks.set_index("image_id").notna())
    facts = {
        one: (group, looks["sha256"][one], looks["phash"][one])
        for one, group in zip(images["image_id"], images["group"], strict=True)
    }

    def alike(one, other):
        (group, sha256, phash), (its_group, its_sha256, its_phash) = facts[one], facts[other]
        if group == its_group or sha256 == its_sha256:
            return True
        hashed = isinstance(phash, str) and isinstance(its_phash, str)
        return hashed and (int(phash, 16) ^ int(its_phash, 16)).bit_count() <= BITS

    reached = {one: {one} for one in facts}
    for _ in facts:
        for one, others in reached.items():
            reached[one] = others | {new for new in facts for old in others if alike(old, new)}
    return reached


def _related(raw, checks, touched, audits):
    """By hand: images and annotations that have to do with what a rule touched."""
    compared = _compared(raw.images, checks)
    images, annotations, categories = set(), set(), set()
    for row in touched.to_dict("records"):
        if row["subject"] == "image":
            images |= compared[row["subject_id"]]
        elif row["subject"] == "annotation":
            annotations.add(row["subject_id"])
        elif row["action"] != "change" or set(json.loads(row["before"])) != {"index"}:
            categories.add(row["subject_id"])
    category_ids = {}  # that an annotation has or is given
    for row in raw.annotations.to_dict("records"):
        category_ids[row["annotation_id"]] = {row["category_id"]}
    for row in pd.concat(audits).to_dict("records"):
        if row["subject"] == "annotation" and row["action"] == "change":
            category_ids[row["subject_id"]] |= {json.loads(row["after"]).get("category_id")}
    busy = set()
    for image_id, of_image in raw.annotations.groupby("image_id")["annotation_id"]:
        ids = set(of_image)
        theirs = set().union(*(category_ids[one] for one in ids))
        if image_id in images or ids & annotations or theirs & categories:
            busy |= ids
    return images, busy


def _of_others(audit, rules, images, annotations):
    related = (audit["subject"] == "image") & audit["subject_id"].isin(images)
    related |= (audit["subject"] == "annotation") & audit["subject_id"].isin(annotations)
    return audit[audit["rule"].isin(rules) & ~related].reset_index(drop=True)


@settings(max_examples=10)
@given(defective(), cleanings(), st.sampled_from(RULES))
def test_switching_a_rule_on_never_changes_the_audit_of_what_it_has_nothing_to_do_with(
    drawn, rules, rule
):
    without = _audit(drawn, _switched(rules, rule, on=False))
    with_it = _audit(drawn, _switched(rules, rule, on=True))
    place = rules.order.index(rule)
    before, after = list(rules.order[:place]), list(rules.order[place + 1 :])
    pd.testing.assert_frame_equal(
        _of_others(without, before, [], []), _of_others(with_it, before, [], [])
    )
    touched = with_it[with_it["rule"] == rule]
    related = _related(*drawn, touched, [without, with_it])
    pd.testing.assert_frame_equal(
        _of_others(without, after, *related), _of_others(with_it, after, *related)
    )


@settings(max_examples=10)
@given(defective(), cleanings(), st.randoms(use_true_random=False))
def test_the_order_of_rows_is_irrelevant_to_the_audit(drawn, rules, random):
    rules = _switched(rules, "remove_overlaps", on=False)
    annotations, checks = drawn
    mixed = replace(
        annotations,
        images=_mixed(annotations.images, random),
        annotations=_mixed(annotations.annotations, random),
    )
    one = _audit(drawn, rules).drop(columns="position")
    other = _audit((mixed, _mixed(checks, random)), rules).drop(columns="position")
    pd.testing.assert_frame_equal(one, other)


@settings(max_examples=10)
@given(defective(), cleanings(), st.randoms(use_true_random=False))
def test_only_the_painting_order_within_an_image_matters_where_overlaps_are_removed(
    drawn, rules, random
):
    rules = _switched(rules, "remove_overlaps", on=True)
    annotations, checks = drawn
    table = annotations.annotations
    # What is annotated on a copy may go to its image: both are painted in one order.
    names = checks["sha256"].fillna(checks["file_name"])
    file_of = dict(zip(checks["image_id"], names, strict=True))
    files = table["image_id"].map(file_of)
    shuffled = random.sample(sorted(set(files)), k=files.nunique())
    by_image = pd.concat([table[files == one] for one in shuffled])
    one = _audit(drawn, rules).drop(columns="position")
    other = _audit((replace(annotations, annotations=by_image), checks), rules)
    pd.testing.assert_frame_equal(one, other.drop(columns="position"))


@settings(max_examples=10)
@given(defective(), cleanings(), st.sampled_from(RULES))
def test_what_if_has_the_rows_that_a_rule_would_have_if_it_alone_were_switched_on(
    drawn, rules, rule
):
    rules = _switched(rules, rule, on=False)
    try:
        would = what_if(*drawn, rules)
    except AnnotationError:
        assume(False)
    assert not any(getattr(rules, name).enabled for name in would["rule"].unique())
    alone = _audit(drawn, _switched(rules, rule, on=True))
    pd.testing.assert_frame_equal(
        would[would["rule"] == rule].reset_index(drop=True),
        alone[alone["rule"] == rule].reset_index(drop=True),
    )


def _mixed(table, random):
    return table.iloc[random.sample(range(len(table)), k=len(table))]
