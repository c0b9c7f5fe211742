"""The test images or crops where the ensemble is furthest from the truth."""

from __future__ import annotations

from markupsafe import Markup

from recycling.reporting.layout import RgbImage
from recycling.reporting.pages import render_image
from recycling.reporting.panels.core import panel


@panel("Worst mistakes on test images", order=44)
def mistakes(mistakes: RgbImage) -> list[Markup]:
    """What is true beside what the ensemble says; nothing where no truth is known."""
    if not mistakes.size:
        return []
    return [render_image(mistakes, "worst mistakes")]
