"""The page on the data: what is annotated, how large it is, and what cleaning did."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pandas as pd
from markupsafe import Markup

from recycling.annotations import Annotations, ImageFolder
from recycling.backends.shared.anchor_proposal import anchor_report
from recycling.evaluation import SIZES, is_of_size
from recycling.reporting.distributions import distributions_figure
from recycling.reporting.examples import cleaning_examples
from recycling.reporting.figures import cleaning_figure
from recycling.reporting.pages import (
    render_figure,
    render_folded,
    render_image,
    render_list,
    render_page,
    render_table,
)

_RULES = {"rule": "rule", "does": "what it does", "rows": "rows", "reason": "why, for example"}


def data_page(
    annotations: Annotations,
    checks: pd.DataFrame,
    rules: Mapping[str, pd.DataFrame],
    cleaning: Mapping[str, str],
) -> str:
    """The page on the data.

    Args:
        annotations: What models learn from, cleaned.
        checks: What was found out about its image files; schema
            `recycling.annotations.IMAGE_CHECKS`.
        rules: By part of the data what each rule of cleaning did to it; schema
            `recycling.annotations.RULE_REPORT`.
        cleaning: By part what `cleaning_panel` gave.

    Returns:
        A page of HTML in UTF-8 that loads nothing.
    """
    objects = _objects(annotations)
    found = [("", [render_list(_sentences(annotations, objects))])]
    if len(objects):
        found += [
            ("Classes and sizes", [
                render_figure(distributions_figure(objects, annotations.images),
                              "objects by class, by image and by size"),
                render_table(_by_class(objects), {"share": ".1%", **dict.fromkeys(
                    ("objects", "images", *SIZES), ",")}),
            ]),
            ("Proposed anchors", _anchors(annotations)),
        ]  # fmt: skip
    found.append(("Problems of image files", [_problems(checks)]))
    for part, own in cleaning.items():
        shown = [render_folded("Shown on images", [Markup(own)])] if own else []
        found.append((f"Cleaning of {part}", [_rules(rules[part]), *shown]))
    return render_page("Data", found)


def cleaning_panel(
    raw: Annotations,
    folder: ImageFolder,
    checks: pd.DataFrame,
    audit: pd.DataFrame,
    would: pd.DataFrame,
) -> str:
    """What cleaning did to a part of the data, or would do: counts and examples.

    Args:
        raw: The annotations before cleaning.
        folder: The folder of their images.
        checks: What was found out about these; schema `recycling.annotations.IMAGE_CHECKS`.
        audit: One row for each change; schema `recycling.annotations.AUDIT`.
        would: The same of each rule that is off.

    Returns:
        HTML; nothing where no rule does or would do something.
    """
    if audit.empty and would.empty:
        return ""
    figure = render_figure(cleaning_figure(audit, would), "changes by rule")
    examples = cleaning_examples(raw, folder, checks, audit, would)
    return figure + render_image(examples, "examples of changes")


def _rules(report: pd.DataFrame) -> Markup:
    """The rules that did something, or would if they were on."""
    done = report.dropna(subset=["action"])
    if done.empty:
        return render_list(["nothing was changed, and nothing would be by the rules that are off"])
    verb = done["enabled"].map({True: "", False: "off; would "})
    does = verb + done["action"].astype(str) + " " + done["subject"].astype(str)
    rows = done.assign(does=does)[list(_RULES)].rename(columns=_RULES)
    return render_table(rows, {"rows": ","})


def _objects(annotations: Annotations) -> pd.DataFrame:
    names = annotations.categories.set_index("category_id")["name"]
    rows = annotations.objects().annotations
    return rows.assign(category=rows["category_id"].map(names).astype(str))


def _sentences(annotations: Annotations, objects: pd.DataFrame) -> Iterator[str]:
    images = annotations.images
    yield (
        f"{len(images):,} images in {images['group'].nunique():,} groups, {len(objects):,} objects "
        f"of {objects['category'].nunique()} of {len(annotations.categories)} classes"
    )
    if len(images):
        sides = images[["width", "height"]]
        sizes = sides.value_counts()
        (width, height), count = sizes.index[0], sizes.iloc[0]
        yield (
            f"most images ({count / len(images):.0%}) are {width} x {height} pixels; sides go from "
            f"{sides.to_numpy().min()} to {sides.to_numpy().max()}"
        )
        without = len(images) - objects["image_id"].nunique()
        yield f"{len(objects) / len(images):.1f} objects an image; {without:,} images have none"
    if len(objects):
        counts = objects["category"].value_counts()
        yield (
            f"{counts.index[0]} is the most frequent class ({counts.iloc[0]:,}), "
            f"{counts.index[-1]} the rarest ({counts.iloc[-1]:,})"
        )
        shares = {size: is_of_size(objects["area"], size).mean() for size in SIZES}
        said = ", ".join(f"{share:.0%} {size}" for size, share in shares.items())
        yield f"sizes of objects: {said}"


def _by_class(objects: pd.DataFrame) -> pd.DataFrame:
    """Objects, images and sizes of each class, the most frequent first."""
    groups = objects.groupby("category", sort=False)
    sizes = {size: is_of_size(objects["area"], size).groupby(objects["category"]).sum()
             for size in SIZES}  # fmt: skip
    counts = {"objects": groups.size(), "images": groups["image_id"].nunique()}
    table = pd.DataFrame({**counts, **sizes})
    table.insert(1, "share", table["objects"] / len(objects))
    ordered = table.sort_values("objects", ascending=False, kind="stable")
    return ordered.rename_axis("class").reset_index()


def _anchors(annotations: Annotations) -> list[Markup]:
    """What a detector's anchors should be for these boxes, beside those that it has."""
    images = annotations.images
    side = int(images[["width", "height"]].max(axis="columns").median())
    report = anchor_report(annotations, side)
    of_all = report.table.iloc[0]
    sizes, ratios = (
        ", ".join(f"{value:g}" for value in values)
        for values in (report.proposed.sizes, report.proposed.ratios)
    )
    return [
        render_list(
            [
                f"at an image size of {side} pixels: sizes of the finest level {sizes}, each level "
                f"doubles them; ratios, height by width, {ratios}",
                f"boxes overlap the best of them by {of_all['proposed_mean_iou']:.2f} on average, "
                f"and by {of_all['default_mean_iou']:.2f} the best of the libraries' own",
            ]
        )
    ]


def _problems(checks: pd.DataFrame) -> Markup:
    known = checks["problem"].dropna()
    if known.empty:
        return render_list(
            [f"none of {len(checks):,} files: all are there, whole and of their size"]
        )
    rows = checks.loc[known.index]
    table = rows.groupby("problem", sort=False).agg(
        files=("file_name", "size"), example=("file_name", "first"), detail=("detail", "first")
    )
    return render_table(table.reset_index(), {"files": ","})
