"""Members that predict whole images: that they have the same ones, and in which size to meet."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from recycling.ensembling.members import EnsemblingError, check_same, member_names

ImageSizes: TypeAlias = Mapping[int, tuple[int, int]]
"""Height and width, in pixels, by image."""


def check_same_images(
    members: Sequence[Collection[int]], names: Sequence[str], *, what: str = "label map"
) -> None:
    """Stop with one line where a member lacks an image that another one has.

    Args:
        members: The images of each member.
        names: The members' names.
        what: What they predict, for the message.

    Raises:
        EnsemblingError: A member lacks an image; it names both and the first such image.
    """
    check_same(members, names, what=f"{what} of image", remedy="predict on the same images")


def check_members(
    members: Sequence[Collection[int]],
    names: Sequence[str] | None,
    sizes: ImageSizes | None,
    *,
    what: str,
) -> list[str]:
    """The members' names, once it is known that their images can be fused.

    Args:
        members: The images of each member.
        names: The members' names; None for ``member 0``, ``member 1``, ...
        sizes: Height and width by image; None where the first member's size is to be taken.
        what: What they predict, for the message.

    Raises:
        EnsemblingError: A member lacks an image that another has, or an image has no size.
    """
    called = member_names(names, len(members))
    check_same_images(members, called, what=what)
    if sizes is None:
        return called
    for image_id in members[0]:
        if image_id not in sizes:
            raise EnsemblingError(
                f"image {image_id}: the members predict it but its size is not given; give the "
                "images that were predicted on"
            )
        height, width = sizes[image_id]
        if height < 1 or width < 1:
            raise EnsemblingError(
                f"image {image_id}: a size of {width} x {height} pixels; both must be 1 or more"
            )
    return called


def stacked(
    members: Sequence[Mapping[int, NDArray[np.uint8]]],
    image_id: int,
    *,
    sizes: ImageSizes | None = None,
    names: Sequence[str] | None = None,
) -> NDArray[np.uint8]:
    """The members' label maps, or probability planes, of one image in one size.

    Maps are resized to the pixel under the centre, for labels do not mix; planes bilinearly.

    Args:
        members: The maps, (H, W), or planes, (classes, H, W), of each member.
        image_id: The image.
        sizes: Height and width by image; None for the first member's.
        names: What to call the members in messages.

    Returns:
        (members, H, W) or (members, classes, H, W), a copy.

    Raises:
        EnsemblingError: Members know different numbers of classes.

    Example:
        >>> class_of = {7: np.array([[1, 2]], np.uint8)}
        >>> stacked([class_of, class_of], 7).tolist()
        [[[1, 2]], [[1, 2]]]
    """
    import cv2

    called = member_names(names, len(members))
    first = members[0][image_id]
    height, width = first.shape[-2:] if sizes is None else sizes[image_id]
    stack = np.empty((len(members), *first.shape[:-2], height, width), dtype=np.uint8)
    # INTER_NEAREST takes the pixel up and left of the centre: maps would shift.
    how = cv2.INTER_NEAREST_EXACT if first.ndim == 2 else cv2.INTER_LINEAR
    for name, member, own in zip(called, members, stack, strict=True):
        given = first if member is members[0] else member[image_id]
        if given.shape[:-2] != first.shape[:-2]:
            raise EnsemblingError(
                f"{name}: image {image_id}: {len(given)} classes, and {len(first)} in {called[0]}; "
                f"members of one ensemble know the same classes, leave {name} out"
            )
        if given.shape == own.shape:
            own[:] = given
            continue
        planes, resized_planes = (array.reshape(-1, *array.shape[-2:]) for array in (given, own))
        for plane, resized in zip(planes, resized_planes, strict=True):
            cv2.resize(plane, (width, height), resized, interpolation=how)
    return stack
