"""Images in a grid, some at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from markupsafe import Markup

from recycling.viewer.addresses import Address
from recycling.viewer.drawing import Shape
from recycling.viewer.markup import render

Item = TypeVar("Item")


@dataclass(frozen=True)
class Map:
    """A label map that lies over an image.

    Attributes:
        source: Its address.
        kind: A word for the style sheet.
    """

    source: str
    kind: str = ""


@dataclass(frozen=True)
class Tile:
    """One image of a grid.

    Attributes:
        source: The address of the image.
        width: Of the image, pixels.
        height: Of the image, pixels.
        title: What is written below it.
        link: Where a click leads.
        shapes: What lies over it.
        lines: What else is written below it.
        view: The part that is shown, as SVG has it; None shows all.
        maps: Label maps that lie over it.
        labels: Whether the shapes' labels are written.
    """

    source: str
    width: int
    height: int
    title: str
    link: str
    shapes: Sequence[Shape] = ()
    lines: Sequence[str] = ()
    view: str | None = None
    maps: Sequence[Map] = ()
    labels: bool = False


@dataclass(frozen=True)
class Some(Generic[Item]):
    """Some of a long list: one page of it.

    Attributes:
        items: Those of this page.
        page: Which page, from 1.
        pages: How many there are.
        total: How many items there are in all.
        what: What they are called.
        link: Gives the address of another page.
    """

    items: Sequence[Item]
    page: int
    pages: int
    total: int
    what: str
    link: Callable[[int], str] = field(repr=False)


def some(items: Sequence[Item], address: Address, what: str, n: int = 48) -> Some[Item]:
    """The page of a list that an address asks for; the nearest where it asks for none there is.

    >>> some([*range(100)], Address("/", {"page": "3"}), "images").items
    [96, 97, 98, 99]
    """
    pages = max(1, -(-len(items) // n))
    page = min(max(address.number("page", 1) or 1, 1), pages)
    shown = items[(page - 1) * n : page * n]
    return Some(shown, page, pages, len(items), what, lambda other: address.link(page=other))


def grid(tiles: Sequence[Tile], more: Some[Item], kind: str = "") -> Markup:
    """The HTML of a grid.

    Args:
        tiles: The images.
        more: The page of the list that they are.
        kind: A word for the style sheet: `close` for close-ups.
    """
    return render("tiles.html", tiles=tiles, more=more, kind=kind)
