"""What the teachers are sure of on unlabelled images becomes annotations, with a promise.

For each round, task and held-out fold one chain: the teachers that hold that fold out are fused on
the fold and on the images to label; on the fold it is learnt how sure they must be; what they are
sure of is kept. Nothing but these thresholds comes from the fold, and the images that are left out
because they are like those that a student is scored on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from kedro.pipeline import Node, Pipeline, node
from numpy.typing import NDArray

from recycling.annotations import AnnotationError, Annotations, ImageChecks, ImageFolder
from recycling.annotations.same_categories import with_categories_of
from recycling.backends.shared.model import Task
from recycling.ensembling import fuse, fuse_label_maps, vote_agreement
from recycling.ensembling.masks.image_members import stacked
from recycling.errors import listed
from recycling.names import shown_name
from recycling.pipelines.fusing import image_sizes
from recycling.pipelines.out_of_fold import joined
from recycling.pipelines.tasks import PREDICTIONS, predicted_rows, with_types
from recycling.pipelines.training import PREDICT
from recycling.plan import FUSION, Plan, PseudoLabelPlan, PseudoPart
from recycling.plan.records import called
from recycling.predictions import LabelMaps
from recycling.pseudo_labels import (
    Certificate,
    Examples,
    LeftOut,
    PseudoAudit,
    PseudoLabeling,
    Thresholds,
    annotate_boxes,
    annotate_crops,
    annotate_regions,
    audit,
    certify,
    choose_thresholds,
    examples,
    grade_boxes,
    grade_crops,
    grade_masks,
    images_alike,
    with_background,
    with_given_groups,
)
from recycling.pseudo_labels.masks import Sureness
from recycling.registry import PickedSettings
from recycling.reporting import certificate_page, example_images
from recycling.reporting.overlays import counted
from recycling.splitting import (
    AdversarialValidation,
    Folds,
    ShiftSummary,
    adversarial_validation,
)

logger = logging.getLogger(__name__)

DIFFERENT = 0.05
"""The p-value from which on the pool counts as other images than the labelled ones; 39
permutations, as many as are usual, give 0.025 at the least."""


def create_pipeline(plan: Plan) -> Pipeline:
    """Every round: predict, fuse, learn the thresholds, and keep what they promise."""
    # Rounds share what the same model says of the same images.
    predicting = {
        n.outputs[0]: n for labels in plan.pseudo_labels for n in _predicting(labels, plan)
    }
    rounds = [n for labels in plan.pseudo_labels for n in _round(labels)]
    return Pipeline([*_comparing(plan), *predicting.values(), *rounds])


def _comparing(plan: Plan) -> list[Node]:
    """How the pool differs from the labelled images, where it is labelled."""
    parts = {part.part for labels in plan.pseudo_labels for part in labels.parts}
    if "pool" not in parts:
        return []
    return [
        node(compare_pool,
             ["train.annotations", "train.image_checks", "pool.annotations", "pool.image_checks",
              "params:shift"],
             "pool_shift_summary", name="compare_pool_with_train", namespace="splitting"),
    ]  # fmt: skip


def compare_pool(
    train: Annotations,
    train_checks: ImageChecks,
    pool: Annotations,
    pool_checks: ImageChecks,
    settings: AdversarialValidation,
) -> ShiftSummary:
    """Say how well images of the pool can be told from labelled ones: promises hold for alike."""
    found = adversarial_validation(train.images, train_checks, pool.images, pool_checks, settings)
    return found.summary


def _predicting(labels: PseudoLabelPlan, plan: Plan) -> list[Node]:
    """The teachers' predictions on the pool; those on test images are there."""
    nodes = []
    for part in labels.parts:
        for member in labels.members if part.part == "pool" else ():
            # Not in the namespace of the model, which trains without a pool.
            nodes.append(
                node(PREDICT[labels.task], [member.checkpoint, part.asked, "pool.images"],
                     part.predictions[member.name],
                     name=f"predict_pool_by_{member.model}_{called(member.fold)}",
                     namespace=labels.namespace, tags=plan.models[member.model].resources.tags)
            )  # fmt: skip
    return nodes


def _round(labels: PseudoLabelPlan) -> list[Node]:
    space, task = labels.namespace, labels.task
    folds = {member.name: member.fold for member in labels.members if member.fold is not None}
    out_of_fold = {member.name: member.out_of_fold_predictions for member in labels.members}
    thresholds = f"{space}.thresholds"
    nodes = [
        node(chooser(task, folds),
             {"truth": "train.annotations", "folds": "folds", "settings": labels.settings,
              "fusion": labels.fusion, **out_of_fold},
             thresholds, name="choose_thresholds", namespace=space),
    ]  # fmt: skip
    for part in labels.parts:
        nodes += _part(labels, part, thresholds)
    return nodes


