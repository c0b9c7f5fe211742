"""Images in a grid, a page of it at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from markupsafe import Markup

from recycling.viewer.addresses import Address
from recycling.viewer.drawing import Layer, Shape
from recycling.viewer.markup import render

Item = TypeVar("Item")


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
        layers: Label maps that lie over it.
    """

    source: str
    width: int
    height: int
    title: str
    link: str
    shapes: Sequence[Shape] = ()
    lines: Sequence[str] = ()
    view: str | None = None
    layers: Sequence[Layer] = ()


@dataclass(frozen=True)
class Paginated(Generic[Item]):
    """One page of a long list.

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


def paginate(
    items: Sequence[Item], address: Address, what: str, per_page: int = 48
) -> Paginated[Item]:
    """The page of a list that an address asks for; the nearest where it asks for none there is.

    Args:
        items: The list.
        address: Says which page, as `page`.
        what: What the items are called, in the plural.
        per_page: How many a page has.

    >>> paginate([*range(100)], Address("/", {"page": "3"}), "images").items
    [96, 97, 98, 99]
    """
    pages = max(1, -(-len(items) // per_page))
    page = min(max(address.number("page", 1) or 1, 1), pages)
    shown = items[(page - 1) * per_page : page * per_page]
    return Paginated(shown, page, pages, len(items), what, lambda other: address.link(page=other))


def grid(tiles: Sequence[Tile], paginated: Paginated[Item] | None = None, kind: str = "") -> Markup:
    """The HTML of a grid.

    Args:
        tiles: The images.
        paginated: The page of the list that they are; None where they are all.
        kind: A word for the style sheet: `close` for close-ups.
    """
    return render("tiles.html", tiles=tiles, paginated=paginated, kind=kind)
