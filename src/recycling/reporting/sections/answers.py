"""What a reader asks first, answered from the numbers of a run: sentences with their reasons."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

import pandas as pd
from markupsafe import Markup

from recycling.diagnostics import Disagreement
from recycling.errors import command, listed
from recycling.evaluation import Metrics
from recycling.experiments import Effect
from recycling.reporting.confusions import OUTSIDE
from recycling.reporting.pages import render_heading, render_list
from recycling.reporting.panels.confusion import confusion_sentences
from recycling.reporting.scores import TITLES, Scored, Summary, ranked

_OBJECTS = {"cls": "crops", "det": "boxes", "seg": "pixels"}
_HARD = 3  # classes that are named
_SMALL, _WAITS = 0.7, 0.2
"""Of the score of all boxes, below which small ones are a problem; of a step, waiting for data."""


@dataclass(frozen=True)
class Results:
    """What a run, and those before it, have left; what is not there is empty.

    Attributes:
        summary: The scores by task.
        explanations: By task, those of the final ensemble: its metrics and its members', of
            held-out images where there are any.
        on_test: By task, the final ensemble's metrics on the test images.
        contributions: By task; schema `recycling.diagnostics.CONTRIBUTIONS`.
        class_gains: By task; schema `recycling.diagnostics.CLASS_GAINS`.
        confusions: By task; schema `recycling.diagnostics.DISAGREEMENT`, the truth first.
        effects: What pseudo-labels did to students, beside twins without, by task.
        models: The settings of each model as `models.yml` has them.
        trainings: By name of task, model and fold what its checkpoint says.
        counts: Objects by class.
        label_errors: How many labels are likely wrong; None where nothing looked for them.
        env: The environment of the run.
    """

    summary: Summary = field(default_factory=dict)
    explanations: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    on_test: Mapping[str, Metrics] = field(default_factory=dict)
    contributions: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    class_gains: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    confusions: Mapping[str, Disagreement] = field(default_factory=dict)
    effects: Mapping[str, Sequence[Effect]] = field(default_factory=dict)
    models: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    trainings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    label_errors: int | None = None
    env: str | None = None

    @property
    def tasks(self) -> list[str]:
        """Those with a score, in the order in which they are shown."""
        return [task for task in TITLES if task in self.summary]


def answers(results: Results) -> list[Markup]:
    """The questions, each with its answers by task."""
    pieces = []
    for question, answer in _QUESTIONS.items():
        lines = [
            f"{TITLES[task]}: {line}" for task in results.tasks for line in answer(results, task)
        ]
        if answer is what_next:
            lines += list(_next_for_all(results))
        if lines:
            pieces += [render_heading(question), render_list(lines)]
    return pieces


def best_of_all(results: Results, task: str) -> Iterator[str]:
    """Whether an ensemble or a model is best, and whether the other may be as good.

    >>> scores = {"metric": "mAP50", "members": {"yolox.fold0": 0.5}, "ensemble": 0.6}
    >>> next(best_of_all(Results(summary={"det": scores}), "det")).partition("; ")[0]
    'best on the test images is the ensemble final, mAP50 0.6000'
    """
    scores = results.summary[task]
    rows = [row for row in ranked(scores) if row.score is not None]
    if not rows:
        yield from _held_out(results, task)
        return
    best = rows[0]
    other = next((row for row in rows if (row.kind == "member") != (best.kind == "member")), None)
    name = f"{_kind(best)} {_called(best)}"
    said = f"best on the test images is the {name}, {scores['metric']} {_scored(best)}"
    if other is not None:
        said += f"; the best {_kind(other)} is {_called(other)}, {_scored(other)}"
        if _overlap(best, other):
            said += "; other images may have it the other way round"
    yield said


def best_for_small(results: Results, task: str) -> Iterator[str]:
    """Which model, and which ensemble, finds small objects best.

    >>> scores = {"metric": "mAP50", "members": {"yolox": 0.5}, "ensemble": 0.6}
    >>> scores["sizes"] = {"yolox": {"small": 0.25}}
    >>> list(best_for_small(Results(summary={"det": scores}), "det"))
    ['yolox is the best model for small objects: mAP50 0.250 of them']
    """
    scores = results.summary[task]
    rows = [row for row in ranked(scores) if "small" in row.sizes]
    if not rows:
        if task == "det":
            yield "the test images have no small object with a label"
        return
    rows.sort(key=lambda row: -row.sizes["small"])
    for title, own in (
        ("model", [row for row in rows if row.kind == "member"]),
        ("ensemble", [row for row in rows if row.kind != "member"]),
    ):
        if own:
            best = own[0]
            worse = [row for row in own if row.sizes["small"] < best.sizes["small"]]
            beside = "".join(f"; then {_called(r)} ({r.sizes['small']:.3f})" for r in worse[:1])
            yield (
                f"{_called(best)} is the best {title} for small objects: {scores['metric']} "
                f"{best.sizes['small']:.3f} of them{beside}"
            )


def what_is_wrong(results: Results, task: str) -> Iterator[str]:
    """The classes that the final ensemble is worst at, what it confuses, and where it loses.

    >>> final = {"out_of_fold": True, "ensemble": {"per_class": {"Glass": 0.5, "Battery": 0.1}}}
    >>> on_test = Metrics("mAP50", 0.5, {"Glass": 0.2, "Battery": 0.7}, {})
    >>> both = Results(explanations={"det": final}, on_test={"det": on_test})
    >>> next(what_is_wrong(both, "det")).removeprefix("the final ensemble is ")
    'worst at Glass (0.50 held out, 0.20 on test), Battery (0.10 held out, 0.70 on test)'
    """
    worst = _worst_first(results, task)[:_HARD]
    images = _explained_on(results, task)
    if worst:
        counts = _explained_objects(results, task)
        yield "the final ensemble is worst at " + listed(
            f"{name} ({_numbers(scores)}{counts.get(name, '')})" for name, scores in worst
        )
    if task in results.confusions:
        yield from confusion_sentences(results.confusions[task], f"{images} {_OBJECTS[task]}")
    if task in results.class_gains:
        gains = results.class_gains[task]
        lost = gains[gains["over_best"] < -0.005].sort_values("over_best")
        if len(lost):
            yield f"on {images} images it is below the best member in " + listed(
                (f"{row['category']} ({row['over_best']:+.2f})" for row in lost.to_dict("records")),
                _HARD,
            )


def did_pseudo_labels_help(results: Results, task: str) -> Iterator[str]:
    """What students gain beside twins, or what can be said without.

    >>> scores = {"metric": "mAP50", "members": {}, "ensemble": 0.6}
    >>> effect = {"sentence": "pseudo-labels, yolox: +0.02.", "seeds": 3, "images": 52}
    >>> results = Results(summary={"det": scores}, effects={"det": [effect]})
    >>> next(did_pseudo_labels_help(results, "det")).partition("; ")[0]
    'pseudo-labels, yolox: +0.02, on 52 held-out images'
    """
    effects = results.effects.get(task, ())
    for effect in effects:
        yield (
            f"{effect['sentence'].rstrip('.')}, on {effect['images']} held-out images; beside its "
            "twin, which learns from labels alone and is in no ensemble"
        )
    if effects:
        return
    members = results.summary[task]["members"]
    for name, score in members.items():
        model, _, fold = name.partition(".")
        settings = results.models.get(model, {})
        first = str(settings.get("pretrained")).removeprefix("model:") + f".{fold}"
        before = members.get(first)
        if "+" in str(settings.get("train_on")) and score is not None and before is not None:
            yield (
                f"{name} has {score - before:+.4f} over {first}, which it starts from; it has also "
                "trained longer, and only a twin (control: true) tells which of both it was"
            )


def what_next(results: Results, task: str) -> Iterator[str]:
    """What the numbers speak for, with the number.

    >>> final = {"ensemble": {"per_class": {"Glass": 0.5, "Battery": 0.1}}}
    >>> list(what_next(Results(explanations={"det": final}, counts={"Battery": 12}), "det"))
    ['more examples of Battery, of which there are 12: the final ensemble scores 0.10 on test']
    """
    final = results.explanations.get(task, {}).get("ensemble", {})
    details = final.get("details", {})
    for name, scores in _worst_first(results, task)[:1]:
        number = f", of which there are {results.counts[name]:,}" if name in results.counts else ""
        yield f"more examples of {name}{number}: the final ensemble scores {_numbers(scores)}"
    small, overall = details.get(f"{final.get('metric')}_small"), final.get("score")
    if small is not None and overall and small < _SMALL * overall:
        yield f"a larger image_size: small objects score {small:.2f}, all {overall:.2f}"
    if task in results.contributions:
        table = results.contributions[task]
        idle = table[table["contribution"] <= 0]
        if len(idle) and len(table) > 1:
            yield (
                f"another kind of model in place of {listed(idle['member'])}: without it the final "
                f"ensemble is as good on {_explained_on(results, task)} images, or better"
            )
    for effect in results.effects.get(task, ()):
        if effect["seeds"] == 1:
            yield "more seeds of the student and its twin (seeds): one says nothing of other ones"


def _next_for_all(results: Results) -> Iterator[str]:
    slow = {
        name: facts["waiting_share"]
        for name, facts in results.trainings.items()
        if (facts.get("waiting_share") or 0) > _WAITS  # None: of one step nothing is known
    }
    if slow:
        name, share = max(slow.items(), key=lambda item: item[1])
        yield f"more workers, or a cache: {name} waited for data in {share:.0%} of its time"
    if results.label_errors is None and results.summary:
        look = command("run --pipelines label_errors", results.env)
        yield f"a look at labels that models contradict: {look}"


def _kind(row: Scored) -> str:
    return "model" if row.kind == "member" else "ensemble"


def _called(row: Scored) -> str:
    """A name that stands in a sentence."""
    names = {"ensemble": "final", "ensemble, first round": "teacher"}
    return names.get(row.name, row.name.removeprefix("ensemble "))


def _scored(row: Scored) -> str:
    between = "" if row.interval is None else " ({:.3f} to {:.3f})".format(*row.interval)
    return f"{row.score:.4f}{between}"


def _overlap(first: Scored, second: Scored) -> bool:
    """Whether the intervals of two scores have something in common, as far as both are known."""
    if first.interval is None or second.interval is None:
        return False
    return max(first.interval[0], second.interval[0]) <= min(first.interval[1], second.interval[1])


def _held_out(results: Results, task: str) -> Iterator[str]:
    """Of test images without labels nothing is known; held-out images say who is best."""
    explanation = results.explanations.get(task, {})
    members = explanation.get("members", {})
    known = {name: own for name, own in members.items() if own["score"] is not None}
    ensemble = explanation.get("ensemble", {})
    if known and ensemble.get("score") is not None:
        name, best = max(known.items(), key=lambda item: item[1]["score"])
        yield (
            f"the test images have no labels; on held-out ones the final ensemble has "
            f"{ensemble['metric']} {ensemble['score']:.4f}, the best model, {name}, "
            f"{best['score']:.4f}"
        )


def _explained_on(results: Results, task: str) -> str:
    """The images that the explanation is of."""
    return "held-out" if results.explanations.get(task, {}).get("out_of_fold") else "test"


def _explained_objects(results: Results, task: str) -> dict[str, str]:
    """How many objects of each class the explanation is of, in words; pixels are no objects."""
    if task == "seg" or task not in results.confusions:
        return {}
    table = results.confusions[task]
    counts = table[~table["first"].isin(OUTSIDE)].groupby("first")["count"].sum()
    said = f"{_explained_on(results, task)} {_OBJECTS[task]}"
    return {str(name): f"; {count:,} {said}" for name, count in counts.items()}


def _worst_first(results: Results, task: str) -> list[tuple[str, dict[str, float]]]:
    """The final ensemble's scores of each class, held out and on test, as far as they are known.

    A class counts by their mean: few objects of it may be held out, or be in the test images.
    """
    where = "held out" if _explained_on(results, task) == "held-out" else "on test"
    found = {where: results.explanations.get(task, {}).get("ensemble", {}).get("per_class", {})}
    if task in results.on_test:
        found["on test"] = results.on_test[task].per_class
    scores: dict[str, dict[str, float]] = {}
    for where, per_class in found.items():
        for name, score in per_class.items():
            scores.setdefault(name, {})[where] = score
    return sorted(scores.items(), key=lambda item: fmean(item[1].values()))


def _numbers(scores: Mapping[str, float]) -> str:
    return ", ".join(f"{score:.2f} {where}" for where, score in scores.items())


_QUESTIONS = {
    "What is best?": best_of_all,
    "Which is best for small objects?": best_for_small,
    "What does the final ensemble get wrong?": what_is_wrong,
    "Did pseudo-labels help?": did_pseudo_labels_help,
    "What to try next?": what_next,
}