def _part(labels: PseudoLabelPlan, part: PseudoPart, thresholds: str) -> list[Node]:
    space, task = labels.namespace, labels.task
    names, left_out = list(part.predictions), f"{space}.{part.part}_left_out"
    scored: dict[str, str] = {"unlabeled": part.part}
    if labels.fold is not None:
        scored["train"] = "train"
    if part.part == "pool":
        scored["test"] = "test"
    inputs = {name: f"{own}.image_checks" for name, own in scored.items()}
    inputs |= {f"{name}_annotations": f"{own}.annotations" for name, own in scored.items()}
    if labels.fold is not None:
        inputs["folds"] = "folds"
    return [
        node(leaver_out(space, labels.fold),
             {"settings": labels.settings, **inputs},
             left_out, name=f"leave_near_duplicates_out_of_{part.part}", namespace=space),
        node(labeler(task, names, f"{space}.{part.part}"),
             {"unlabeled": part.asked, "thresholds": thresholds, "settings": labels.settings,
              "fusion": labels.fusion, "left_out": left_out, **part.predictions},
             [f"{space}.{part.part}_{what}" for what in ("annotations", "audit", "examples")],
             name=f"label_{part.part}", namespace=space),
        node(certifier(labels, part),
             {"thresholds": thresholds, "settings": labels.settings,
              "folder": f"{part.part}.images",
              **{what: f"{space}.{part.part}_{what}" for what in ("annotations", "audit",
                                                                  "examples", "left_out")},
              "asked": part.asked,
              "shift": "pool_shift_summary" if part.part == "pool" else "shift_summary",
              **({"truth": labels.truth} if labels.truth and part.part == "pool" else {})},
             [f"{space}.{part.part}_certificate", f"{space}.{part.part}_certificate_page"],
             name=f"certify_labels_of_{part.part}", namespace=space),
    ]  # fmt: skip


def chooser(task: Task, held_out: Mapping[str, int]) -> Callable[..., Thresholds]:
    """A node function that learns how sure the teachers must be.

    Args:
        task: What is labelled.
        held_out: The fold that each teacher holds out, by its name.
    """

    def choose(
        truth: Annotations,
        folds: Folds,
        settings: PseudoLabeling,
        fusion: PickedSettings,
        **members: Any,
    ) -> Thresholds:
        """Learn the thresholds on what the teachers say of the fold that they have not seen.

        Args:
            truth: The labelled images.
            folds: The fold of each.
            settings: What is promised.
            fusion: How the teachers are fused.
            members: Their out-of-fold predictions.
        """
        parts, fused = [], []
        sure: dict[int, Sureness] = {}
        for fold in dict.fromkeys(held_out.values()):
            part = truth.of_images(folds.loc[folds["fold"] == fold, "image_id"])
            own = {name: members[name] for name, other in held_out.items() if other == fold}
            said, sureness = _fused(task, fusion, own, part)
            parts.append(part)
            fused.append(said)
            sure |= dict.fromkeys(part.images["image_id"].tolist(), sureness)
        known = truth.of_images(pd.concat([part.images["image_id"] for part in parts]))
        if task == "seg":
            graded = grade_masks(
                joined(fused), lambda image_id: sure[image_id](image_id), known, settings
            )
            return choose_thresholds(graded, with_background(truth.categories), settings)
        table = pd.concat(fused, ignore_index=True)
        grade: Callable[..., Any] = grade_boxes if task == "det" else grade_crops
        return choose_thresholds(grade(table, known, settings), truth.categories, settings)

    return with_types(choose, fusion=FUSION[task], members=PREDICTIONS[task])


def leaver_out(where: str, fold: int | None) -> Callable[..., LeftOut]:
    """A node function that finds unlabelled images like those that a student is scored on."""

    def leave_out(
        unlabeled: ImageChecks,
        unlabeled_annotations: Annotations,
        settings: PseudoLabeling,
        train: ImageChecks | None = None,
        train_annotations: Annotations | None = None,
        folds: Folds | None = None,
        test: ImageChecks | None = None,
        test_annotations: Annotations | None = None,
    ) -> LeftOut:
        """Find those that look like an image of the held-out fold or test set, or share a group."""
        own = with_given_groups(unlabeled, unlabeled_annotations.images)
        scored = [own.iloc[:0]]
        if train is not None and train_annotations is not None and folds is not None:
            held_out = folds.loc[folds["fold"] == fold, "image_id"]
            table = with_given_groups(train, train_annotations.images)
            scored.append(table[table["image_id"].isin(held_out)])
        if test is not None and test_annotations is not None:
            scored.append(with_given_groups(test, test_annotations.images))
        table = pd.concat(scored, ignore_index=True)
        found = images_alike(own, table, settings.near_duplicate_distance)
        if len(found):
            pairs = zip(found["file_name"], found["like"], strict=True)
            logger.warning(
                "%s: %d of %d images are left out, which look like images that its students are "
                "scored on, or share a group with them: %s",
                where, len(found), len(unlabeled),
                listed((f"{shown_name(own)} like {shown_name(like)}" for own, like in pairs), 3),
            )  # fmt: skip
        return found

    return leave_out


