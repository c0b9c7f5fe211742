"""What is known of the noise between seeds, beside a difference of one training a side."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import cast

from recycling.errors import command, listed
from recycling.experiments import Effect, Facts, Manifest, Noise, differences, noise_sentence
from recycling.experiments.differences import OWN, RECIPE_FILE, settings_of
from recycling.sides.core import TEST, Part, Side
from recycling.sides.seeds import entry_of
from recycling.sides.workplace import Workplace


def noise_lines(
    place: Workplace, sides: Sequence[Side], other: Side, effect: Effect, part: Part
) -> list[str]:
    """What is known of the noise between seeds, where one training a side is compared."""
    first = sides[0]
    if not (first.is_training and other.is_training) or effect["seeds"] > 1:
        return []
    if part == TEST:
        return ["how far another seed would have led is measured out of fold alone"]
    # The score of more folds moves less from seed to seed: its noise is another one.
    folds = sorted(frozenset.intersection(*(side.folds for side in sides if side.folds)))
    known = _noises(place, first.name, effect["metric"])
    if own := [(noise, run) for noise, run in known if noise["folds"] == folds]:
        noise, run = max(own, key=lambda each: each[0]["seeds"])
        return [noise_sentence(effect["difference"], noise) + _changed_since(run, first)]
    how = f"a study with seeds and folds: {folds} measures it"
    if len(folds) == 1:
        model = f"{first.task}.{first.name}"
        how = command(f"noise {model} --seeds 5 --fold {folds[0]}", place.env)
    if (entry := entry_of(first.name, place.parameters.get("models") or {})) != first.name:
        how = f"with seeds: [0, 1, 2], models.{entry} and its twin have a verdict"
    if not known:
        return [f"how far another seed would have led is not measured; {how}"]
    others = " and ".join(f"fold {listed(noise['folds'])}" for noise, _ in known)
    return [
        f"how far another seed would have led was measured on {others}, and does not hold "
        f"here; {how}"
    ]


def _noises(place: Workplace, model: str, metric: str) -> list[tuple[Noise, Manifest]]:
    """The noises that studies have measured on folds that are known, with their runs."""
    # Not of the pipelines alone: `kedro noise` is a study of its own run.
    made = {
        name: run
        for run in place.runs.all().values()
        for node in run.nodes
        for name in node.outputs
    }
    found = []
    for name, run in sorted(made.items()):
        if re.fullmatch(r"study\.\w+\.summary", name) and place.is_there(name, None):
            noise = place.load(name, None)["noise"]
            of = noise and (noise["model"], noise["metric"])
            if of == (model, metric) and "folds" in noise:
                found.append((cast(Noise, noise), run))
    return found


def _changed_since(run: Manifest, side: Side) -> str:
    """What is said after a noise that a run has measured with other settings than a side's."""
    entry = (run.parameters.get("models") or {}).get(side.name)
    now = {} if side.facts is None else side.facts.settings
    now = {key: now[key] for key in now if key.startswith(OWN) and key != RECIPE_FILE}
    if not now or not isinstance(entry, Mapping):
        return ""
    found = differences(Facts(settings_of(entry)), Facts(now))
    changed = [str(each) for each in found if each.on_purpose]
    return f"; it was measured with other settings ({listed(changed, 3)})" if changed else ""
