"""What each member of an ensemble is good for: tables, images, and one page that holds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial, wraps
from math import isnan, nan
from statistics import fmean
from types import GenericAlias
from typing import Any, TypeAlias, cast

import pandas as pd
from kedro.pipeline import Node, node

from recycling.annotations import Annotations, ImageFolder
from recycling.backends.shared.model import Task
from recycling.diagnostics import (
    CLASS_GAINS,
    CONTRIBUTIONS,
    DISAGREEMENT,
    ERROR_CORRELATION,
    PRECISION_THRESHOLDS,
    SCORE_THRESHOLDS,
    Agreement,
    ClassGains,
    Contributions,
    Disagreement,
    ErrorCorrelation,
    LeaderboardComparison,
    PrecisionThresholds,
    ScoreThresholds,
    best_threshold,
    class_gains,
    compare_with_leaderboard,
    confusion_counts,
    crop_error_correlation,
    detection_agreement,
    detection_changes,
    label_map_agreement,
    label_map_changes,
    leave_one_out,
    member_contributions,
    object_error_correlation,
    pixel_error_correlation,
    precision_thresholds,
    probability_agreement,
    probability_changes,
    score_thresholds,
)
from recycling.ensembling import Choices, History, Ranking, chosen_row, model_of
from recycling.evaluation import (
    BoxMatches,
    BoxMetric,
    ImageScores,
    Metrics,
    draw_groups,
    evaluate,
    groups_with_truth,
    image_scores,
    match_boxes,
    metric_of,
    score_interval,
    scored_groups,
)
from recycling.pipelines.fusing import fuser, fusion_inputs, used_members
from recycling.pipelines.held_out import EXPLAINED, held_out_nodes
from recycling.pipelines.mistakes import SHOWN_FROM, draw_worst
from recycling.pipelines.out_of_fold import by_model
from recycling.pipelines.scoring import metric_parameter
from recycling.pipelines.tasks import METRIC, PREDICTIONS, is_labelled, with_types
from recycling.plan import EnsemblePlan, Member
from recycling.predictions import ClassProbabilities, Detections, LabelMaps
from recycling.registry import PickedSettings
from recycling.reporting import (
    RgbImage,
    changed_boxes,
    changed_crops,
    changed_masks,
    report_page,
)

OF = {"cls": "crops", "det": "boxes", "seg": "pixels"}
TITLE = {"cls": "Classification", "det": "Detection", "seg": "Segmentation"}
_ENSEMBLE = "the ensemble"  # among the models: none is called so, their names have no blank

Interval: TypeAlias = dict[str, float]
"""`low` and `high`, between which the ensemble's score lies; empty where no truth is known."""

Explanation: TypeAlias = dict[str, Any]
"""`out_of_fold`: whether it is of out-of-fold predictions, or else of the test images. The metrics
of the `ensemble` and by name of its `members`, the `interval` of its score, and for boxes the
`thresholds` of all of them at which F1 is best."""

_OWN = ("metrics", "out_of_fold", "interval", "test_metrics", "choices", "search_history")
"""What the report says of an ensemble whose search kept the default, which has a report."""

MISTAKES: Mapping[Task, int] = {"cls": 16, "det": 6, "seg": 6}
"""How many crops or images show where an ensemble is wrong."""


def test_inputs(ensemble: EnsemblePlan) -> dict[str, str]:
    """The inputs of the node that fuses an ensemble on the test images."""
    return fusion_inputs(
        ensemble,
        {member.name: member.test_predictions for member in ensemble.members},
        {member.name: member.test_probabilities for member in ensemble.members},
        ensemble.test,
    )


