"""Candidates for label errors, one at a time, accepted or rejected by a key."""

from __future__ import annotations

from typing import Any

import pandas as pd

from recycling.annotations import BOX
from recycling.diagnostics.label_errors import correction
from recycling.diagnostics.label_errors.core import KINDS, NEW_BOX
from recycling.reporting.label_errors import said_of
from recycling.viewer.controls import choice
from recycling.viewer.core import ImageSet, ViewerError
from recycling.viewer.decisions import STORED, Decision, Decisions
from recycling.viewer.drawing import Shape, box_path, close_up
from recycling.viewer.markup import render
from recycling.viewer.views import View, image_address

LABEL, MODELS = "#d9774a", "#1864ab"
"""Of what is labelled, and of what models see."""

SHOWN = {"all": "all", "open": "not decided", "accepted": "accepted", "rejected": "rejected"}


def build(view: View) -> None:
    """Put the page on the screen."""
    from nicegui import ui

    address = view.address
    kind = address.one_of("kind", KINDS)
    shown = address.one_of("show", list(SHOWN), "all")
    names = view.holdings.there(r"((cls|det|seg)\.)?label_errors")
    if not names:
        raise ViewerError(
            "no candidates for label errors yet; after a training: "
            "kedro run --pipelines label_errors"
        )
    asked = address.one_of("of", names) or names[-1]
    table, images = view.holdings.load(asked), view.holdings.image_set("train.annotations")
    decisions = Decisions(view.holdings.catalog)
    rows = _rows(images, table, decisions, kind, shown or "all")
    view.title("Label errors")
    with ui.element("div").classes("controls"):
        choice(view, "of", names, "candidates of", value=asked, optional=False)
        kinds = {str(own): own.replace("_", " ") for own in KINDS}
        choice(view, "kind", kinds, "kind", value=kind)
        choice(view, "show", SHOWN, "show", value=shown, optional=False)
    counts = pd.Series([row["decision"] for row in rows]).value_counts()
    said = ", ".join(f"{counts.get(own, 0)} {own}" for own in STORED)
    view.say(
        f"{len(rows):,} candidates: {said}; accepted ones are corrected when the cleaning runs"
    )
    if not rows:
        view.html(render("message.html", text="no candidate is like that"))
        return
    place = min(max(address.number("n", 1) or 1, 1), len(rows))
    row = rows[place - 1]

    def decide(decision: Decision | None) -> None:
        decisions.decide(row["entry"], decision)
        # Where decided ones are not shown, the next one takes this one's place.
        if shown == "all" and decision is not None and place < len(rows):
            ui.navigate.to(address.link(n=place + 1))
        else:
            view.refresh()

    with ui.element("div").classes("controls"):
        for label, key, decision in (
            ("accept", "a", "accepted"), ("reject", "x", "rejected"), ("take back", "z", None),
        ):  # fmt: skip
            button = ui.button(label, on_click=lambda _, own=decision: decide(own))
            button.props(f'no-caps outline data-key="{key}" title="{label}"').mark(label)
    _show(view, images, row, place, len(rows))


def _rows(
    images: ImageSet, table: pd.DataFrame, decisions: Decisions, kind: str | None, shown: str
) -> list[dict[str, Any]]:
    """The candidates that are asked for, with the entry each would be and what is decided."""
    decided = decisions.all()
    sizes = {own: (row["width"], row["height"]) for own, row in images.images.items()}
    rows: list[dict[str, Any]] = []
    for row in table.to_dict("records"):
        if row["image_id"] not in sizes or (kind is not None and row["kind"] != kind):
            continue
        entry = correction(row, sizes[row["image_id"]])
        decision = decided.get(entry)
        if shown in ("all", decision or "open"):
            own = {str(key): value for key, value in row.items()}
            rows.append({**own, "entry": entry, "decision": decision or "open"})
    return rows


def _show(view: View, images: ImageSet, row: dict[str, Any], place: int, total: int) -> None:
    image_id = int(row["image_id"])
    image = images.image(image_id)
    box = [float(row[edge]) for edge in BOX]
    is_missed = row["kind"] == "missed"
    colour, name = (MODELS, row["new_category"]) if is_missed else (LABEL, row["category"])
    shapes = [Shape(box_path(box), box[0], box[1], str(name), colour)]
    boxes = [box]
    if not is_missed and not pd.isna(row[NEW_BOX[0]]):
        new = [float(row[edge]) for edge in NEW_BOX]
        seen = row["category"] if pd.isna(row["new_category"]) else row["new_category"]
        shapes.append(Shape(box_path(new), new[0], new[1], str(seen), MODELS, dash="dashed"))
        boxes.append(new)
    number = None if pd.isna(row["annotation_id"]) else int(row["annotation_id"])
    address = view.address
    view.html(
        render(
            "label_error.html",
            source=image_address(images, image_id, full=True),
            width=int(image["width"]),
            height=int(image["height"]),
            shapes=shapes,
            close=close_up(boxes),
            side=float(close_up(boxes).rpartition(" ")[2]),
            place=place,
            total=total,
            said=said_of(row),
            facts=[
                f"{row['file_name']}" + ("" if number is None else f", annotation {number}"),
                f"quality {row['quality']:.3f}",
                str(row["models"]),
            ],
            decision=row["decision"],
            before=address.link(n=place - 1) if place > 1 else None,
            after=address.link(n=place + 1) if place < total else None,
            image=address.link("/image", set=images.name, id=image_id, annotation=number),
        )
    )
