"""Some images, whatever the ensemble makes of them."""

from __future__ import annotations

from markupsafe import Markup

from recycling.reporting.layout import RgbImage
from recycling.reporting.pages import render_image
from recycling.reporting.panels.core import panel


@panel("Some test images", order=62)
def overlays(overlays: RgbImage) -> list[Markup]:
    """What is true, where it is known, beside what the ensemble says."""
    return [render_image(overlays, "predictions on test images")]