def explaining_nodes(ensemble: EnsemblePlan) -> list[Node]:
    """What explains one ensemble: tables, images of what it changed, and the report.

    It is explained by out-of-fold predictions, which competitions leave as the only ones with
    labels; by the test images only where its models have no fold in common. Which folds a file
    predicts is known once it is read: where that is none of its models', there is no report.
    """
    space, task = ensemble.namespace, ensemble.task
    truth, fused, members, without = (f"{space}.{name}" for name in EXPLAINED)
    test_fused, metric = f"{space}.test_predictions", metric_parameter(task)
    predictions = {member.name: member.test_predictions for member in ensemble.members}
    test_metrics = {member.name: member.test_metrics for member in ensemble.members}
    explained = ["explanation", "contributions", "class_gains", "error_correlation"]
    if task == "det":
        explained += ["score_thresholds", "precision_thresholds"]
    shown = [*explained, "agreement", "changes", "overlays", "confusion", "mistakes"]
    if ensemble.search is not None:
        shown += ["choices", "search_history"]
    page = {name: f"{space}.{name}" for name in shown}
    page |= {"test_metrics": f"{space}.test_metrics", **test_metrics}
    if ensemble.leaderboard is not None:
        page["leaderboard"] = ensemble.leaderboard
    return [
        *(held_out_nodes(ensemble) if ensemble.is_explained_out_of_fold else _on_test(ensemble)),
        node(explainer(task, ensemble.is_explained_out_of_fold),
             {"truth": truth, "fused": fused, "members": members, "without": without,
              "metric": metric},
             [f"{space}.{name}" for name in explained], name="explain_ensemble", namespace=space),
        node(comparer(task), members, f"{space}.agreement", name="compare_members",
             namespace=space),
        node(changes_drawer(task), {"truth": ensemble.test, "folder": "test.images",
                                  "ranking": f"{space}.ranking", "fused": test_fused,
                                  "explanation": f"{space}.explanation", **predictions},
             f"{space}.changes", name="draw_changes", namespace=space),
        node(confusion_counter(task), {"truth": truth, "fused": fused,
                                       "explanation": f"{space}.explanation"},
             f"{space}.confusion", name="count_confusions", namespace=space),
        node(mistakes_drawer(task), {"truth": ensemble.test, "folder": "test.images",
                                     "fused": test_fused,
                                     "explanation": f"{space}.explanation"},
             f"{space}.mistakes", name="draw_mistakes", namespace=space),
        node(page_writer(task, ensemble.name, ensemble.default), page, f"{space}.report",
             name="write_ensemble_report", namespace=space),
    ]  # fmt: skip


def _on_test(ensemble: EnsemblePlan) -> list[Node]:
    """What is explained where no images are predicted out of fold by all: the test images."""
    space = ensemble.namespace
    truth, fused, members, without = (f"{space}.{name}" for name in EXPLAINED)
    predictions = {member.name: member.test_predictions for member in ensemble.members}
    return [
        node(leaving_out(fuser(ensemble)), test_inputs(ensemble), without,
             name="fuse_without_each", namespace=space),
        node(test_collector(ensemble.task),
             {"test": ensemble.test, "predicted": f"{space}.test_predictions", **predictions},
             [truth, fused, members], name="collect_test_predictions", namespace=space),
    ]  # fmt: skip


def test_collector(task: Task) -> Callable[..., tuple[Annotations, Any, dict[str, Any]]]:
    """A node function that brings together what is known of the test images."""

    def collect_test(
        test: Annotations, predicted: Any, **members: Any
    ) -> tuple[Annotations, Any, dict[str, Any]]:
        """Bring together the test images, and what the ensemble and its members predict."""
        return test, predicted, members

    own = PREDICTIONS[task]
    returns = GenericAlias(tuple, (Annotations, own, dict[str, Any]))
    return with_types(collect_test, predicted=own, members=own, returns=returns)


def leaderboard_node(task: Task, members: Sequence[Member]) -> Node:
    """Compare validation and leaderboard."""
    known = {m.name: m.out_of_fold_metrics for m in members if m.has_out_of_fold}
    return node(
        compare_leaderboard, {"leaderboard": f"params:leaderboard.{task}", **known},
        f"{task}.leaderboard", name="compare_leaderboard", namespace=task,
    )  # fmt: skip


def leaving_out(fuse: Callable[..., Any]) -> Callable[..., dict[str, Any]]:
    """A node function that fuses an ensemble without each of its members in turn.

    It takes what `fuse` takes, and names the same types.
    """

    @wraps(fuse)
    def fuse_without_each(**inputs: Any) -> dict[str, Any]:
        ranking: Ranking = inputs.pop("ranking")
        names = ranking["member"].tolist()
        settings = {key: value for key, value in inputs.items() if key not in names}

        def fused(others: list[str]) -> Any:
            left = Ranking(ranking[ranking["member"].isin(others)].reset_index(drop=True))
            return fuse(ranking=left, **settings, **{name: inputs[name] for name in others})

        used = used_members(names, settings["settings"], settings.get("choice"))
        return leave_one_out(used, fused)

    vars(fuse_without_each).pop("by_parts", None)  # it holds what it fuses in memory
    return with_types(fuse_without_each, returns=dict[str, Any])


