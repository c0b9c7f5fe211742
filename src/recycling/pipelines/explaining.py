"""What each member of an ensemble is good for: tables, images, and one page that holds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from math import isnan
from statistics import fmean
from typing import Any, TypeAlias

from kedro.pipeline import Node, node

from recycling.annotations import Annotations, ImageFolder
from recycling.backends.shared.model import Task
from recycling.diagnostics import (
    CLASS_GAINS,
    CONTRIBUTIONS,
    ERROR_CORRELATION,
    SCORE_THRESHOLDS,
    Agreement,
    ClassGains,
    Contributions,
    ErrorCorrelation,
    LeaderboardComparison,
    ScoreThresholds,
    best_threshold,
    class_gains,
    compare_with_leaderboard,
    crop_error_correlation,
    detection_changes,
    label_map_changes,
    leave_one_out,
    member_contributions,
    object_error_correlation,
    pixel_error_correlation,
    probability_changes,
    score_thresholds,
)
from recycling.ensembling import Choices, History, Ranking, model_of
from recycling.evaluation import (
    BoxMetric,
    ImageScores,
    Metrics,
    draw_images,
    image_scores,
    match_boxes,
    score_interval,
)
from recycling.pipelines.fusing import fuser, fusion_inputs
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
_ENSEMBLE = "ensemble"  # among the members, none of which is called so: their names have a dot

Interval: TypeAlias = dict[str, float]
"""`low` and `high`, between which the ensemble's score lies; empty where no truth is known."""


def test_inputs(ensemble: EnsemblePlan) -> dict[str, str]:
    """The inputs of the node that fuses an ensemble on the test images."""
    return fusion_inputs(
        ensemble,
        {member.name: member.test_predictions for member in ensemble.members},
        {member.name: member.test_probabilities for member in ensemble.members},
        ensemble.test,
    )


def explaining_nodes(ensemble: EnsemblePlan) -> list[Node]:
    """What explains one ensemble: tables, images of what it changed, and the report."""
    space, task = ensemble.namespace, ensemble.task
    fused = f"{space}.test_predictions"
    predictions = {member.name: member.test_predictions for member in ensemble.members}
    metrics = {member.name: member.test_metrics for member in ensemble.members}
    explained = ["contributions", "interval", "error_correlation"]
    if task == "det":
        explained.append("score_thresholds")
    shown = [*explained, "agreement", "class_gains", "changes"]
    if ensemble.search is not None:
        shown += ["choices", "search_history"]
    page = {"metrics": f"{space}.test_metrics", **{name: f"{space}.{name}" for name in shown}}
    if ensemble.leaderboard is not None:
        page["leaderboard"] = ensemble.leaderboard
    return [
        node(leaving_out(fuser(ensemble)), test_inputs(ensemble), f"{space}.without",
             name="fuse_without_each", namespace=space),
        node(explainer(task), {"truth": ensemble.test, "fused": fused,
                             "without": f"{space}.without",
                             "metric": metric_parameter(task), **predictions},
             [f"{space}.{name}" for name in explained], name="explain", namespace=space),
        node(gain_by_class, {"ensemble": f"{space}.test_metrics", **metrics},
             f"{space}.class_gains", name="compare_classes", namespace=space),
        node(changes_drawer(task), {"truth": ensemble.test, "folder": "test.images",
                                  "ranking": f"{space}.ranking", "fused": fused, **predictions},
             f"{space}.changes", name="draw_changes", namespace=space),
        node(page_writer(task, ensemble.name), {**page, **metrics}, f"{space}.report",
             name="write_report", namespace=space),
    ]  # fmt: skip


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

        return leave_one_out(used_members(names, settings.get("choice")), fused)

    return with_types(fuse_without_each, returns=dict[str, Any])


def used_members(names: Sequence[str], choice: Mapping[str, Any] | None) -> list[str]:
    """Those members that count; a search may have left some out.

    >>> used_members(["yolox.fold0", "fcos.fold0"], {"weights": {"fcos": 2}})
    ['fcos.fold0']
    """
    if choice is None:
        return list(names)
    return [name for name in names if model_of(name) in choice["weights"]]


def explain_boxes(
    truth: Annotations,
    fused: Detections,
    without: dict[str, Any],
    metric: BoxMetric,
    **members: Detections,
) -> tuple[Contributions, Interval, ErrorCorrelation, ScoreThresholds]:
    """Say what each detector adds, how far they err on the same, and what a threshold costs."""
    if not is_labelled(truth):
        return *_nothing_known(), ScoreThresholds(SCORE_THRESHOLDS.empty())
    scores = image_scores(metric, truth, _all(fused, without, members))
    matches = match_boxes(truth, {_ENSEMBLE: fused, **members})
    errors = object_error_correlation({name: matches[name] for name in members})
    thresholds = score_thresholds(matches[_ENSEMBLE])
    return *_contributions(scores, list(members), without), errors, thresholds


