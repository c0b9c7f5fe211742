"""Members that predict whole images: that they have the same ones, and in which size to meet."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TypeAlias

from recycling.ensembling.members import EnsemblingError, check_same

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


def check_sizes(sizes: ImageSizes | None, image_ids: Iterable[int]) -> None:
    """Stop with one line where the table of sizes does not say an image's.

    Args:
        sizes: Height and width by image; None where the first member's size is to be taken.
        image_ids: The images that are fused.

    Raises:
        EnsemblingError: An image has no size, or one below 1 x 1.
    """
    if sizes is None:
        return
    for image_id in image_ids:
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
