"""Hard voting: each pixel has the label that most segmentation models give it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from recycling.ensembling.masks.image_members import ImageSizes, check_members, stacked
from recycling.ensembling.members import EnsemblingError, member_names
from recycling.ensembling.methods import MaskFusion, mask_method
from recycling.ensembling.ties import best_first
from recycling.predictions import IGNORE, LabelMap, LabelMaps


class HardVoteSettings(MaskFusion):
    """Each pixel has the label that most members give it; ties go to the better-ranked member."""

    method: Literal["hard_vote"] = "hard_vote"


def hard_vote(label_maps: NDArray[np.uint8], *, ranks: Sequence[int]) -> LabelMap:
    """Give each pixel the label that most members give it.

    Ties go to the best-ranked member among the tied (report B: "pixel-wise hard voting, ties to
    the better-ranked model"). A member that says 255 ("ignore") at a pixel has no vote there; where
    all say it, so does the result.

    Args:
        label_maps: (members, H, W), one map a member; at most 255 members.
        ranks: (members,), each member's rank, the smallest the best; no two the same.

    Returns:
        (H, W), the fused map.

    Raises:
        EnsemblingError: The maps are not uint8 of that shape, or the ranks do not fit.

    Example:
        >>> maps = np.array([[[1, 1]], [[2, 3]], [[2, 2]]], dtype=np.uint8)
        >>> hard_vote(maps, ranks=[3, 1, 2]).tolist()
        [[2, 3]]
    """
    if label_maps.ndim != 3 or label_maps.dtype != np.uint8:
        raise EnsemblingError(
            f"label maps of shape {label_maps.shape} and type {label_maps.dtype}; "
            "they should be uint8 of shape (members, H, W)"
        )
    n_members, height, width = label_maps.shape
    if not 1 <= n_members <= 255:
        raise EnsemblingError(f"{n_members} label maps; a vote takes 1 to 255")
    order = best_first(ranks, member_names(None, n_members))

    from recycling.ensembling.masks.hard_vote.kernel import vote

    # numba compiles a second kernel for read-only arrays; a copy is cheaper.
    flat = np.require(label_maps, requirements=["C", "W"]).reshape(n_members, height * width)
    fused: LabelMap = vote(flat, order, np.uint8(IGNORE))
    return fused.reshape(height, width)


def vote_agreement(label_maps: NDArray[np.uint8], fused: LabelMap) -> NDArray[np.float32]:
    """How many of the members agree with the fused map, pixel by pixel.

    Args:
        label_maps: (members, H, W), one map a member.
        fused: (H, W), what `hard_vote` made of them.

    Returns:
        (H, W), the share of the members whose label is the fused one, 0 to 1.

    Raises:
        EnsemblingError: The maps are of different sizes.

    Example:
        >>> maps = np.array([[[1, 1]], [[2, 1]]], dtype=np.uint8)
        >>> vote_agreement(maps, maps[0]).tolist()
        [[0.5, 1.0]]
    """
    if label_maps.shape[1:] != fused.shape:
        raise EnsemblingError(
            f"label maps of {label_maps.shape[1:]} pixels and a fused map of {fused.shape}; "
            "give the fused map of the same image"
        )
    agreeing = np.zeros(fused.shape, dtype=np.float32)
    for label_map in label_maps:
        agreeing += label_map == fused
    return agreeing / np.float32(len(label_maps))


@mask_method("hard_vote", HardVoteSettings, learns="ranks")
def fuse_label_maps(
    members: Sequence[LabelMaps],
    ranks: Sequence[int],
    *,
    sizes: ImageSizes | None = None,
    names: Sequence[str] | None = None,
) -> LabelMaps:
    """Vote on every image; each is voted on when its map is asked for.

    Beside those that `ImageMaps` keeps, one image's maps are in memory at a time.

    Args:
        members: The label maps of each member, of the same images. Maps of another size than the
            image's are brought to it first, taking the pixel under the centre.
        ranks: (members,), each member's rank, the smallest the best; no two the same.
        sizes: Each image's height and width; None for the size of the first member's map. Give
            them where members predict at different sizes, or the result hangs on who is first.
        names: What to call the members in messages.

    Returns:
        The fused maps, in the first member's order.

    Raises:
        EnsemblingError: The ranks do not fit, a member lacks an image that another has, or an image
            has no size.
    """
    called = check_members(members, names, sizes, what="label map")
    best_first(ranks, called)

    def read(image_id: int) -> LabelMap:
        return hard_vote(stacked(members, image_id, sizes=sizes, names=called), ranks=ranks)

    return LabelMaps(list(members[0]), read)