def labeler(
    task: Task, names: Sequence[str], where: str
) -> Callable[..., tuple[Annotations, PseudoAudit, Examples]]:
    """A node function that labels images."""

    def label(
        unlabeled: Annotations,
        thresholds: Thresholds,
        settings: PseudoLabeling,
        fusion: PickedSettings,
        left_out: LeftOut,
        **members: Any,
    ) -> tuple[Annotations, PseudoAudit, Examples]:
        """Fuse the teachers' predictions, and keep what the thresholds let through.

        Args:
            unlabeled: The images; for classes, with the boxes to crop.
            thresholds: How sure the teachers must be.
            settings: Those of the round.
            fusion: How the teachers are fused.
            left_out: Images that are not labelled.
            members: The teachers' predictions.
        """
        images = unlabeled.images["image_id"]
        rest = unlabeled.of_images(images[~images.isin(left_out["image_id"])])
        said, sureness = _fused(task, fusion, {name: members[name] for name in names}, rest)
        annotations, fates = _annotated(task, said, sureness, rest, thresholds, settings)
        counts = audit(fates, annotations.categories)
        _say(where, thresholds, counts, annotations, len(rest.images))
        return annotations, counts, examples(fates)

    return with_types(label, fusion=FUSION[task], members=PREDICTIONS[task])


def certifier(labels: PseudoLabelPlan, part: PseudoPart) -> Callable[..., tuple[Certificate, str]]:
    """A node function that writes the certificate of a round.

    Args:
        labels: Who labelled.
        part: What was labelled.
    """

    def certify_labels(
        thresholds: Thresholds,
        settings: PseudoLabeling,
        folder: ImageFolder,
        annotations: Annotations,
        audit: PseudoAudit,
        examples: Examples,
        left_out: LeftOut,
        asked: Annotations,
        shift: ShiftSummary,
        truth: Annotations | None = None,
    ) -> tuple[Certificate, str]:
        """Put what was promised beside what was kept, and beside the truth where it is known."""
        known = None
        if truth is not None:
            known = with_categories_of(annotations, truth, "the pool's truth")
            rest = asked.images.loc[~asked.images["image_id"].isin(left_out["image_id"])]
            lacking = rest.loc[~rest["image_id"].isin(truth.images["image_id"]), "file_name"]
            if len(lacking):
                raise AnnotationError(
                    f"{labels.truth}: {len(lacking)} of the pool's images are not in it "
                    f"({listed(map(shown_name, lacking), 3)}); take truth out of "
                    f"pseudo_labeling.{labels.round}"
                )
            # The groups of the pool, as they were cleaned: the file of the truth may lack them.
            groups = rest.set_index("image_id")["group"]
            known = known.of_images(rest["image_id"])
            own = known.images.assign(group=known.images["image_id"].map(groups))
            known = replace(known, images=own)
        certificate = certify(labels.task, thresholds, audit, annotations, settings, known)
        coverage = _coverage(labels, part, settings, shift)
        logger.info("%s.%s: %s", labels.namespace, part.part, coverage)
        sentences = [
            f"labelled by {', '.join(member.name for member in labels.members)}",
            coverage,
            f"{counted(len(left_out), 'image')} left out because an image that students are scored "
            "on looks like it, or is of its group",
            *_kept_promises(certificate),
        ]
        if part.part == "test":
            sentences.append("these are test images: a score on them says nothing of other images")
        # A region of a mask is no object: its box says little of what it shows.
        objects = None if labels.task == "seg" else known
        drawn = example_images(
            examples, asked.images, folder, annotations.categories, objects, settings.iou
        )
        title = f"Pseudo-labels: {labels.namespace}, {part.part}"
        return certificate, certificate_page(title, certificate, sentences, drawn)

    return certify_labels


