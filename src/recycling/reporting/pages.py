"""Pieces of a page of HTML, rendered by the templates of this room."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from typing import TYPE_CHECKING

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
_PIXELS_PER_INCH = 100  # of a figure on the page


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


def render_heading(text: str) -> Markup:
    """A heading within a panel.

    >>> render_heading("det.yolox & its twin")
    Markup('<h3>det.yolox &amp; its twin</h3>')
    """
    return render_text("<h3>{{ text }}</h3>", text=text)


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


def render_image(pixels: RgbImage, description: str) -> Markup:
    """An image that is part of the page, as WebP: a tenth of what PNG takes of photographs.

    Args:
        pixels: (H, W, 3) RGB.
        description: What is said where the image cannot be seen.
    """
    from PIL import Image

    content = BytesIO()
    Image.fromarray(pixels).save(content, format="WEBP", quality=82, method=2)
    return _image("webp", content.getvalue(), description, pixels.shape[1])


def render_figure(figure: Figure, description: str) -> Markup:
    """A figure that is part of the page, as SVG: sharp at every size, and small.

    Args:
        figure: The figure.
        description: What is said where it cannot be seen.
    """
    import matplotlib as mpl

    content = BytesIO()
    # `savefig` would lay it out by drawing it once more than needed.
    if (engine := figure.get_layout_engine()) is not None:
        engine.execute(figure)
        figure.set_layout_engine(None)
    # Text stays text; names within it are the same each time.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "recycling"}):
        figure.savefig(content, format="svg", metadata={"Date": None, "Creator": None})
    width = round(figure.get_figwidth() * _PIXELS_PER_INCH)
    return _image("svg+xml", content.getvalue(), description, width)


def _image(kind: str, content: bytes, description: str, width: int) -> Markup:
    data = b64encode(content).decode("ascii")
    return render("image.html", kind=kind, description=description, width=width, data=data)


def render_page(
    title: str, panels: Iterable[tuple[str, Sequence[Markup]]], *, contents: bool = False
) -> str:
    """A page that needs nothing but itself.

    Args:
        title: What stands on top.
        panels: Headings, empty for none, each with its pieces from the top down.
        contents: Whether the headings stand on top as well, each a link to its panel.

    Returns:
        HTML in UTF-8.
    """
    return str(render("report.html", title=title, panels=list(panels), contents=contents))


def render_folded(summary: str, pieces: Iterable[Markup]) -> Markup:
    r"""Pieces that a click unfolds; on paper they are unfolded.

    Args:
        summary: What is seen of them before.
        pieces: From the top down.

    >>> render_folded("More", [Markup("<p>a</p>")])
    Markup('<details><summary>More</summary>\n<p>a</p>\n</details>')
    """
    return render("folded.html", summary=summary, pieces=pieces)


def as_part(page: str, levels: int = 1) -> Markup:
    r"""What is on a page of this room, as a part of another one: without its title.

    Args:
        page: What `render_page` gave.
        levels: How far its headings are moved down.

    >>> as_part(render_page("Folds", [("Balance", [Markup("<p>even</p>")])]))
    Markup('<h3>Balance</h3>\n<p>even</p>')
    """
    _, _, rest = page.partition("<main>")
    content, _, _ = rest.rpartition("</main>")
    lower = re.sub(r"(</?h)(\d)>", lambda tag: f"{tag[1]}{int(tag[2]) + levels}>", content)
    return Markup(lower.strip())
