"""How often the samples of rare classes are seen in an epoch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from difflib import get_close_matches

from recycling.backends.core import BackendError
from recycling.backends.shared.model import Model


def check_sampled(
    model: Model, names: Sequence[str], present: Collection[str], sample: str
) -> None:
    """Refuse to draw or copy a category that there is not, or that no sample holds.

    Args:
        model: The settings.
        names: The categories.
        present: Those that a sample holds.
        sample: What a sample is called.

    Raises:
        BackendError: There is one.
    """
    wanted = names if model.sampler.copies is None else list(model.sampler.copies)
    for name in wanted:
        if name not in names:
            near = get_close_matches(name, names)
            known = f"did you mean {', '.join(near)}?" if near else f"there are {', '.join(names)}"
            raise BackendError(
                f"model {model.recipe!r}: sampler.copies: no category {name!r}; {known}"
            )
    missing = [name for name in wanted if name not in present]
    if missing:
        raise BackendError(
            f"model {model.recipe!r}: sampler {model.sampler.name!r}: no training {sample} holds "
            f"{', '.join(missing)}; choose other folds, drop the category or use repeat_factor"
        )


def copies_by_class(model: Model, names: Iterable[str]) -> list[int] | None:
    """The copies that a model's sampler asks for, in the order of class indices, if it says so."""
    given = model.sampler.copies
    return None if given is None else [given.get(name, 1) for name in names]


def repeats_of(samples: Sequence[set[int]], copies: Sequence[int] | None) -> list[int]:
    """How often each sample is seen: as often as the class in it that asks for the most.

    Args:
        samples: The classes that each sample holds.
        copies: Of each class, in order; None makes all about as frequent as the most frequent one.

    >>> repeats_of([{0}, {0}, {0, 1}, set()], copies=None)
    [1, 1, 3, 1]
    >>> repeats_of([{0}, {0, 1}], copies=[2, 5])
    [2, 5]
    """
    if copies is None:
        counts = Counter(index for classes in samples for index in classes)
        most = max(counts.values(), default=1)
        by_class = {index: round(most / n) for index, n in counts.items()}
    else:
        by_class = dict(enumerate(copies))
    return [max((by_class.get(index, 1) for index in classes), default=1) for classes in samples]
