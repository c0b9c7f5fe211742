"""Folds: how many images and objects of each category each has, with links to them."""

from __future__ import annotations

from typing import Any

from recycling.viewer.core import ViewerError
from recycling.viewer.markup import render
from recycling.viewer.views import View


def build(view: View) -> None:
    """Put the page on the screen."""
    fold_of = view.holdings.folds()
    if not fold_of:
        raise ViewerError("no folds yet; kedro run --pipelines splitting")
    images = view.holdings.image_set("train.annotations")
    view.title("Folds")
    folds = sorted(set(fold_of.values()))
    in_fold = images.annotations.images["image_id"].map(fold_of)
    counts = in_fold.value_counts()

    def link(fold: int, category: str | None = None, **more: Any) -> str:
        return view.address.link("/", set=images.name, fold=fold, category=category, **more)

    rows: list[list[Any]] = [
        ["images", *({"text": f"{counts.get(f, 0):,}", "link": link(f)} for f in folds)]
    ]
    objects = images.annotations.objects().annotations
    table = objects.groupby(["category_id", objects["image_id"].map(fold_of)]).size()
    for category in images.categories.values():
        own = [int(table.get((category.category_id, fold), 0)) for fold in folds]
        cells = [
            {
                "text": f"{count:,} ({count / max(sum(own), 1):.0%})",
                "link": link(fold, category.name, show="annotations", crowds=0),
            }
            for fold, count in zip(folds, own, strict=True)
        ]
        rows.append([category.name, *cells])
    heads = ["", *(f"fold {fold}" if fold >= 0 else "never held out" for fold in folds)]
    caption = "objects of each category, and which share of them the fold has"
    view.html(render("table.html", heads=heads, rows=rows, caption=caption))
