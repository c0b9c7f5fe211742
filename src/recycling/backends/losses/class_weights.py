"""How much each class counts in a loss: given by name, or the inverse of its frequency."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from recycling.backends.losses.core import Loss, LossError


def class_weights(
    loss: Loss,
    classes: Sequence[str],
    count: Callable[[], Sequence[int]],
    counted: str = "annotation",
) -> list[float] | None:
    """The weight of each class.

    Args:
        loss: The settings.
        classes: The names of the classes, in order.
        count: Gives how often each class is in the training data; asked for ``balanced`` only.
        counted: What is counted, for a message.

    Returns:
        A weight a class, in order; None where all count alike.

    Raises:
        LossError: A weight is of no class, missing or below 0; or a class that is to be balanced
            is nowhere.

    >>> loss = Loss(name="dice", class_weights="balanced")
    >>> class_weights(loss, ["Paper", "Metal"], lambda: [4, 1])
    [0.4, 1.6]
    """
    given = getattr(loss, "class_weights", None)
    if given is None:
        return None
    if given == "balanced":
        return _balanced(classes, count(), counted)
    known = ", ".join(classes)
    for name in given:
        if name not in classes:
            raise LossError(f"class_weights: no class {name!r}; there are {known}")
        if not 0 <= given[name] < float("inf"):
            raise LossError(f"class_weights: {given[name]} of {name!r}; give 0 or more")
    for name in classes:
        if name not in given:
            raise LossError(f"class_weights: no weight for {name!r}; give each class one")
    return [float(given[name]) for name in classes]


def _balanced(classes: Sequence[str], counts: Sequence[int], counted: str) -> list[float]:
    """The inverse of each count, 1 on average."""
    for name, n in zip(classes, counts, strict=True):
        if n == 0:
            raise LossError(
                f"class_weights is 'balanced', but no {counted} to learn from is of {name!r}; give "
                "weights by name, or leave the category out"
            )
    inverse = [1 / n for n in counts]
    mean = sum(inverse) / len(inverse)
    return [weight / mean for weight in inverse]
