"""The node functions that fuse members: by settings, or as a search says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias, cast

import pandas as pd

from recycling.annotations import Annotations
from recycling.backends.shared.model import Task
from recycling.ensembling import (
    ALONE,
    DEFAULT,
    Calibrator,
    Candidate,
    KnownLabels,
    LearntFusion,
    Ranking,
    average_probabilities,
    calibration_of,
    counted_members,
    fuse,
    fuse_candidate,
    model_of,
    settings_of,
    weights_of,
)
from recycling.ensembling.calibration import NONE
from recycling.pipelines.calibrating import (
    crop_labels,
    learn_calibrators,
    out_of_fold_key,
    split_out_of_fold,
)
from recycling.pipelines.out_of_fold import (
    by_model,
    common_images,
    part_key,
    parts,
    predictions_and_probabilities,
    probabilities_key,
)
from recycling.pipelines.tasks import PREDICTIONS, with_types
from recycling.plan import FUSION, EnsemblePlan, ExternalMember
from recycling.predictions import ClassProbabilities, Predictions, ProbabilityMaps
from recycling.registry import PickedSettings
from recycling.splitting import Folds
from recycling.stored_tables import by_parts, in_parts, whole

Choice: TypeAlias = dict[str, Any]
"""The chosen ensemble, its weights by model, and what it is worth beside simpler choices."""


def fuser(ensemble: EnsemblePlan) -> Callable[..., Predictions]:
    """The node function that fuses an ensemble."""
    predictions = PREDICTIONS[ensemble.task]
    settings = FUSION[ensemble.task]
    if ensemble.search is not None:
        either = predictions | ProbabilityMaps if ensemble.task == "seg" else predictions
        fuse_chosen = fuse_as_chosen(ensemble.task)
        fuse_them = with_types(fuse_chosen, settings=settings, members=either, returns=predictions)
        return by_parts(fuse_them) if ensemble.task == "det" else fuse_them
    if ensemble.learns == "labels":
        return with_types(fuse_by_labels, settings=settings)
    members = ProbabilityMaps if ensemble.takes == "probabilities" else predictions
    fuse_them = with_types(fuse_members, settings=settings, members=members, returns=predictions)
    return by_parts(fuse_them) if ensemble.task == "det" else fuse_them


def fusion_inputs(
    ensemble: EnsemblePlan,
    predictions: Mapping[str, str],
    probabilities: Mapping[str, str],
    images: str,
) -> dict[str, str]:
    """The inputs of `fuser(ensemble)`.

    Args:
        ensemble: The ensemble.
        predictions: The dataset of each member's predictions, by name.
        probabilities: The datasets of the probabilities beside label maps, by name; looked at only
            where they are fused.
        images: The annotations of the images that they are of; their sizes are looked at.
    """
    inputs = {"ranking": f"{ensemble.namespace}.ranking", "settings": ensemble.settings}
    inputs |= probabilities if ensemble.takes == "probabilities" else predictions
    if ensemble.search is not None:
        inputs["choice"] = f"{ensemble.namespace}.choice"
        if ensemble.search.probabilities:
            inputs |= {probabilities_key(name): key for name, key in probabilities.items()}
    if ensemble.task == "seg":
        inputs["images"] = images
    if ensemble.learns == "labels":
        inputs |= {"train": "train.annotations", "folds": "folds"}
        inputs |= {out_of_fold_key(m.name): m.out_of_fold_predictions for m in ensemble.judges}
        inputs |= parts_of_files(ensemble)
    elif ensemble.calibrates and (ensemble.task != "seg" or ensemble.fuses_probabilities):
        inputs["train"] = "train.annotations"
        soft = ensemble.fuses_probabilities
        inputs |= {
            out_of_fold_key(m.name): m.out_of_fold_probabilities
            if soft
            else m.out_of_fold_predictions
            for m in ensemble.judges
        }
    return inputs


def parts_of_files(ensemble: EnsemblePlan) -> dict[str, str]:
    """The inputs that say which labelled images the files among the members predict."""
    files = [member for member in ensemble.judges if isinstance(member, ExternalMember)]
    return {part_key(file.name): file.held_out_part for file in files}


def fuse_members(
    settings: PickedSettings,
    ranking: Ranking,
    images: Annotations | None = None,
    train: Annotations | None = None,
    calibrators: Mapping[str, Calibrator] | None = None,
    **members: Any,
) -> Predictions:
    """Fuse the members as the settings say.

    Args:
        settings: The method.
        ranking: The members.
        images: The images that they predicted, for label maps.
        train: The labelled images, where scores are calibrated.
        calibrators: What calibrates them, where that is learnt already.
        members: The predictions of each, or the probabilities of each pixel; by `out_of_fold_key`
            the same of labelled images that they have not seen, where scores are calibrated.
    """
    names = ranking["member"].tolist()
    own, out_of_fold = split_out_of_fold(members)
    calibrate = calibrators or calibrators_for(settings, train, out_of_fold)

    def fused(members: Mapping[str, Any]) -> Any:
        return fuse(
            settings,
            members,
            ranks=_ranks(ranking),
            scores=_scores(ranking),
            sizes=None if images is None else image_sizes(images.images),
            calibrators=calibrate,
        )

    return cast(Predictions, in_parts(fused, {name: own[name] for name in names}))


def calibrators_for(
    settings: PickedSettings | None, train: Annotations | None, out_of_fold: Mapping[str, Any]
) -> dict[str, Calibrator]:
    """What calibrates the members of a fusion, by model.

    Args:
        settings: How they are fused; None where one of them is taken alone.
        train: The labelled images; None where nothing is calibrated.
        out_of_fold: The members' predictions of labelled images that they have not seen.
    """
    if settings is None:
        return {}
    method = calibration_of(settings)
    if method == NONE or train is None:
        return {}
    task = next(task for task, fusion in FUSION.items() if isinstance(settings, fusion))
    known = {name: whole(own) for name, own in out_of_fold.items()}
    return learn_calibrators(task, method, whole(train), known)


def _scores(ranking: Ranking) -> dict[str, float | None]:
    known = ranking["score"].astype(object).where(ranking["score"].notna(), None)
    return dict(zip(ranking["member"].tolist(), known, strict=True))


def fuse_by_labels(
    settings: PickedSettings,
    ranking: Ranking,
    train: Annotations,
    folds: Folds,
    **predictions: ClassProbabilities | Annotations,
) -> ClassProbabilities:
    """Learn on the members' out-of-fold probabilities whom to believe, and fuse accordingly.

    Args:
        settings: The method.
        ranking: The members.
        train: The labelled crops.
        folds: The fold of each image.
        predictions: By name, each member's probabilities of what is fused; by `out_of_fold_key`,
            those of the labelled crops that it has not seen; by `part_key`, which labelled crops
            a file predicts.
    """
    names = ranking["member"].tolist()
    tables: dict[str, Any] = predictions
    judges = _judges(names, tables)
    files = {name: tables[key] for name in names if (key := part_key(name)) in tables}
    images = common_images(train, folds, judges, files)
    crops = train.annotations[train.annotations["image_id"].isin(images["image_id"])]
    crops = crops[~crops["iscrowd"]].set_index("annotation_id")
    part_of = parts(images, folds, least=3).set_index("image_id")["fold"]  # as stacking asks for
    learning = by_model({name: tables[out_of_fold_key(name)] for name in judges})
    fused = by_model({name: tables[name] for name in names})
    known = KnownLabels(
        out_of_fold=[_of_crops(own, crops.index) for own in learning.values()],
        labels=crop_labels(train)[crops.index],
        folds=crops["image_id"].map(part_of),
    )
    members = {model: average_probabilities(own) for model, own in fused.items()}
    learnt: LearntFusion = fuse(settings, members, known=known)
    return learnt.test


def fuse_as_chosen(task: Task) -> Callable[..., Predictions]:
    """A node function that fuses members as a search says."""

    def fuse_chosen(
        choice: Choice,
        ranking: Ranking,
        settings: PickedSettings,
        images: Annotations | None = None,
        train: Annotations | None = None,
        calibrators: Mapping[str, Calibrator] | None = None,
        **members: Any,
    ) -> Predictions:
        """Fuse the members, or the probabilities of each pixel, as the search says.

        The settings are those of the default, which the search may have kept.
        """
        own, out_of_fold = split_out_of_fold(members)
        predictions, probabilities = predictions_and_probabilities(own)
        chosen = _of_members(choice, predictions, FUSION[task])
        taken = _settings_of_choice(chosen, settings)
        calibrate = calibrators or calibrators_for(taken, train, out_of_fold)

        def fused(members: Mapping[str, Any]) -> Any:
            return fuse_candidate(
                chosen,
                FUSION[task].registry,
                members,
                probabilities=probabilities,
                ranks=_ranks(ranking),
                scores=_scores(ranking),
                sizes=None if images is None else image_sizes(images.images),
                default=settings,
                calibrators=calibrate,
            )

        some = {name: predictions[name] for name in chosen.members}
        return cast(Predictions, in_parts(fused, some))

    return fuse_chosen


def chosen_settings(
    settings: PickedSettings, names: Iterable[str], choice: Choice | None = None
) -> PickedSettings | None:
    """How members are fused in the end; None where a search has left one of them alone.

    Args:
        settings: Those of the ensemble.
        names: The members.
        choice: What a search has chosen, if there was one.
    """
    if choice is None:
        return settings
    return _settings_of_choice(_of_members(choice, names, type(settings)), settings)


def _settings_of_choice(chosen: Candidate, default: PickedSettings) -> PickedSettings | None:
    if chosen.method == ALONE:
        return None
    registry = default.registry
    return default if chosen.method == DEFAULT else settings_of(chosen, registry)


def used_members(
    names: Sequence[str], settings: PickedSettings, choice: Choice | None = None
) -> list[str]:
    """Those members, or models, that count: a search may have left some out, or a weight be 0.

    >>> from recycling.ensembling import ClassFusion
    >>> settings = ClassFusion.model_validate({"weights": {"yolox": 2, "fcos": 0}})
    >>> used_members(["yolox.fold0", "fcos.fold0"], settings)
    ['yolox.fold0']
    >>> choice = {"method": "mean", "weights": {"fcos": 2}}
    >>> used_members(["yolox.fold0", "fcos.fold0"], settings, choice)
    ['fcos.fold0']
    """
    if choice is None:
        return counted_members(settings, names)
    chosen = [name for name in names if model_of(name) in choice["weights"]]
    return counted_members(settings, chosen) if choice["method"] == DEFAULT else chosen


def image_sizes(images: pd.DataFrame) -> dict[int, tuple[int, int]]:
    """Height and width of each image, pixels, by its id.

    >>> image_sizes(pd.DataFrame({"image_id": [7], "height": [480], "width": [640]}))
    {7: (480, 640)}
    """
    sizes = zip(images["height"].tolist(), images["width"].tolist(), strict=True)
    return dict(zip(images["image_id"].tolist(), sizes, strict=True))


def _ranks(ranking: Ranking) -> dict[str, int]:
    return dict(zip(ranking["member"].tolist(), ranking["rank"].tolist(), strict=True))


def _of_members(choice: Choice, names: Iterable[str], fusion: type[PickedSettings]) -> Candidate:
    """The chosen ensemble, its weights on members instead of models.

    Args:
        choice: What was chosen among models.
        names: The members.
        fusion: Its default method fuses the folds of a model that is left alone.
    """
    chosen = Candidate.from_dict({key: choice[key] for key in ("method", "weights", "settings")})
    models: dict[str, float] = dict(chosen.weights)
    taking = [name for name in names if model_of(name) in models]
    alone = chosen.method == ALONE and len(taking) > 1
    method = str(fusion.default) if alone else chosen.method
    votes = method not in fusion.registry or fusion.registry[method].thing.weights_are_votes
    weights = weights_of(models, taking, {}, votes=votes) or []
    own = tuple(sorted(zip(taking, map(int, weights), strict=True)))
    return Candidate(method, own, chosen.settings)


def _judges(names: Sequence[str], inputs: Iterable[str]) -> list[str]:
    """Those with out-of-fold predictions: the members, or the folds of one that has seen all.

    >>> _judges(["yolox.fold_all"], [out_of_fold_key("yolox.fold0"), "yolox.fold_all"])
    ['yolox.fold0']
    """
    known = list(split_out_of_fold(dict.fromkeys(inputs))[1])
    judges = [
        judge
        for name in names
        for judge in ([name] if name in known else known)
        if model_of(judge) == model_of(name)
    ]
    return list(dict.fromkeys(judges))


def _of_crops(folds: Sequence[ClassProbabilities], crops: pd.Index) -> ClassProbabilities:
    table = pd.concat(folds, ignore_index=True)
    return ClassProbabilities(table[table["annotation_id"].isin(crops)].reset_index(drop=True))
