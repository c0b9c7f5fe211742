"""Pieces of a page of HTML, rendered by the templates of this room."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from recycling.reporting.layout import RgbImage

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TEMPLATES = Environment(
    loader=PackageLoader("recycling.reporting"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_PIXELS_PER_INCH = 100  # of a figure on the page; it is drawn finer, for screens that show more


def render(template: str, **values: object) -> Markup:
    """A template of this room, filled in.

    Args:
        template: Its file name, below `templates/`.
        values: What it names; text is escaped.
    """
    return Markup(_TEMPLATES.get_template(template).render(values))


def render_text(source: str, **values: object) -> Markup:
    """A template that is given as text, filled in.

    Args:
        source: The template.
        values: What it names; text is escaped.

    >>> render_text("<p>{{ metric }} of <b>{{ name }}</b></p>", metric="mAP50", name="<a>")
    Markup('<p>mAP50 of <b>&lt;a&gt;</b></p>')
    """
    return Markup(_TEMPLATES.from_string(source).render(values))


def render_table(table: pd.DataFrame, formats: Mapping[str, str]) -> Markup:
    """A table of HTML.

    Args:
        table: One row a row; the columns' names are the headings.
        formats: How numbers are written, by column, such as ``.4f``; such a column is set to the
            right, and every other is text.

    >>> page = render_table(pd.DataFrame({"model": ["a"], "mAP50": [0.5]}), {"mAP50": ".4f"})
    >>> ">0.5000</td>" in page
    True
    """
    headings = table.columns.astype(str).tolist()
    columns = [
        [
            "" if pd.isna(value) else format(value, formats.get(heading, ""))
            for value in table[heading]
        ]
        for heading in headings
    ]
    return render(
        "table.html", headings=headings, numbers=set(formats), rows=zip(*columns, strict=True)
    )


def render_list(sentences: Iterable[str]) -> Markup:
    """A list of sentences, which come without full stops; nothing where there is none.

    >>> "<li>a & b agree" in render_list(["a & b agree"]).unescape()
    True
    """
    # They begin as they are, in small letters too: many begin with the name of a model.
    return render("list.html", sentences=list(sentences))


def _pixels_of(figure: Figure) -> RgbImage:
    """A figure as it is saved, drawn once: `savefig` draws it twice, the layout being known."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas: Any = FigureCanvasAgg(figure)  # without types
    canvas.draw()
    return np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3])


def render_image(drawn: Figure | RgbImage, description: str) -> Markup:
    """An image that is part of the page.

    Args:
        drawn: A figure, or an image of shape (H, W, 3), RGB.
        description: What is said where the image cannot be seen.
    """
    from PIL import Image

    if isinstance(drawn, np.ndarray):
        pixels, width = drawn, drawn.shape[1]
    else:
        pixels, width = _pixels_of(drawn), round(drawn.get_figwidth() * _PIXELS_PER_INCH)
    content = BytesIO()
    Image.fromarray(pixels).save(content, format="PNG")
    data = b64encode(content.getvalue()).decode("ascii")
    return render("image.html", description=description, width=width, data=data)
