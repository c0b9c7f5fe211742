"""What an ensemble could be, and the problem of choosing among such ensembles."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic, Literal, TypeAlias, TypeVar, get_args, get_origin

import numpy as np
from numpy.typing import NDArray
from pydantic.fields import FieldInfo

from recycling.ensembling.calibration import NONE
from recycling.ensembling.members import EnsemblingError
from recycling.ensembling.methods import Method, Searched, SearchedNames
from recycling.registry import Entry, PickedSettings, Registry

Fused = TypeVar("Fused")

Setting: TypeAlias = float | str

ALONE = "alone"
"""The method of one member whose predictions are left as they are."""

DEFAULT = "default"
"""The method that is configured for ensembles that are not searched for, as it is configured."""

CALIBRATE = "calibrate"
"""The setting of a method that says how scores are made comparable before they are fused."""


@dataclass(frozen=True)
class Space:
    """What a search may try of one fusion method.

    Attributes:
        name: What it is called, as in the parameters of the ensembling pipeline.
        settings: What of its settings is searched, by name: a range of numbers, or words, the
            first of which is tried first.
        weighted: Whether members may count differently; where not, they are in or out.
        learns: What it takes from the truth: nothing, which member is better (for ties), their
            scores, or all labels. It is shown none of these of the part that is held out.
    """

    name: str
    settings: Mapping[str, Searched | tuple[str, ...]] = field(default_factory=dict)
    weighted: bool = True
    learns: Literal["nothing", "ranks", "scores", "labels"] = "nothing"

    def defaults(self) -> dict[str, Setting]:
        """What is tried first.

        >>> Space("nms", {"iou_threshold": Searched(0.3, 0.7, 0.05, first=0.55)}).defaults()
        {'iou_threshold': 0.55}
        """
        return {
            name: tried.first if isinstance(tried, Searched) else tried[0]
            for name, tried in self.settings.items()
        }


def space_of(entry: Entry[Method]) -> Space:
    """What a search may try of a method: its settings of a few words, and those marked `Searched`.

    Args:
        entry: Of a registry of fusion methods.

    Example:
        >>> from recycling.ensembling import CLASS_METHODS
        >>> space = space_of(CLASS_METHODS["hard_vote"])
        >>> space.weighted, space.learns
        (False, 'ranks')
    """
    fields = entry.settings.model_fields
    tried = {name: _tried(setting) for name, setting in fields.items()}
    return Space(
        entry.name,
        {name: values for name, values in tried.items() if values},
        weighted="weights" in fields,
        learns=entry.thing.learns,
    )


def _tried(setting: FieldInfo) -> Searched | tuple[str, ...] | None:
    for mark in setting.metadata:
        if isinstance(mark, Searched):
            return mark
        if isinstance(mark, SearchedNames):
            return tuple(sorted(mark.names, key=lambda name: bool(name != setting.default)))
    words = get_args(setting.annotation)
    if get_origin(setting.annotation) is not Literal or len(words) == 1:
        return None
    return tuple(sorted(words, key=lambda word: bool(word != setting.default)))


@dataclass(frozen=True)
class Candidate:
    """An ensemble that could be chosen: who is in it, and how it is fused.

    Make it by `candidate`, so that two that mean the same are equal.

    Attributes:
        method: The name of a method.
        weights: Name and weight of each member, by name; whole numbers without a common divisor.
        settings: Name and value of each setting, by name.
    """

    method: str
    weights: tuple[tuple[str, int], ...]
    settings: tuple[tuple[str, Setting], ...] = ()

    @property
    def members(self) -> tuple[str, ...]:
        """Who is in it."""
        return tuple(name for name, _ in self.weights)

    @property
    def calibrate(self) -> str:
        """How its members' scores are made comparable before they are fused."""
        return str(dict(self.settings).get(CALIBRATE, NONE))

    def to_dict(self) -> dict[str, Any]:
        """As a dictionary that JSON can hold."""
        return {
            "method": self.method,
            "weights": dict(self.weights),
            "settings": dict(self.settings),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Candidate:
        """From what `to_dict` gave.

        Raises:
            EnsemblingError: A key is missing or unknown.
        """
        expected = ("method", "weights", "settings")
        if set(content) != set(expected):
            raise EnsemblingError(
                f"an ensemble with the keys {', '.join(sorted(map(str, content)))}; "
                f"there should be {', '.join(expected)}"
            )
        return candidate(Space(content["method"]), content["weights"], content["settings"])


def settings_of(chosen: Candidate, registry: Registry[Method]) -> PickedSettings:
    """A candidate as the settings of its method, its weights among them where it takes some.

    Example:
        >>> from recycling.ensembling import CLASS_METHODS
        >>> settings_of(candidate(Space("mean"), {"a": 2, "b": 1}), CLASS_METHODS)
        MeanSettings(method='mean', weights={'a': 2.0, 'b': 1.0}, calibrate='none')
    """
    entry = registry[chosen.method]
    space = space_of(entry)
    content: dict[str, Any] = {"method": chosen.method}
    for name, value in chosen.settings:
        # Every setting of a method is drawn; one that means nothing beside the others is left out.
        tried = space.settings.get(name)
        need = tried.only_with if isinstance(tried, Searched) else None
        if need is None or need in chosen.settings:
            content[name] = value
    if space.weighted:
        content["weights"] = dict(chosen.weights)
    settings = entry.settings.model_validate(content)
    assert isinstance(settings, PickedSettings)
    return settings


def candidate(
    method: Space,
    weights: Mapping[str, int],
    settings: Mapping[str, Setting] | None = None,
) -> Candidate:
    """An ensemble, in the one form that all equal ones share.

    Args:
        method: How it is fused.
        weights: How much each member counts, from 0 up; 0 is out. Only the ratio matters; for a
            method without weights, only who is in.
        settings: Of the method; None for those that are tried first.

    Raises:
        EnsemblingError: No member is in, or a weight is below 0.

    Example:
        >>> candidate(Space("mean"), {"b": 4, "c": 0, "a": 2}).weights
        (('a', 1), ('b', 2))
    """
    below = [name for name, weight in weights.items() if weight < 0]
    if below:
        raise EnsemblingError(f"{below[0]}: weight {weights[below[0]]}; a weight is from 0 up")
    counting = {
        name: weight if method.weighted else 1 for name, weight in weights.items() if weight
    }
    if not counting:
        raise EnsemblingError(
            f"no member has a weight above 0 ({', '.join(weights)}); one at least must count"
        )
    divisor = math.gcd(*counting.values())
    values = method.defaults() if settings is None else settings
    return Candidate(
        method.name,
        tuple(sorted((name, weight // divisor) for name, weight in counting.items())),
        tuple(sorted(values.items())),
    )


ScoreOfDraws: TypeAlias = Callable[[NDArray[np.int64]], NDArray[np.float64]]
"""Scores of draws of images: (draws, images) how often each was drawn, to (draws,) scores."""


@dataclass(frozen=True)
class Judge(Generic[Fused]):
    """Scores taken image by image: of a part, and of images that are drawn from it.

    Attributes:
        scores: What gives, for fused predictions, the score of any draw of the images.
        part: (images,), the index of the part that each is in.
        group: (images,), a number that is the same for images that are drawn together.
    """

    scores: Callable[[Fused], ScoreOfDraws]
    part: NDArray[np.int64]
    group: NDArray[np.int64]

    @property
    def unit(self) -> str:
        """What is drawn, and how many there are: ``400 images``."""
        n_groups = len(np.unique(self.group))
        return f"{n_groups} {'images' if n_groups == len(self.group) else 'groups of images'}"

    def groups_in(self, part: int) -> int:
        """How many groups a part holds."""
        return len(np.unique(self.group[self.part == part]))

    def of_parts(self, fused: Fused, n_parts: int) -> NDArray[np.float64]:
        """(parts,), the score of each part."""
        return self.scores(fused)((self.part == np.arange(n_parts)[:, None]).astype(np.int64))

    def draw(self, part: int, n_draws: int, seed: int = 0) -> NDArray[np.int64]:
        """(draws, images), how often each image is drawn where groups of a part are."""
        inside = self.part == part
        groups, of_image = np.unique(self.group[inside], return_inverse=True)
        chances = np.full(len(groups), 1 / len(groups))
        rng = np.random.default_rng([seed, part])
        times = np.zeros((n_draws, len(self.part)), dtype=np.int64)
        times[:, inside] = rng.multinomial(len(groups), chances, size=n_draws)[:, of_image]
        return times


@dataclass(frozen=True)
class Problem(Generic[Fused]):
    """Members to choose from, and parts of the images to choose and to score on.

    Attributes:
        names: The members, by name.
        methods: The ways to fuse them; the first is greedy selection's.
        folds: What each part is called.
        parts: The ids of the images (of the crops, for classes) in each part.
        fuse: The fused predictions for all parts, given the ensemble, the index of the part that
            is held out (None where none is) and the score of every member on the other parts, the
            best first; nothing of what it is given comes from the truth of that part. What learns
            from labels makes the predictions of the part that is held out without its truth, and
            each other part's without that and its own. The method `ALONE` gives a member's
            predictions as they are, `DEFAULT` is the one that is configured.
        score: How good fused predictions are on the images of a part, the higher the better; None
            where `judge` says it.
        default: The method that is configured, called `DEFAULT`; None for the first of `methods`.
        judge: Gives scores image by image, of which a difference's standard error is taken.
    """

    names: tuple[str, ...]
    methods: tuple[Space, ...]
    folds: tuple[int, ...]
    parts: tuple[NDArray[np.int64], ...]
    fuse: Callable[[Candidate, int | None, Mapping[str, float]], Fused]
    score: Callable[[Fused, NDArray[np.int64]], float] | None = None
    default: Space | None = None
    judge: Judge[Fused] | None = None

    def __post_init__(self) -> None:
        if not self.names or not self.methods:
            raise EnsemblingError("no members or no methods to choose from; give one at least")
        if list(self.names) != sorted(set(self.names)):
            raise EnsemblingError(f"members {', '.join(self.names)}; name each once, in order")
        if len(self.parts) < 2 or len(self.folds) != len(self.parts):
            raise EnsemblingError(
                f"{len(self.parts)} parts and {len(self.folds)} names of parts; an ensemble is "
                "chosen on some and scored on another: give 2 or more (`parts_of` makes them)"
            )
        if self.score is None and self.judge is None:
            raise EnsemblingError("nothing says how good an ensemble is; give `score` or `judge`")

    @cached_property
    def spaces(self) -> Mapping[str, Space]:
        """Every method that an ensemble may have, by name."""
        every = [*self.methods, Space(ALONE)]
        return {space.name: space for space in [*every, *([self.default] if self.default else [])]}

    def as_default(self, names: tuple[str, ...]) -> Candidate:
        """These members, fused as it is configured.

        >>> problem = Problem(("a", "b"), (Space("mean"),), (0, 1), (np.array([1]),) * 2, max, max)
        >>> problem.as_default(problem.names)
        Candidate(method='mean', weights=(('a', 1), ('b', 1)), settings=())
        """
        return candidate(self.default or self.methods[0], dict.fromkeys(names, 1))

    def scores(self, fused: Fused) -> NDArray[np.float64]:
        """(parts,), how good fused predictions are on each part."""
        if self.judge is not None:
            return self.judge.of_parts(fused, len(self.parts))
        assert self.score is not None
        return np.array([float(self.score(fused, part)) for part in self.parts])
