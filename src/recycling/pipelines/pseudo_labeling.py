"""What the teacher is sure of on unlabelled images becomes annotations."""

from __future__ import annotations

import logging

import numpy as np
from kedro.pipeline import Node, Pipeline, node
from numpy.typing import NDArray

from recycling.annotations import Annotations
from recycling.ensembling import Ranking, fuse_label_maps, vote_agreement
from recycling.ensembling.masks.image_members import stacked
from recycling.pipelines.fusing import fuser, fusion_inputs
from recycling.plan import Plan, PseudoLabelPlan
from recycling.predictions import LabelMaps
from recycling.pseudo_labels import (
    PseudoAudit,
    PseudoLabeling,
    annotate_boxes,
    annotate_crops,
    annotate_regions,
)

logger = logging.getLogger(__name__)


def create_pipeline(plan: Plan) -> Pipeline:
    """Fuse the teachers' predictions on the pool, and keep what they are sure of."""
    return Pipeline([n for labels in plan.pseudo_labels for n in _pseudo_labels(labels)])


def _pseudo_labels(labels: PseudoLabelPlan) -> list[Node]:
    teacher, pool = labels.teacher, labels.pool
    space, settings = f"{teacher.task}.pseudo", "params:pseudo_labeling"
    outputs = [f"{space}.annotations", f"{space}.audit"]
    members = {member.name: member.pool_predictions for member in teacher.members}
    if teacher.task == "seg":
        inputs = {"unlabeled": pool, "labeled": "train.annotations", "settings": settings,
                  "ranking": f"{teacher.namespace}.ranking", **members}  # fmt: skip
        return [node(label_masks, inputs, outputs, name="annotate", namespace=space)]
    annotate = annotate_boxes if teacher.task == "det" else annotate_crops
    fused = f"{space}.teacher_predictions"
    return [
        node(fuser(teacher), fusion_inputs(teacher, members, {}, pool), fused, name="fuse_pool",
             namespace=space),
        node(annotate, [fused, pool, "train.annotations", settings], outputs, name="annotate",
             namespace=space),
    ]  # fmt: skip


def label_masks(
    unlabeled: Annotations,
    labeled: Annotations,
    settings: PseudoLabeling,
    ranking: Ranking,
    **members: LabelMaps,
) -> tuple[Annotations, PseudoAudit]:
    """Keep the regions that the teacher's members agree on; where they do not, learn nothing."""
    maps = [members[name] for name in ranking["member"]]
    if len(maps) == 1:
        logger.warning(
            "pseudo_labeling.mask_agreement: means nothing with one teacher, all that %s labels is "
            "kept; let another model teach, or predict with its other folds",
            ranking["member"].iloc[0],
        )
    fused = fuse_label_maps(maps, ranks=ranking["rank"].tolist(), names=list(ranking["member"]))

    def agreement(image_id: int) -> NDArray[np.float32]:
        return vote_agreement(stacked(maps, image_id), fused[image_id])

    return annotate_regions(fused, agreement, unlabeled, labeled, settings)
