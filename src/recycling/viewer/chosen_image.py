"""The image that a page of predictions shows, and its neighbours."""

from __future__ import annotations

from dataclasses import dataclass

from recycling.viewer.core import ViewerError, search_images
from recycling.viewer.predicted import Predicted
from recycling.viewer.views import View, image_address, link_to, neighbours


@dataclass(frozen=True)
class ChosenImage:
    """One image of many.

    Attributes:
        image_id: Its id.
        file_name: Its file.
        source: Where the server gives it.
        width: Pixels.
        height: Pixels.
        previous: The id of the image before it.
        next: The id of the image after it.
    """

    image_id: int
    file_name: str
    source: str
    width: int
    height: int
    previous: int | None
    next: int | None


def chosen_image(view: View, predicted: Predicted) -> ChosenImage:
    """The image that an address asks for, or the first whose name is searched for.

    Raises:
        ViewerError: Nothing is predicted on it, or none is called so.
    """
    images = predicted.images
    text = view.address.text("find")
    ids = search_images(images, list(images.images), text)
    if not ids:
        raise ViewerError("no image is called so; look for another name, or for its id")
    image_id = view.address.number("id", ids[0])
    if image_id not in ids:
        if text is None:
            names = " and ".join(predicted.names)
            raise ViewerError(f"id={image_id}: not an image that {names} predicted on")
        image_id = ids[0]
    height, width = images.size(image_id)
    file_name = str(images.image(image_id)["file_name"])
    source = image_address(predicted.source, image_id, full=True)
    return ChosenImage(image_id, file_name, source, width, height, *neighbours(ids, image_id))


def neighbour_links(view: View, image: ChosenImage, **changes: object) -> dict[str, str | None]:
    """The addresses of the images before and after one.

    Args:
        view: The page.
        image: The image.
        changes: What else changes on the way; None takes away.
    """
    return {
        "previous": link_to(view.address, "id", image.previous, **changes),
        "next": link_to(view.address, "id", image.next, **changes),
    }
