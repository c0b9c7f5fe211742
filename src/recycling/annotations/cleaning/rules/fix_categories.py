"""Put category names right, merge categories, and put them in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field, field_validator

from recycling.annotations.cleaning.audit import NO_AUDIT, added, changed, combined, dropped
from recycling.annotations.cleaning.category_names import check_names
from recycling.annotations.cleaning.registry import Cleaned, RuleSettings, cleaning_rule
from recycling.annotations.cleaning.rows import with_rows, without_rows
from recycling.annotations.core import CATEGORIES, AnnotationError, Annotations, free_ids
from recycling.names import composed

_RULE = "fix_categories"


class FixCategories(RuleSettings):
    """Put category names right, merge categories, and put them in order."""

    names: dict[str, str] = Field(default={}, description="misspelt name: right name")
    categories: dict[str, tuple[str, ...]] = Field(
        default={}, description="category to have: names (put right) of those merged into it"
    )
    unmapped: Literal["drop", "error", "keep"] = Field(
        default="error", description="what to do with names that `categories` does not mention"
    )
    order: tuple[str, ...] = Field(
        default=(), description="names in the order of class indices; others follow"
    )

    @field_validator("names", "categories", "order", mode="before")
    @classmethod
    def _in_composed_form(cls, value: Any) -> Any:
        return _composed(value)

    @field_validator("categories")
    @classmethod
    def _each_source_once(cls, mapping: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        targets: dict[str, str] = {}
        for target, sources in mapping.items():
            for name in sources:
                if targets.setdefault(name, target) != target:
                    raise ValueError(f"{name!r} is under both {targets[name]!r} and {target!r}")
        return mapping


@cleaning_rule(_RULE, FixCategories, position=10)
def fix_categories(
    annotations: Annotations,
    *,
    names: Mapping[str, str] | None = None,
    categories: Mapping[str, Sequence[str]] | None = None,
    unmapped: Literal["drop", "error", "keep"] = "error",
    order: Sequence[str] = (),
) -> Cleaned:
    """Put category names right, merge categories, and put them in order.

    Names are put in Unicode's composed form (NFC) before anything else, here and in the settings;
    categories of one name become one.
    Then `names`: a misspelt category becomes the right one, or is merged into it where both
    exist. Last `categories`, which speaks of names put right: what is listed under a target is
    merged into it. A target that does not exist is created, so that the classes are the same
    whatever a file happens to hold. Ids never change their meaning: a merged category's id is
    gone, a created one gets a free id, after the highest where there is one.

    Args:
        annotations: The tables.
        names: Right names by misspelt ones; those that do not occur do no harm.
        categories: What is merged, by the category that it becomes. Empty: all stay. The
            categories come in this order.
        unmapped: What to do with categories that `categories` does not mention: "drop" them and
            their annotations, "keep" them behind the others, or raise an "error".
        order: Names in the order of class indices; the other categories follow as they were.

    Returns:
        The tables, and the audit.

    Raises:
        AnnotationError: A category is not mapped, or a name of `order` does not exist.
    """
    names, categories = _composed(names or {}), _composed(categories or {})
    order = _composed(order)
    before = annotations.categories
    in_form = before["name"].map(composed).astype("string")
    is_right = (in_form == before["name"]).all() and not in_form.duplicated().any()
    if is_right and not (names or categories or order):
        return annotations, NO_AUDIT
    right = in_form.replace(dict(names))
    if categories:
        _check_mapped(right, categories, unmapped)
    targets = {source: target for target, sources in categories.items() for source in sources}
    final = right.map(lambda name: targets.get(name, name)).astype("string")
    kept = final.isin(list(categories)) | (not categories) | (unmapped == "keep")
    survivors = _survivors(before, right, kept & (right == final))
    present = set(survivors["name"])
    created = _created(before, [name for name in categories if name not in present])
    after = _in_order(
        pd.concat([survivors, created], ignore_index=True), list(order) or list(categories)
    )
    if order:
        check_names(order, after["name"], f"{_RULE}: order")
    id_of_name = dict(zip(after["name"], after["category_id"], strict=True))
    new_ids = {
        old: id_of_name[name]
        for old, name, stays in zip(before["category_id"], final, kept, strict=True)
        if stays
    }
    moved, annotation_audit = _moved(annotations, new_ids)
    audit = combined(
        [
            annotation_audit,
            _category_audit(before, final, after, created, new_ids),
        ]
    )
    return replace(moved, categories=CATEGORIES.conform(after, where=_RULE)), audit


def _composed(value: Any) -> Any:
    """Names, in whatever they are, in Unicode's composed form."""
    if isinstance(value, str):
        return composed(value)
    if isinstance(value, Mapping):
        return {_composed(key): _composed(one) for key, one in value.items()}
    return [_composed(one) for one in value] if isinstance(value, list | tuple) else value


