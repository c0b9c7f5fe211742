"""What differs in how two sides were made, and what has to be read with their scores."""

from __future__ import annotations

from recycling.experiments import differences, in_lines, verdict_on
from recycling.experiments.differences import OWN
from recycling.sides.core import OUT_OF_FOLD, Part, Side


def what_differs(first: Side, other: Side) -> tuple[dict[str, list[str]], str]:
    """What differs in how two sides were made.

    Returns:
        Lines by whether it was on purpose or came along, and what may be said given all of it.
    """
    if first.facts is None or other.facts is None:
        return {}, "how a file was made is not known"
    found = differences(first.facts, other.facts)
    lines = {
        title: in_lines(each for each in found if each.on_purpose is on_purpose)
        for title, on_purpose in (("on purpose", True), ("came along", False))
    }
    return {title: own for title, own in lines.items() if own}, verdict_on(found)


def chosen_epoch(side: Side, part: Part) -> list[str]:
    """That a model was judged by what chose its epoch, where it was."""
    settings = {} if side.facts is None else side.facts.settings
    name = f"{OWN}early_stopping"
    stops = any(key.startswith(name) and value is not None for key, value in settings.items())
    if part != OUT_OF_FOLD or not stops:
        return []
    return [
        f"{side.label} stopped early by what it scores on these images (early_stopping): its score "
        "is too good by what that gains"
    ]
