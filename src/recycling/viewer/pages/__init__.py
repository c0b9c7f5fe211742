"""The pages: a file each, with `build`, which puts it on the screen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from recycling.viewer.pages import (
    cleaning,
    data,
    disagreement,
    experiments,
    folds,
    groups,
    image,
    label_errors,
    mistakes,
    predictions,
    pseudo_labels,
    why,
)
from recycling.viewer.views import View


@dataclass(frozen=True)
class Page:
    """A page.

    Attributes:
        title: In the navigation.
        build: Puts it on the screen.
        key: The letter that leads to it, after a g; None of one that is reached from others.
    """

    title: str
    build: Callable[[View], None]
    key: str | None = None


PAGES = {
    "/": Page("Data", data.build, "i"),
    "/cleaning": Page("Cleaning", cleaning.build, "c"),
    "/groups": Page("Near-duplicates", groups.build, "n"),
    "/folds": Page("Folds", folds.build, "f"),
    "/pseudo_labels": Page("Pseudo-labels", pseudo_labels.build, "s"),
    "/label_errors": Page("Label errors", label_errors.build, "l"),
    "/predictions": Page("Predictions", predictions.build, "p"),
    "/mistakes": Page("Mistakes", mistakes.build, "m"),
    "/disagreement": Page("Disagreement", disagreement.build, "d"),
    "/why": Page("Why", why.build, "w"),
    "/experiments": Page("Experiments", experiments.build, "e"),
    "/image": Page("Image", image.build),
}
"""By path, in the order of the navigation."""