def explain_boxes(
    truth: Annotations,
    fused: Detections,
    members: dict[str, Any],
    without: dict[str, Any],
    metric: BoxMetric,
    *,
    out_of_fold: bool = True,
) -> tuple[
    Explanation, Contributions, ClassGains, ErrorCorrelation, ScoreThresholds, PrecisionThresholds
]:
    """Say what each detector adds, how far they err on the same, and what a threshold costs."""
    if not is_labelled(truth):
        return (
            *_nothing_known(metric, members, out_of_fold),
            ScoreThresholds(SCORE_THRESHOLDS.empty()),
            PrecisionThresholds(PRECISION_THRESHOLDS.empty()),
        )
    scores = image_scores(metric, truth, _all(fused, without, members))
    matches = _matches(truth, {_ENSEMBLE: fused, **members}, metric, scores)
    explanation, *tables = _explained(truth, fused, members, without, metric, scores, out_of_fold)
    tables.append(object_error_correlation({name: matches[name] for name in members}))
    thresholds = {name: score_thresholds(own) for name, own in matches.items()}
    explanation["thresholds"] = {name: best_threshold(own) for name, own in thresholds.items()}
    by_precision = precision_thresholds(matches[_ENSEMBLE], truth.categories["name"].tolist())
    return explanation, *tables, thresholds[_ENSEMBLE], by_precision  # type: ignore[return-value]


def _matches(
    truth: Annotations,
    predictions: Mapping[str, Any],
    metric: BoxMetric,
    scores: Mapping[str, ImageScores],
) -> Mapping[str, BoxMatches]:
    """What each detector finds at an overlap of 0.5, of which the scores of mAP50 are made."""
    if metric_of(metric).image_scores is match_boxes:
        return {name: cast(BoxMatches, scores[name]) for name in predictions}
    return match_boxes(truth, predictions)


def _on(explain: Callable[..., Any], out_of_fold: bool) -> Callable[..., Any]:
    """The same node function, told what the predictions are of."""

    @wraps(explain)
    def explain_these(**inputs: Any) -> Any:
        return explain(**inputs, out_of_fold=out_of_fold)

    return explain_these


def explainer(task: Task, out_of_fold: bool) -> Callable[..., tuple[Any, ...]]:
    """A node function that says what each member adds, and how far they err on the same."""
    own = PREDICTIONS[task]
    if task == "det":
        return _on(explain_boxes, out_of_fold)

    def explain(
        truth: Annotations,
        fused: Any,
        members: dict[str, Any],
        without: dict[str, Any],
        metric: PickedSettings,
    ) -> tuple[Explanation, Contributions, ClassGains, ErrorCorrelation]:
        """Say what each member adds, and how far they err on the same crops or pixels."""
        if not is_labelled(truth):
            return _nothing_known(metric, members, out_of_fold)
        scores = image_scores(metric, truth, _all(fused, without, members))
        errors = crop_error_correlation if task == "cls" else pixel_error_correlation
        return *_explained(truth, fused, members, without, metric, scores, out_of_fold), errors(
            truth, members
        )

    return with_types(explain, fused=own, metric=METRIC[task])


def _nothing_known(
    metric: PickedSettings, members: Mapping[str, Any], out_of_fold: bool
) -> tuple[Explanation, Contributions, ClassGains, ErrorCorrelation]:
    unknown = Metrics(metric_of(metric).title, nan, {}, {}).to_dict()
    return (
        {
            "out_of_fold": out_of_fold,
            "ensemble": unknown,
            "members": dict.fromkeys(members, unknown),
            "interval": {},
        },
        Contributions(CONTRIBUTIONS.empty()),
        ClassGains(CLASS_GAINS.empty()),
        ErrorCorrelation(ERROR_CORRELATION.empty()),
    )


