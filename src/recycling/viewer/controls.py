"""What a user chooses with: each control writes its value into the address.

What is chosen of one thing means nothing for another: a control names the keys that it takes away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from recycling.viewer.core import ImageSet
from recycling.viewer.predicted import Predicted
from recycling.viewer.views import View


def choice(
    view: View,
    key: str,
    options: Sequence[str] | Mapping[str, str],
    label: str,
    *,
    value: str | None = None,
    optional: bool = True,
    resets: Sequence[str] = (),
) -> None:
    """One of several, from a list that opens.

    Args:
        view: The page.
        key: In the address.
        options: What may be chosen, or by value what is shown.
        label: What it is called.
        value: What is chosen; None for nothing.
        optional: Whether nothing may be chosen.
        resets: Keys that were of what was chosen before.
    """
    from nicegui import ui

    shown = dict(options) if isinstance(options, Mapping) else {name: name for name in options}
    chosen = value if value in shown else None
    select = ui.select(
        shown,
        label=label,
        value=chosen,
        clearable=optional,
        with_input=len(shown) > 12,
        on_change=lambda event: view.go(*resets, **{key: event.value}),
    )
    select.props("dense outlined options-dense").classes("control").mark(key)


def image_set_choice(view: View, images: ImageSet) -> None:
    """Which set of images is shown."""
    names, resets = view.holdings.image_sets, ("fold", "group")
    choice(view, "set", names, "images", value=images.name, optional=False, resets=resets)


def category_choice(view: View, images: ImageSet) -> None:
    """One of the categories of a set of images."""
    names = [category.name for category in images.categories.values()]
    choice(view, "category", names, "category", value=view.address.text("category"))


def part_choice(view: View, predicted: Predicted) -> None:
    """Which images predictions are shown of: held-out ones or the test images."""
    parts, resets = predicted.parts, ("id", "box", "category")
    choice(view, "part", parts, "images", value=predicted.part, optional=False, resets=resets)


def choices(view: View, key: str, options: Sequence[str], label: str, value: Sequence[str]) -> None:
    """Several of several; arguments as for `choice`."""
    from nicegui import ui

    select = ui.select(
        list(options),
        label=label,
        value=[name for name in value if name in options],
        multiple=True,
        with_input=len(options) > 12,
        on_change=lambda event: view.go(**{key: ",".join(event.value or ())}),
    )
    select.props("dense outlined options-dense use-chips").classes("control several").mark(key)


def switch(view: View, key: str, label: str, value: bool) -> None:
    """On or off."""
    from nicegui import ui

    ui.switch(label, value=value, on_change=lambda e: view.go(**{key: int(e.value)})).mark(key)


def slider(view: View, key: str, label: str, value: float) -> None:
    """A number from 0 to 1; the page follows while it moves, the address when it is let go."""
    from nicegui import ui

    with ui.element("label").classes("slider"):
        ui.label(label)
        moved = ui.slider(min=0, max=1, step=0.01, value=value)
        moved.props(f'label aria-label="{label}"').mark(key)
        shown = ui.label(f"{value:.2f}").classes("number")
        shown.bind_text_from(moved, "value", lambda number: f"{number:.2f}")

        def follow(event: Any) -> None:
            view.go(**{key: f"{event.args:.2f}"})

        moved.on("update:model-value", js_handler="(value) => viewer.score(value)")
        moved.on("change", follow)


def field(
    view: View, key: str, label: str, value: str | None, *, resets: Sequence[str] = ()
) -> None:
    """A line of text, which Enter takes; arguments as for `choice`."""
    from nicegui import ui

    line = ui.input(label, value=value or "")
    line.props("dense outlined").classes("control typed").mark(key)
    line.on("keydown.enter", lambda: view.go(*resets, **{key: line.value.strip() or None}))
