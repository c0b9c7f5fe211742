"""The parameter `crops`: what classifiers are asked about on images that nobody annotated."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Literal

from pydantic import Field, ValidationError

from recycling.plan.parameters import PlanError, faults, nearest
from recycling.plan.records import CropPlan
from recycling.registry import Settings


class DetectedCrops(Settings):
    """Boxes that a detector proposes are classified.

    Attributes:
        detector: An ensemble of detectors, such as ``final``, or a member: ``yolox.fold0``, a file.
        score_threshold: Boxes of a lower score are left out.
    """

    detector: str
    score_threshold: float = Field(0.3, ge=0, le=1)


class Crops(Settings):
    """What classifiers are asked about on the test images.

    Attributes:
        test: ``annotations``: the boxes that are annotated; ``images``: whole images, for a test
            set without annotations; or which detector proposes the boxes.
    """

    test: Literal["annotations", "images"] | DetectedCrops = "annotations"


def read_crops(
    parameters: Mapping[str, Any], detectors: Mapping[str, str], where: str
) -> CropPlan | None:
    """Read where the crops of the test images come from; None where they are annotated.

    Args:
        parameters: With `crops`.
        detectors: The namespace of each ensemble and member that detects, by name.
        where: The file that they come from, for messages.

    Raises:
        PlanError: They are described wrongly, or a detector is not known.
    """
    try:
        crops = Crops.model_validate(parameters.get("crops") or {})
    except ValidationError as error:
        raise PlanError(faults(error, f"{where}: crops", Crops)) from error
    if crops.test == "annotations":
        return None
    if isinstance(crops.test, str):
        return CropPlan(proposals=None)
    return CropPlan(proposals=_namespace(crops.test.detector, detectors, where))


def _namespace(detector: str, detectors: Mapping[str, str], where: str) -> str:
    if detector not in detectors:
        known: Collection[str] = detectors
        hint = nearest(detector, detectors) if known else "there is no model or file for det"
        raise PlanError(f"{where}: crops.test.detector: no detector {detector!r}; {hint}")
    return f"{detectors[detector]}.test_predictions"