def _explained(
    truth: Annotations,
    fused: Any,
    members: Mapping[str, Any],
    without: Mapping[str, Any],
    metric: PickedSettings,
    scores: Mapping[str, ImageScores],
    out_of_fold: bool,
) -> tuple[Explanation, Contributions, ClassGains]:
    """The scores of the ensemble and its members, what each adds, and what each class gains."""
    ensemble = evaluate(metric, truth, fused)
    of_members = {name: evaluate(metric, truth, own) for name, own in members.items()}
    groups = scored_groups(metric, truth)
    contributions, interval = _contributions(scores, list(members), without, groups)
    explanation: Explanation = {
        "out_of_fold": out_of_fold,
        "ensemble": ensemble.to_dict(),
        "members": {name: own.to_dict() for name, own in of_members.items()},
        "interval": interval,
    }
    return explanation, contributions, class_gains(ensemble, of_members)


def _all(fused: Any, without: Mapping[str, Any], members: Mapping[str, Any]) -> dict[str, Any]:
    left = {_without(name): predictions for name, predictions in without.items()}
    return {_ENSEMBLE: fused, **members, **left}


def _without(name: str) -> str:
    return f"without {name}"


def _contributions(
    scores: Mapping[str, ImageScores],
    members: Sequence[str],
    without: Mapping[str, Any],
    groups: pd.Series[str],
) -> tuple[Contributions, Interval]:
    ensemble, draws = scores[_ENSEMBLE], draw_groups(groups)
    contributions = member_contributions(
        ensemble.scores,
        {name: scores[name].scores for name in members if name in without},
        {name: scores[_without(name)].scores for name in without},
        draws,
        n_groups=groups_with_truth(ensemble, groups),
    )
    low, high = score_interval(ensemble, draws, groups)
    return contributions, {} if isnan(low) else {"low": low, "high": high}


def comparer(task: Task) -> Callable[..., Agreement]:
    """A node function that compares members."""

    def compare_members(members: dict[str, Any]) -> Agreement:
        """Measure, pair by pair, how alike the members' predictions are."""
        return Agreement(AGREEMENT[task](list(members.values()), names=list(members)))

    return compare_members


def changes_drawer(task: Task) -> Callable[..., RgbImage]:
    """A node function that draws where an ensemble changed most against its best member."""

    def draw_changes(
        truth: Annotations,
        folder: ImageFolder,
        ranking: Ranking,
        fused: Any,
        explanation: Explanation,
        **members: Any,
    ) -> RgbImage:
        """Draw the images or crops where the ensemble changed most against its best member."""
        name = str(ranking.sort_values("rank")["member"].iloc[0])
        # Boxes are drawn from the score on that suits them; others have no such.
        at = explanation.get("thresholds", {})
        best_at = at.get(name, at.get(model_of(name), SHOWN_FROM))
        thresholds = best_at, at.get(_ENSEMBLE, SHOWN_FROM)
        return CHANGED[task](truth, folder, name, members[name], fused, thresholds)

    own = PREDICTIONS[task]
    return with_types(draw_changes, fused=own, members=own)


def confusion_counter(task: Task) -> Callable[..., Disagreement]:
    """A node function that counts what is taken for what."""

    def count_confusions(truth: Annotations, fused: Any, explanation: Explanation) -> Disagreement:
        """Count what the ensemble takes every class for: crops, boxes or pixels."""
        if not is_labelled(truth):
            return Disagreement(DISAGREEMENT.empty())
        at = explanation.get("thresholds", {}).get(_ENSEMBLE, SHOWN_FROM)
        return confusion_counts(truth, fused, score_threshold=at)

    return with_types(count_confusions, fused=PREDICTIONS[task])


def mistakes_drawer(task: Task) -> Callable[..., RgbImage]:
    """A node function that draws where an ensemble is most wrong."""

    def draw_mistakes(
        truth: Annotations, folder: ImageFolder, fused: Any, explanation: Explanation
    ) -> RgbImage:
        """Draw the test images or crops where the ensemble is furthest from the truth."""
        at = explanation.get("thresholds", {}).get(_ENSEMBLE, SHOWN_FROM)
        return draw_worst(task, truth, folder, fused, MISTAKES[task], at)

    return with_types(draw_mistakes, fused=PREDICTIONS[task])


