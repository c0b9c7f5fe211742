"""Candidates for label errors, one at a time, accepted or rejected by a key."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd
from markupsafe import Markup

from recycling.annotations import BOX
from recycling.annotations.cleaning.rules.correct_annotations import Correction
from recycling.diagnostics.label_errors import correction
from recycling.diagnostics.label_errors.core import KINDS, NEW_BOX
from recycling.reporting.label_errors import said_of
from recycling.viewer.controls import choice
from recycling.viewer.core import ImageSet, ViewerError
from recycling.viewer.decisions import Decision, Decisions
from recycling.viewer.drawing import Shape, box_path, close_up
from recycling.viewer.holdings import Holdings
from recycling.viewer.markup import render
from recycling.viewer.views import View, image_address

LABEL, MODELS = "#d9774a", "#1864ab"
"""Of what is labelled, and of what models see."""

BUTTONS: dict[str, tuple[str, Decision | None]] = {
    "accept": ("a", "accepted"),
    "reject": ("x", "rejected"),
    "take back": ("z", None),
}
"""By label, the key and what is decided."""

SHOWN = {"all": "all", "open": "not decided", "accepted": "accepted", "rejected": "rejected"}


@dataclass(frozen=True)
class Candidate:
    """A label that is likely wrong.

    Attributes:
        row: Schema `recycling.diagnostics.label_errors.core.LABEL_ERRORS`.
        entry: What would correct it.
        decision: What is decided on it; None where nothing is.
    """

    row: Mapping[Any, Any]
    entry: Correction
    decision: Decision | None

    @property
    def state(self) -> str:
        """`accepted`, `rejected` or `open`."""
        return self.decision or "open"


def tables_of(holdings: Holdings) -> list[str]:
    """The tables of candidates that are there; that of all tasks, which lists a label once, first.

    Args:
        holdings: What there is.
    """
    names = holdings.there(r"((cls|det|seg)\.)?label_errors")
    return sorted(names, key=lambda name: name != "label_errors")


def build(view: View) -> None:
    """Put the page on the screen."""
    from nicegui import ui

    address = view.address
    kind, shown = address.one_of("kind", KINDS), address.one_of("show", list(SHOWN), "all")
    names = tables_of(view.holdings)
    if not names:
        raise ViewerError(
            "no candidates for label errors yet; after a training: "
            "kedro run --pipelines label_errors"
        )
    name = address.one_of("of", names) or names[0]
    images = view.holdings.image_set("train.annotations")
    decisions = Decisions(view.holdings.catalog)
    table = view.holdings.load(name)
    there = on_their_images(images, table)
    candidates = [
        each
        for each in _candidates(images, there, decisions)
        if kind in (None, each.row["kind"]) and shown in ("all", each.state)
    ]
    view.title("Label errors")
    with ui.element("div").classes("controls"):
        begin = ("n",)  # another list begins with its first
        choice(view, "of", names, "candidates of", value=name, optional=False, resets=begin)
        kinds = {str(each): each.replace("_", " ") for each in KINDS}
        choice(view, "kind", kinds, "kind", value=kind, resets=begin)
        choice(view, "show", SHOWN, "show", value=shown, optional=False, resets=begin)
    counts = Counter(each.state for each in candidates)
    view.say(
        f"{len(candidates):,} candidates, the likeliest first: {counts['accepted']} accepted, "
        f"{counts['rejected']} rejected; accepted ones are corrected when the cleaning runs"
    )
    if stale := len(table) - len(there):
        view.say(
            f"not shown: {stale:,} of images that are gone, or have another id now; "
            "kedro run --pipelines label_errors looks anew"
        )
    if not candidates:
        view.html(render("message.html", text="no candidate is like that"))
        return
    place = min(max(address.number("n", 1) or 1, 1), len(candidates))
    chosen = candidates[place - 1]

    def decide(decision: Decision | None) -> None:
        decisions.decide(chosen.entry, decision)
        # Where decided ones are not shown, the next one takes this one's place.
        if shown == "all" and decision is not None and place < len(candidates):
            ui.navigate.to(address.link(n=place + 1))
        else:
            view.refresh()

    with ui.element("div").classes("controls"):
        for label, (key, decision) in BUTTONS.items():
            button = ui.button(label, on_click=partial(decide, decision))
            button.props(f'no-caps outline data-key="{key}" title="{label}"').mark(label)
    view.html(_drawn(view, images, chosen, place, len(candidates)))


def on_their_images(images: ImageSet, table: pd.DataFrame) -> pd.DataFrame:
    """The candidates whose image has the id that it had: images may be numbered anew.

    Args:
        images: As they are now.
        table: The candidates, the likeliest first.
    """
    names = images.annotations.images.set_index("image_id")["file_name"]
    return table[table["image_id"].map(names) == table["file_name"]]


def _candidates(images: ImageSet, table: pd.DataFrame, decisions: Decisions) -> Iterator[Candidate]:
    """The candidates, in the order of the table."""
    decided = decisions.all()
    for row in table.to_dict("records"):
        height, width = images.size(int(row["image_id"]))
        entry = correction(row, (width, height))
        yield Candidate(row, entry, decided.get(entry))


def _drawn(view: View, images: ImageSet, candidate: Candidate, place: int, total: int) -> Markup:
    """A candidate close up and on its image."""
    row, address = candidate.row, view.address
    image_id, (height, width) = int(row["image_id"]), images.size(int(row["image_id"]))
    shapes = list(_shapes(row))
    close = close_up([shape.box for shape in shapes])
    number = None if pd.isna(row["annotation_id"]) else int(row["annotation_id"])
    return render(
        "label_error.html",
        source=image_address(images, image_id, full=True),
        width=width,
        height=height,
        shapes=shapes,
        close=close,
        side=float(close.rpartition(" ")[2]),
        place=place,
        total=total,
        said=said_of(row),
        facts=[
            f"{row['file_name']}" + ("" if number is None else f", annotation {number}"),
            f"quality {row['quality']:.3f}",
            str(row["models"]),
        ],
        decision=candidate.state,
        previous=address.link(n=place - 1) if place > 1 else None,
        next=address.link(n=place + 1) if place < total else None,
        image=address.link("/image", set=images.name, id=image_id, annotation=number),
    )


def _shapes(row: Mapping[Any, Any]) -> Iterator[Shape]:
    """What is labelled, solid, and what models see instead, dashed."""
    box = [float(row[edge]) for edge in BOX]
    if row["kind"] == "missed":
        yield Shape(box_path(box), box, str(row["new_category"]), MODELS)
        return
    yield Shape(box_path(box), box, str(row["category"]), LABEL)
    if not pd.isna(row[NEW_BOX[0]]):
        new_box = [float(row[edge]) for edge in NEW_BOX]
        seen = row["category"] if pd.isna(row["new_category"]) else row["new_category"]
        yield Shape(box_path(new_box), new_box, str(seen), MODELS, dash="dashed")
