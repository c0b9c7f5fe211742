"""One entry of `models.yml` that stands for several models: seeds, image sizes, snapshots."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from pydantic import Field, ValidationError

from recycling.backends import Model
from recycling.plan.parameters import PlanError, faults
from recycling.registry import Settings

START = "model:"


class Variants(Settings):
    """What one entry lists of several models; all else is the same for all.

    Attributes:
        seeds: One model for each; `NAME_seed1`. The one of `seed`, or the first, is `NAME`.
        image_sizes: One model for each; `NAME_size160`. The one of `image_size`, or the first, is
            `NAME`.
        snapshots: How many equal cycles the learning rate has, each from its top to its lowest;
            the weights at the end of each are a model: `NAME_snapshot1`, `NAME_snapshot2`, and
            `NAME` itself, the last.
    """

    seeds: tuple[int, ...] | None = Field(None, min_length=1)
    image_sizes: tuple[int, ...] | None = Field(None, min_length=1)
    snapshots: int | None = Field(None, ge=2)


def with_variants(models: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Every model by itself: an entry that lists seeds, image sizes or snapshots becomes several.

    An entry that lists seeds or image sizes and starts from another model (`model:NAME`)
    starts from that one's variant of the same seed and size; where there is none, of the same seed;
    where there is none, of the same size; else from NAME.

    Args:
        models: The section `models`, as it is written.
        where: The file, for messages.

    Raises:
        PlanError: A list is not one, or a variant is called as another model is.

    Example:
        >>> list(with_variants({"fcn": {"seeds": [0, 1]}, "fcos": {"snapshots": 2}}, "models.yml"))
        ['fcn', 'fcn_seed1', 'fcos', 'fcos_snapshot1']
    """
    found: dict[str, Any] = {}
    variants: dict[str, _Variant] = {}
    for name, entry in models.items():
        expanded = (
            _variants(str(name), entry, where) if isinstance(entry, Mapping) else [("", entry)]
        )
        for suffix, settings in expanded:
            own = f"{name}{suffix}"
            if own in found or (suffix and own in models):
                raise PlanError(
                    f"{where}: models.{own}: there is an entry of that name, and models.{name} "
                    "stands for a model that is called so too; rename one"
                )
            found[own] = settings
            if isinstance(entry, Mapping):
                variants[own] = _variant(str(name), entry, settings)
    for own, variant in variants.items():
        prefix, _, start = str(found[own].get("pretrained")).partition(START)
        if variant.is_listed and not prefix and start in variants:
            found[own] = {**found[own], "pretrained": START + _alike(variant, start, variants)}
    return found


@dataclass(frozen=True)
class _Variant:
    """What a model is among those of its entry.

    Attributes:
        of: The entry's name, which is that of its plain model.
        seed, image_size, snapshot: Its settings.
        is_listed: Whether its entry lists seeds or image sizes.
    """

    of: str
    seed: Any
    image_size: Any
    snapshot: int | None
    is_listed: bool


def _variant(name: str, entry: Mapping[str, Any], own: Mapping[str, Any]) -> _Variant:
    return _Variant(
        name,
        own.get("seed", Model.model_fields["seed"].default),
        own.get("image_size"),
        own.get("snapshot"),
        is_listed=any(entry.get(key) is not None for key in ("seeds", "image_sizes")),
    )


def _alike(own: _Variant, start: str, variants: Mapping[str, _Variant]) -> str:
    """The model most like another one among those of the entry that it starts from."""
    named = variants[start]
    plain = replace(variants[named.of], snapshot=named.snapshot)
    if named != plain:  # it is one of the variants that is named
        return start
    wanted = (
        replace(plain, seed=own.seed, image_size=own.image_size),
        replace(plain, seed=own.seed),
        replace(plain, image_size=own.image_size),
    )
    alike = (name for each in wanted for name, variant in variants.items() if variant == each)
    return next(alike, start)


def _variants(
    name: str, entry: Mapping[str, Any], where: str
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each model that an entry stands for, and what is added to its name."""
    given = {key: entry[key] for key in Variants.model_fields if entry.get(key) is not None}
    if not given:
        yield "", entry
        return
    try:
        variants = Variants.model_validate(given)
    except ValidationError as error:
        raise PlanError(faults(error, f"{where}: models.{name}", Variants)) from error
    rest = {key: value for key, value in entry.items() if key not in Variants.model_fields}
    seeds = _listed(name, "seed", variants.seeds, entry, where)
    sizes = _listed(name, "image_size", variants.image_sizes, entry, where)
    for (size_suffix, size), (seed_suffix, seed) in product(sizes, seeds):
        suffix = size_suffix + seed_suffix
        own = {
            **rest,
            **size,
            **seed,
            **({"variant_of": name + size_suffix} if seed_suffix else {}),
        }
        if variants.snapshots is None:
            yield suffix, own
            continue
        own |= {"snapshots": variants.snapshots, "schedule": _cycles(own, variants.snapshots)}
        yield suffix, own
        for number in range(1, variants.snapshots):
            # A twin is of the training, which a snapshot is only a part of.
            of_training = {"snapshot": number, "variant_of": name + suffix, "control": False}
            yield f"{suffix}_snapshot{number}", own | of_training


def _listed(
    name: str, key: str, values: tuple[int, ...] | None, entry: Mapping[str, Any], where: str
) -> list[tuple[str, dict[str, int]]]:
    """What is added to the name, and the setting, for each value of a list; the plain one first."""
    if values is None:
        return [("", {})]
    first = entry.get(key, values[0])
    if first not in values or len(set(values)) < len(values):
        fault = "has one twice" if first in values else f"leaves out {key} {first}"
        raise PlanError(f"{where}: models.{name}.{key}s {fault}; list each once, {first} as well")
    short = key.removeprefix("image_")
    return [("", {key: first})] + [
        (f"_{short}{value}", {key: value}) for value in values if value != first
    ]


def _cycles(entry: Mapping[str, Any], n: int) -> Any:
    """A cosine becomes one of `n` cycles; other schedules are left for the settings to refuse."""
    schedule = entry.get("schedule") or {}
    if not isinstance(schedule, Mapping) or schedule.get("name", "cosine") != "cosine":
        return schedule
    return {**schedule, "name": "cosine_restarts", "restarts": n - 1}
