"""What a page is given: what there is, and the address that is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from markupsafe import Markup

from recycling.viewer.addresses import Address
from recycling.viewer.core import Category, ImageSet, ViewerError
from recycling.viewer.holdings import Holdings
from recycling.viewer.images import SCREEN, THUMBNAIL


@dataclass(frozen=True)
class View:
    """One page in one state.

    Attributes:
        holdings: What the catalog holds.
        address: What is asked for.
        refresh: Builds the page anew, in the same state.
    """

    holdings: Holdings
    address: Address
    refresh: Callable[[], None]

    def html(self, content: Markup) -> None:
        """Put HTML on the page; data in it has been escaped by the templates."""
        from nicegui import ui

        ui.html(content, sanitize=False)

    def say(self, text: str) -> None:
        """Put a sentence on the page."""
        from nicegui import ui

        ui.label(text).classes("sentence")

    def title(self, text: str) -> None:
        """The heading of the page, and of the browser's tab."""
        from nicegui import ui

        ui.page_title(f"{text} · recycling")
        with ui.element("h1"):
            ui.label(text)

    def go(self, *resets: str, **changes: object) -> None:
        """Go to another state of this page; its lists begin anew.

        Args:
            resets: Keys that mean nothing there.
            changes: What differs; None takes away.
        """
        from nicegui import ui

        ui.navigate.to(self.address.link(None, **{**dict.fromkeys(("page", *resets)), **changes}))

    def image_set(self, key: str = "set") -> ImageSet:
        """The set of images that is asked for, or the first.

        Raises:
            ViewerError: There is none.
        """
        name = self.address.text(key)
        if name is None:
            names = self.holdings.image_sets
            if not names:
                raise ViewerError("no annotations yet; kedro run makes them")
            name = names[0]
        return self.holdings.image_set(name)

    def category(self, images: ImageSet, key: str = "category") -> Category | None:
        """The category that is asked for by its name; None where none is.

        Raises:
            ViewerError: There is no such category.
        """
        by_name = {category.name: category for category in images.categories.values()}
        name = self.address.one_of(key, list(by_name))
        return None if name is None else by_name[name]


def image_address(images: ImageSet, image_id: int, *, full: bool = False) -> str:
    """Where the server gives an image: by set and id, never by a path.

    Args:
        images: The set.
        image_id: The image.
        full: Whether it is to fill the screen.
    """
    side = SCREEN if full else THUMBNAIL
    return f"/images/{quote(images.name)}/{image_id}/{side}"


def neighbours(ids: Sequence[int], number: int) -> tuple[int | None, int | None]:
    """The ids before and after one, of images or annotations.

    >>> neighbours([3, 5, 8], 5), neighbours([3, 5, 8], 8)
    ((3, 8), (5, None))
    """
    if number not in ids:
        return None, None
    index = list(ids).index(number)
    return (ids[index - 1] if index else None), (ids[index + 1] if index + 1 < len(ids) else None)


def link_to(address: Address, key: str, value: int | None, **changes: object) -> str | None:
    """The address of an image or annotation by its id, which may be 0; None of none.

    >>> link_to(Address("/image"), "id", 0), link_to(Address("/image"), "id", None)
    ('/image?id=0', None)
    """
    return None if value is None else address.link(None, **{key: value, **changes})