def _coverage(
    labels: PseudoLabelPlan, part: PseudoPart, settings: PseudoLabeling, shift: ShiftSummary
) -> str:
    """What is promised, and what it does not cover."""
    if (promise := settings.promised) is None:
        return "the threshold is set, and nothing is promised"
    what = {
        "det": f"boxes that find an object at an IoU of {settings.iou:g}",
        "cls": "crops of the class that they were given",
        "seg": "pixels, averaged over images",
    }[labels.task]
    each = "all categories at once" if promise.together else "each category by itself"
    said = (
        f"promised with a chance of {promise.confidence:g}, of {each}: {promise.precision:g} of "
        f"what is kept is right ({what}; images of one group count as one)"
    )
    doubts = []
    if labels.fold is None:
        doubts.append("teachers of all folds label together, and were tested one by one")
    if labels.task == "cls" and part.asked != f"{part.part}.annotations":
        doubts.append("the crops were proposed, and those that were learnt on are annotated")
    if settings.share < 1:
        doubts.append("only the surest images are kept, and all were tested")
    if shift["p_value"] is None:
        doubts.append(f"whether the images are like the labelled ones ({shift['verdict']})")
    elif shift["p_value"] <= DIFFERENT:
        doubts.append(f"the images differ from the labelled ones ({shift['verdict']})")
    return f"{said}; NOT COVERED: {'; '.join(doubts)}" if doubts else said


def _kept_promises(certificate: Certificate) -> list[str]:
    """How many promises the truth finds kept, where it can tell.

    >>> shares = {"precision": [0.6, 0.6, None], "attained": [0.7, 0.5, None]}
    >>> _kept_promises(pd.DataFrame(shares))
    ['the truth can tell of 2 promises: 1 of them kept']
    """
    told = certificate[certificate[["precision", "attained"]].notna().all(axis=1)]
    if told.empty:
        return []
    kept = int((told["attained"] >= told["precision"]).sum())
    return [f"the truth can tell of {counted(len(told), 'promise')}: {kept} of them kept"]


def _fused(
    task: Task, fusion: PickedSettings, members: Mapping[str, Any], images: Annotations
) -> tuple[Any, Sureness]:
    """What the teachers say together of some images, and how sure they are of each pixel."""
    ids = images.images["image_id"]
    sizes = image_sizes(images.images)
    if task == "seg":
        maps = [_of_images(own, ids.tolist()) for own in members.values()]
        order = list(range(1, len(maps) + 1))
        voted = fuse_label_maps(maps, ranks=order, names=list(members), sizes=sizes)

        def agreement(image_id: int) -> NDArray[np.float32]:
            own = stacked(maps, image_id, sizes=sizes, names=list(members))
            return vote_agreement(own, voted[image_id])

        return voted, agreement
    key = "image_id" if task == "det" else "annotation_id"
    wanted = ids if task == "det" else predicted_rows("cls", images)["annotation_id"]
    own = {
        name: table[table[key].isin(wanted)].reset_index(drop=True)
        for name, table in members.items()
    }
    ranks = {name: rank for rank, name in enumerate(own, 1)}
    # Alike for all, for a score would be one on the fold that is held out.
    fused = fuse(fusion, own, ranks=ranks, scores=dict.fromkeys(own, 1.0))
    return fused, _no_pixels


def _of_images(maps: LabelMaps, ids: Sequence[int]) -> LabelMaps:
    return LabelMaps(ids, lambda image_id: maps[image_id])


def _no_pixels(image_id: int) -> NDArray[np.float32]:
    raise KeyError(image_id)  # only masks have pixels


def _annotated(
    task: Task,
    said: Any,
    sureness: Sureness,
    unlabeled: Annotations,
    thresholds: Thresholds,
    settings: PseudoLabeling,
) -> tuple[Annotations, pd.DataFrame]:
    # Not those of the labelled images: nothing else of them is to be seen here.
    categories = thresholds[thresholds["category_id"] >= 0].rename(columns={"category": "name"})
    categories = categories[["category_id", "name", "supercategory"]].assign(extra=None)
    categories = categories.reset_index(drop=True).astype({"extra": "string"})
    if task == "seg":
        return annotate_regions(said, sureness, unlabeled, thresholds, categories, settings)
    if task == "det":
        return annotate_boxes(said, unlabeled, thresholds, categories, settings)
    return annotate_crops(said, unlabeled, thresholds, categories, settings)


def _say(
    where: str,
    thresholds: Thresholds,
    counts: PseudoAudit,
    annotations: Annotations,
    n_images: int,
) -> None:
    """Say how much is kept, and of which categories nothing is, and why."""
    logger.info(
        "%s: %d of %d predictions are kept on %d of %d images, %d ignored",
        where, counts["kept"].sum(), counts["predicted"].sum(), len(annotations.images), n_images,
        counts["ignored"].sum(),
    )  # fmt: skip
    nothing = thresholds[thresholds["threshold"].isna()]
    for reason, rows in nothing.groupby("reason", sort=False):
        logger.warning(
            "%s: nothing can be promised, so nothing is kept, of %s: %s",
            where, listed(map(shown_name, rows["category"])), reason,
        )  # fmt: skip
