"""Soft voting: each pixel has the label that segmentation models hold most likely on average."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from recycling.ensembling.masks.image_members import ImageSizes, check_members, stacked
from recycling.ensembling.members import EnsemblingError, member_names, member_weights
from recycling.ensembling.methods import Calibrate, MaskFusion, MemberWeights, mask_method
from recycling.predictions import LabelMap, LabelMaps
from recycling.predictions.probability_maps import ProbabilityMaps


class SoftVoteSettings(MaskFusion):
    """Each pixel has the label that the members hold most likely on average.

    Attributes:
        weights: How much each member counts.
        calibrate: How the members' scores are made comparable before they are fused.
    """

    method: Literal["soft_vote"] = "soft_vote"
    weights: MemberWeights = "equal"
    calibrate: Calibrate = "none"


def soft_vote(planes: NDArray[np.uint8], *, weights: Sequence[float] | None = None) -> LabelMap:
    """Give each pixel the label that the members hold most likely on average.

    Args:
        planes: (members, classes, H, W), plane i the probability of label i, where 255 is certain.
            At most 255 classes.
        weights: (members,), how much each member counts; None where all count the same. Only their
            ratio matters.

    Returns:
        (H, W), the fused map; of labels that are equally likely, the smallest. Sums are exact
        with equal weights, and in float32 with others.

    Raises:
        EnsemblingError: The planes are of another shape or type, or the weights do not fit.

    Example:
        >>> planes = np.array([[[[200, 90]], [[55, 165]]], [[[10, 90]], [[245, 165]]]], np.uint8)
        >>> soft_vote(planes).tolist()
        [[1, 1]]
        >>> soft_vote(planes, weights=[2, 1]).tolist()
        [[0, 1]]
    """
    flat, counting = _checked(planes, weights)
    # Equal weights become ones: sums of whole numbers that float32 holds exactly.
    relative = (counting / counting.max()).astype(np.float32)

    from recycling.ensembling.masks.soft_vote.kernel import most_probable

    fused: LabelMap = most_probable(flat, relative)
    return fused.reshape(planes.shape[2:])


@mask_method("soft_vote", SoftVoteSettings, takes="probabilities")
def fuse_probability_maps(
    members: Sequence[ProbabilityMaps],
    *,
    weights: Sequence[float] | None = None,
    sizes: ImageSizes | None = None,
    names: Sequence[str] | None = None,
) -> LabelMaps:
    """Vote softly on every image; each is voted on when its map is asked for.

    Beside those that `ImageMaps` keeps, one image's planes are in memory at a time.

    Args:
        members: The probabilities of each member, of the same images and classes. Planes of another
            size than the image's are brought to it first, bilinearly.
        weights: (members,), as for `soft_vote`.
        sizes: Each image's height and width; None for the size of the first member's planes.
        names: What to call the members in messages.

    Returns:
        The fused label maps, in the first member's order.

    Raises:
        EnsemblingError: The weights do not fit, a member lacks an image that another has, or an
            image has no size. When a map is asked for: members have different numbers of classes.
    """
    called = check_members(members, names, sizes, what="probability map")
    member_weights(weights, called)

    def read(image_id: int) -> LabelMap:
        return soft_vote(stacked(members, image_id, sizes=sizes, names=called), weights=weights)

    return LabelMaps(list(members[0]), read)


def _checked(
    planes: NDArray[np.uint8], weights: Sequence[float] | None
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    if planes.ndim != 4 or planes.dtype != np.uint8:
        raise EnsemblingError(
            f"planes of shape {planes.shape} and type {planes.dtype}; they should be uint8 "
            "of shape (members, classes, H, W)"
        )
    n_members, n_classes, height, width = planes.shape
    if not 1 <= n_classes <= 255:
        raise EnsemblingError(f"planes of {n_classes} classes; a label map holds 1 to 255")
    counting = member_weights(weights, member_names(None, n_members))
    # numba compiles a second kernel for read-only arrays; a copy is cheaper.
    own = np.require(planes, requirements=["C", "W"])
    return own.reshape(n_members, n_classes, height * width), counting
