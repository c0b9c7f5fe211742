"""Fusing the label maps of several segmentation models."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recycling.ensembling.members import EnsemblingError, member_names
from recycling.ensembling.threads import kernel_threads
from recycling.predictions import IGNORE, LabelMap, LabelMaps

WORTH_THREADS = 2**19
"""Pixels, over all members, from which on several threads are faster than one."""


def hard_vote(label_maps: NDArray[np.uint8], *, ranks: Sequence[int]) -> LabelMap:
    """Give each pixel the label that most members give it.

    Ties go to the best-ranked member among the tied (report B: "pixel-wise hard voting, ties to
    the better-ranked model"). A member that says 255 ("ignore") at a pixel has no vote there; where
    all say it, so does the result.

    Args:
        label_maps: (members, H, W), one map a member; at most 255 members.
        ranks: (members,), each member's place, the smallest the best; no two the same.

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
    best_first = _best_first(ranks, member_names(None, n_members))

    from recycling.ensembling import _mask_kernels

    flat = np.ascontiguousarray(label_maps).reshape(n_members, height * width)
    if not flat.flags.writeable:
        # numba compiles a second kernel for read-only arrays; a copy is cheaper.
        flat = flat.copy()
    many = flat.size >= WORTH_THREADS
    kernel = _mask_kernels.vote if many else _mask_kernels.vote_serial
    with kernel_threads(worthwhile=many):
        fused: LabelMap = kernel(flat, best_first, np.uint8(IGNORE))
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


def fuse_label_maps(
    members: Sequence[LabelMaps],
    ranks: Sequence[int],
    *,
    names: Sequence[str] | None = None,
) -> LabelMaps:
    """Vote on every image; each is voted on when its map is asked for.

    Args:
        members: The label maps of each member, of the same images. Where sizes differ, maps are
            brought to the size of the first member's (nearest pixel).
        ranks: (members,), each member's place, the smallest the best; no two the same.
        names: What to call the members in messages.

    Returns:
        The fused maps, in the first member's order.

    Raises:
        EnsemblingError: The ranks do not fit, or a member lacks an image that another has.
    """
    called = member_names(names, len(members))
    _best_first(ranks, called)
    check_same_images(members, called)

    def read(image_id: int) -> LabelMap:
        return hard_vote(stacked(members, image_id), ranks=ranks)

    return LabelMaps(list(members[0]), read)


def check_same_images(members: Sequence[LabelMaps], names: Sequence[str]) -> None:
    """Stop with one line where a member lacks an image that another one has."""
    first = members[0]
    for name, member in zip(names, members, strict=True):
        for lacking, has, lacking_name, has_name in (
            (member, first, name, names[0]),
            (first, member, names[0], name),
        ):
            known = set(lacking)
            missing = [image_id for image_id in has if image_id not in known]
            if missing:
                raise EnsemblingError(
                    f"{lacking_name}: no label map of image {missing[0]}, which {has_name} has "
                    f"({len(missing)} are missing); predict on the same images or leave "
                    f"{lacking_name} out"
                )


def stacked(members: Sequence[LabelMaps], image_id: int) -> NDArray[np.uint8]:
    """The members' maps of one image, (members, H, W), in the first one's size."""
    import cv2

    maps = [member[image_id] for member in members]
    height, width = maps[0].shape
    return np.stack(
        [
            label_map
            if label_map.shape == (height, width)
            else cv2.resize(label_map, (width, height), interpolation=cv2.INTER_NEAREST)
            for label_map in maps
        ]
    )


def _best_first(ranks: Sequence[int], names: Sequence[str]) -> NDArray[np.int64]:
    if len(ranks) != len(names):
        raise EnsemblingError(
            f"{len(ranks)} ranks for {len(names)} members; give one rank a member"
        )
    holder: dict[int, str] = {}
    for name, rank in zip(names, ranks, strict=True):
        if rank in holder:
            raise EnsemblingError(
                f"{holder[rank]} and {name} share rank {rank}; a tie needs one of them to be better"
            )
        holder[rank] = name
    return np.argsort(np.asarray(ranks, dtype=np.int64), kind="stable").astype(np.int64)
