"""The pages: a file each, with `build`, which puts it on the screen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from recycling.viewer.pages import data, disagreement, image, mistakes, predictions
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
    "/predictions": Page("Predictions", predictions.build, "p"),
    "/mistakes": Page("Mistakes", mistakes.build, "m"),
    "/disagreement": Page("Disagreement", disagreement.build, "d"),
    "/image": Page("Image", image.build),
}
"""By path, in the order of the navigation."""
