"""The images where the ensemble changed most against its best member."""

from __future__ import annotations

from markupsafe import Markup

from recycling.reporting.layout import RgbImage
from recycling.reporting.pages import render_image
from recycling.reporting.panels.core import panel


@panel("Where the ensemble changed most", order=60)
def changes(changes: RgbImage) -> list[Markup]:
    """The image that `recycling.reporting.changes` draws."""
    return [render_image(changes, "changed images")]
