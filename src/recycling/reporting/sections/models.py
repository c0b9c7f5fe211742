"""The page on the models of a task: how they were trained, what it took, what they learnt from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from recycling.experiments import Effect
from recycling.reporting.layout import RgbImage
from recycling.reporting.pages import (
    as_part,
    render_figure,
    render_folded,
    render_heading,
    render_image,
    render_list,
    render_page,
    render_table,
)
from recycling.reporting.scores import TITLES
from recycling.reporting.style import ACCENT, GREEN, INK, LOSS, QUIET, despine, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLOURS = (ACCENT, LOSS, GREEN, QUIET, INK)
_COSTS = {
    "out of fold": ".4f",
    "test": ".4f",
    "minutes": ".1f",
    "images a second": ".1f",
    "waited for data": ".1%",
    "memory, MiB": ",.0f",
    "steps": ",.0f",
    "last loss": ".3f",
    "best epoch": ".0f",
}


@dataclass(frozen=True)
class Training:
    """What a training has left.

    Attributes:
        name: Of task, model and fold.
        facts: What its checkpoint says of it.
        log: A line an epoch: `epoch`, `loss`, and where it stops early, `score`.
        out_of_fold: Its score on the fold that it holds out.
        on_test: Its score on the test images, where they are labelled.
    """

    name: str
    facts: Mapping[str, Any]
    log: Sequence[Mapping[str, Any]]
    out_of_fold: float | None = None
    on_test: float | None = None


def models_page(
    task: str,
    trainings: Sequence[Training],
    examples: Mapping[str, RgbImage],
    effects: Sequence[Effect],
    certificates: Mapping[str, tuple[pd.DataFrame, str]],
) -> str:
    """The page on the models of a task.

    Args:
        task: What they predict.
        trainings: All of them, the twins of students too.
        examples: By model, where it is most wrong on the fold that it holds out; of no size where
            no truth is known.
        effects: What pseudo-labels did to students, beside twins without.
        certificates: What they have learnt from, by name: the certificate, schema
            `recycling.pseudo_labels.CERTIFICATE`, and the page on it.

    Returns:
        A page of HTML in UTF-8 that loads nothing.
    """
    panels = [("Trainings: scores, and what they took", [render_table(*_costs(trainings))])]
    if any(training.log for training in trainings):
        figure = curves_figure(trainings)
        panels.append(("Training curves", [render_figure(figure, "loss and score by epoch")]))
    panels.append(("Worst mistakes on images that they have not seen", [
        piece
        for model, image in examples.items() if image.size
        for piece in (
            render_heading(model), render_image(image, f"truth and predictions of {model}"),
        )
    ]))  # fmt: skip
    if effects or certificates:
        lines = [effect["sentence"].rstrip(".") for effect in effects]
        lines += [_kept(name, table) for name, (table, _) in certificates.items()]
        pieces = [render_list(lines)]
        for name, (_, page) in certificates.items():
            pieces.append(render_folded(f"What was promised: {name}", [as_part(page, 2)]))
        panels.append(("Pseudo-labels", pieces))
    return render_page(f"Models of {TITLES[task]}", panels)


def curves_figure(trainings: Sequence[Training]) -> Figure:
    """The loss of each training by epoch, and its score where it was scored on the way.

    Args:
        trainings: One with a log at least; the others are left out.
    """
    from matplotlib.ticker import MaxNLocator

    logged = [training for training in trainings if training.log]
    scored = any("score" in line for training in logged for line in training.log)
    figure = new_figure(11 if scored else 8, 3.6)
    axes = figure.subplots(1, 2 if scored else 1, squeeze=False)[0]
    for number, training in enumerate(logged):
        colour = _COLOURS[number % len(_COLOURS)]
        style = "-" if number < len(_COLOURS) else "--"
        for axis, key in zip(axes, ("loss", "score"), strict=False):
            points = [(line["epoch"], line[key]) for line in training.log if key in line]
            if points:
                axis.plot(*zip(*points, strict=True), style, color=colour, label=training.name)
    for axis, title in zip(axes, ("Loss", "Score on the held-out fold"), strict=False):
        axis.set_title(title, fontsize=10, loc="left")
        axis.set_xlabel("epoch", fontsize=9)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        despine(axis, grid="both")
    axes[0].set_yscale("log")
    axes[0].yaxis.set_major_formatter("{x:g}")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", ncols=3, frameon=False, fontsize=9)
    return figure


def _kept(name: str, certificate: pd.DataFrame) -> str:
    """How much is kept, and how much of that is right, in a sentence."""
    kept, predicted = certificate["kept"].sum(), certificate["predicted"].sum()
    said = f"{name}: {kept:,} of {predicted:,} predictions are kept"
    known = certificate[certificate["attained"].notna() & (certificate["kept"] > 0)]
    if known.empty:
        return said
    right = (known["attained"] * known["kept"]).sum() / known["kept"].sum()
    return f"{said}; {right:.0%} of them are right by the truth, images of one group as one"


def _costs(trainings: Sequence[Training]) -> tuple[pd.DataFrame, dict[str, str]]:
    """What each training took, and how that is written; what none knows is left out."""
    rows = [dict(_cost(training)) for training in trainings]
    table = pd.DataFrame(rows).dropna(axis="columns", how="all")
    return table, {name: form for name, form in _COSTS.items() if name in table}


def _cost(training: Training) -> Iterator[tuple[str, Any]]:
    facts = training.facts
    seconds = facts.get("seconds")
    yield "training", training.name
    yield "out of fold", training.out_of_fold
    yield "test", training.on_test
    yield "minutes", None if seconds is None else seconds / 60
    yield "images a second", facts.get("images_per_second")
    yield "waited for data", facts.get("waiting_share")
    yield "memory, MiB", facts.get("peak_megabytes")
    yield "steps", facts.get("iterations")
    yield "last loss", facts.get("last_loss")
    yield "best epoch", facts.get("best_epoch")