def _check_mapped(names: pd.Series, mapping: Mapping[str, Sequence[str]], unmapped: str) -> None:
    """Stop where a category is not mapped, or is likely to be mapped under a misspelt name."""
    mentioned = {source for sources in mapping.values() for source in sources} | set(mapping)
    present = set(names)
    for name in dict.fromkeys(names):
        if name in mentioned:
            continue
        near = get_close_matches(name, mentioned - present, n=1, cutoff=0.85)
        if unmapped == "error" or (near and unmapped == "drop"):
            raise AnnotationError(
                f"{_RULE}: category {name!r} is not under any of `categories`"
                + (f" ({near[0]!r} is; is that it?)" if near else "")
                + "; list it, or say what to do with `unmapped: drop` or `unmapped: keep`"
            )


def _survivors(before: pd.DataFrame, right: pd.Series, kept: pd.Series) -> pd.DataFrame:
    """One category for each name put right: the one that had it already, else the first."""
    had_it = before["name"] == right
    ranked = before.assign(name=right, _late=~had_it)[kept.to_numpy(dtype=bool)]
    first = ranked.sort_values("_late", kind="stable").drop_duplicates("name")
    return first.sort_index().drop(columns="_late")


def _created(before: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    table = pd.DataFrame(
        {
            "category_id": free_ids(set(before["category_id"].tolist()), len(names)),
            "name": names,
            "supercategory": names,
            "extra": None,
        }
    )
    return CATEGORIES.conform(table, where=_RULE)


def _in_order(categories: pd.DataFrame, order: Sequence[str]) -> pd.DataFrame:
    ranks = {name: rank for rank, name in enumerate(order)}
    rank = categories["name"].map(lambda name: ranks.get(name, len(ranks)))
    return categories.loc[rank.sort_values(kind="stable").index].reset_index(drop=True)


def _moved(annotations: Annotations, new_ids: Mapping[int, int]) -> Cleaned:
    """Annotations under their category's new id; those of dropped categories are gone."""
    name_of = dict(
        zip(annotations.categories["category_id"], annotations.categories["name"], strict=True)
    )
    old = annotations.annotations["category_id"]
    stays = old.isin(list(new_ids)).to_numpy()
    # Not by `Series.map`: a category that is dropped would make floats of all ids.
    new = np.array([new_ids.get(own, own) for own in old.tolist()], dtype=np.int64)
    merged = new != old.to_numpy()
    moved, changes = with_rows(
        annotations,
        _RULE,
        merged,
        {"category_id": new[merged]},
        [f"category {name_of[i]!r} is merged" for i in old[merged]],
    )
    rest, drops = without_rows(
        moved,
        _RULE,
        ~stays,
        [f"category {name_of[i]!r} is not mapped" for i in old[~stays]],
    )
    return rest, combined([changes, drops])


def _category_audit(
    before: pd.DataFrame,
    final: pd.Series,
    after: pd.DataFrame,
    created: pd.DataFrame,
    new_ids: Mapping[int, int],
) -> pd.DataFrame:
    """What became of each category; its class index counts as one of its values."""
    old = before.assign(index=range(len(before)))
    new = after.assign(index=range(len(after)))
    gone = ~old["category_id"].isin(after["category_id"])
    reasons = [
        f"merged into {name!r}" if category_id in new_ids else "not mapped"
        for category_id, name in zip(old["category_id"][gone], final[gone], strict=True)
    ]
    stayed = old[~gone]
    now = new.set_index("category_id", drop=False).loc[stayed["category_id"]]
    change_reasons = [
        "the class index follows the new order" if was == name else "name put right"
        for was, name in zip(stayed["name"], now["name"], strict=True)
    ]
    is_new = new["category_id"].isin(created["category_id"])
    return combined(
        [
            changed(_RULE, "category", stayed, now, change_reasons),
            dropped(_RULE, "category", old[gone], reasons),
            added(_RULE, "category", new[is_new], ["listed in `categories`"] * int(is_new.sum())),
        ]
    )