def _changed_boxes(
    truth: Annotations,
    folder: ImageFolder,
    name: str,
    best: Detections,
    fused: Detections,
    thresholds: tuple[float, float],
) -> RgbImage:
    # Each at the threshold that suits it: the scores of a fusion are lower than its members'.
    best_at, fused_at = thresholds
    changes = detection_changes(best, fused, member_threshold=best_at, ensemble_threshold=fused_at)
    return changed_boxes(
        truth,
        folder,
        best,
        fused,
        changes,
        best_name=name,
        best_threshold=best_at,
        ensemble_threshold=fused_at,
    )


def _changed_masks(
    truth: Annotations,
    folder: ImageFolder,
    name: str,
    best: LabelMaps,
    fused: LabelMaps,
    _: tuple[float, float],
) -> RgbImage:
    changes = label_map_changes(best, fused)
    return changed_masks(truth, folder, best, fused, changes, best_name=name)


def _changed_classes(
    truth: Annotations,
    folder: ImageFolder,
    name: str,
    best: ClassProbabilities,
    fused: ClassProbabilities,
    _: tuple[float, float],
) -> RgbImage:
    return changed_crops(truth, folder, best, fused, probability_changes(best, fused))


def compare_leaderboard(
    leaderboard: dict[str, Any], **out_of_fold: Metrics
) -> LeaderboardComparison:
    """Compare out-of-fold scores with those of the leaderboard.

    A model may be named as a whole, where its score is the mean over its folds, or with its fold.
    """
    scores = {name: metrics.score for name, metrics in out_of_fold.items()}
    models = {model: fmean(own) for model, own in by_model(scores).items()}
    return compare_with_leaderboard(models | scores, leaderboard)


def page_writer(task: Task, name: str, default: str | None = None) -> Callable[..., str]:
    """A node function that writes the report on one ensemble.

    Args:
        task: What is fused.
        name: The ensemble's.
        default: The ensemble that it is where a search keeps the default, if there is one: the
            page then says so, and leaves to the other's what would be the same on both.
    """

    def write_report(
        explanation: Explanation,
        contributions: Contributions,
        class_gains: ClassGains,
        error_correlation: ErrorCorrelation,
        agreement: Agreement,
        changes: RgbImage,
        overlays: RgbImage,
        confusion: Disagreement,
        mistakes: RgbImage,
        test_metrics: Metrics,
        score_thresholds: ScoreThresholds | None = None,
        precision_thresholds: PrecisionThresholds | None = None,
        choices: Choices | None = None,
        search_history: History | None = None,
        leaderboard: LeaderboardComparison | None = None,
        **on_test: Metrics,
    ) -> str:
        """Write the report on an ensemble: one page that needs nothing but itself."""
        members = explanation["members"].items()
        values = {
            "objects": OF[task],
            "out_of_fold": explanation["out_of_fold"],
            "metrics": Metrics.from_dict(explanation["ensemble"]),
            "members": {name: Metrics.from_dict(own) for name, own in members},
            "interval": explanation["interval"],
            "test_metrics": test_metrics,
            "test_members": on_test,
            "agreement": agreement,
            "contributions": contributions,
            "error_correlation": error_correlation,
            "class_gains": class_gains,
            "changes": changes,
            "overlays": overlays,
            "confusion": confusion,
            "mistakes": mistakes,
            "score_thresholds": score_thresholds,
            "precision_thresholds": precision_thresholds,
            "choices": choices,
            "search_history": search_history,
            "leaderboard": leaderboard,
        }
        if default is not None and choices is not None and chosen_row(choices) == 0:
            values = {key: values[key] for key in _OWN} | {"same_as": default}
        return report_page(f"{TITLE[task]}: {name}", values)

    return write_report


AGREEMENT: dict[Task, Callable[..., pd.DataFrame]] = {
    "cls": probability_agreement,
    # Weak boxes, of which a detector may keep any number, agree with nobody's.
    "det": partial(detection_agreement, score_threshold=SHOWN_FROM),
    "seg": label_map_agreement,
}
CHANGED: dict[Task, Callable[..., RgbImage]] = {
    "cls": _changed_classes,
    "det": _changed_boxes,
    "seg": _changed_masks,
}