def explainer(task: Task) -> Callable[..., tuple[Any, ...]]:
    """A node function that says what each member adds, and how far they err on the same."""
    if task == "det":
        return explain_boxes

    def explain(
        truth: Annotations,
        fused: Any,
        without: dict[str, Any],
        metric: PickedSettings,
        **members: Any,
    ) -> tuple[Contributions, Interval, ErrorCorrelation]:
        """Say what each member adds, and how far they err on the same crops or pixels."""
        if not is_labelled(truth):
            return _nothing_known()
        scores = image_scores(metric, truth, _all(fused, without, members))
        errors = crop_error_correlation if task == "cls" else pixel_error_correlation
        return *_contributions(scores, list(members), without), errors(truth, members)

    own = PREDICTIONS[task]
    return with_types(explain, fused=own, metric=METRIC[task], members=own)


def _nothing_known() -> tuple[Contributions, Interval, ErrorCorrelation]:
    return Contributions(CONTRIBUTIONS.empty()), {}, ErrorCorrelation(ERROR_CORRELATION.empty())


def _all(fused: Any, without: Mapping[str, Any], members: Mapping[str, Any]) -> dict[str, Any]:
    left = {_without(name): predictions for name, predictions in without.items()}
    return {_ENSEMBLE: fused, **members, **left}


def _without(name: str) -> str:
    return f"without {name}"


def _contributions(
    scores: Mapping[str, ImageScores],
    members: Sequence[str],
    without: Mapping[str, Any],
) -> tuple[Contributions, Interval]:
    ensemble = scores[_ENSEMBLE]
    draws = draw_images(ensemble.n_images)
    contributions = member_contributions(
        ensemble.scores,
        {name: scores[name].scores for name in members if name in without},
        {name: scores[_without(name)].scores for name in without},
        draws,
    )
    low, high = score_interval(ensemble, draws)
    return contributions, {"low": low, "high": high}


def gain_by_class(ensemble: Metrics, **members: Metrics) -> ClassGains:
    """Compare the ensemble with its best member and with a member on average, class by class."""
    if isnan(ensemble.score):
        return ClassGains(CLASS_GAINS.empty())
    return class_gains(ensemble, members)


def changes_drawer(task: Task) -> Callable[..., RgbImage]:
    """A node function that draws where an ensemble changed most against its best member."""

    def draw_changes(
        truth: Annotations, folder: ImageFolder, ranking: Ranking, fused: Any, **members: Any
    ) -> RgbImage:
        """Draw the images or crops where the ensemble changed most against its best member."""
        name = str(ranking.sort_values("rank")["member"].iloc[0])
        return CHANGED[task](truth, folder, name, members[name], fused)

    own = PREDICTIONS[task]
    return with_types(draw_changes, fused=own, members=own)


def _changed_boxes(
    truth: Annotations, folder: ImageFolder, name: str, best: Detections, fused: Detections
) -> RgbImage:
    # Each at the threshold that suits it: the scores of a fusion are lower than its members'.
    best_at = fused_at = 0.3
    if is_labelled(truth):
        matches = match_boxes(truth, {"best": best, "fused": fused})
        best_at, fused_at = (
            best_threshold(score_thresholds(matches[who])) for who in ("best", "fused")
        )
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
    truth: Annotations, folder: ImageFolder, name: str, best: LabelMaps, fused: LabelMaps
) -> RgbImage:
    changes = label_map_changes(best, fused)
    return changed_masks(truth, folder, best, fused, changes, best_name=name)


def _changed_classes(
    truth: Annotations,
    folder: ImageFolder,
    name: str,
    best: ClassProbabilities,
    fused: ClassProbabilities,
) -> RgbImage:
    return changed_crops(truth, folder, best, fused, probability_changes(best, fused))


def compare_leaderboard(
    leaderboard: dict[str, Any], **out_of_fold: Metrics
) -> LeaderboardComparison:
    """Compare out-of-fold scores with those of the leaderboard.

    A model may be named as a whole, where its score is the mean over its folds, or with its fold.
    """
    scores = {name: metrics.score for name, metrics in out_of_fold.items()}
    of_folds: dict[str, list[float]] = {}
    for name, score in scores.items():
        of_folds.setdefault(model_of(name), []).append(score)
    by_model = {model: fmean(own) for model, own in of_folds.items()}
    return compare_with_leaderboard({**by_model, **scores}, leaderboard)


def page_writer(task: Task, name: str) -> Callable[..., str]:
    """A node function that writes the report on one ensemble."""

    def write_report(
        metrics: Metrics,
        agreement: Agreement,
        contributions: Contributions,
        interval: Interval,
        error_correlation: ErrorCorrelation,
        class_gains: ClassGains,
        changes: RgbImage,
        score_thresholds: ScoreThresholds | None = None,
        choices: Choices | None = None,
        search_history: History | None = None,
        leaderboard: LeaderboardComparison | None = None,
        **members: Metrics,
    ) -> str:
        """Write the report on an ensemble: one page that needs nothing but itself."""
        values = {
            "objects": OF[task],
            "metrics": metrics,
            "members": members,
            "agreement": agreement,
            "contributions": contributions,
            "interval": interval,
            "error_correlation": error_correlation,
            "class_gains": class_gains,
            "changes": changes,
            "score_thresholds": score_thresholds,
            "choices": choices,
            "search_history": search_history,
            "leaderboard": leaderboard,
        }
        return report_page(f"{TITLE[task]}: {name}", values)

    return write_report


CHANGED: dict[Task, Callable[..., RgbImage]] = {
    "cls": _changed_classes,
    "det": _changed_boxes,
    "seg": _changed_masks,
}
