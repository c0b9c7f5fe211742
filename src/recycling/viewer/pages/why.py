"""Why: where a model looked for a prediction that is clicked on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from typing import Any, cast

import numpy as np
import pandas as pd
from markupsafe import Markup
from numpy.typing import NDArray

from recycling.annotations import BOX
from recycling.backends import Backend, BackendError, Checkpoint, Images, backend_for
from recycling.backends.shared.activation_maps import METHODS, ActivationMap, Asked, Method
from recycling.errors import cut
from recycling.viewer.chosen_image import ChosenImage, chosen_image, neighbour_links
from recycling.viewer.controls import choice, field, part_choice, slider
from recycling.viewer.core import ViewerError, data_address
from recycling.viewer.drawing import Shape, box_path
from recycling.viewer.later import later
from recycling.viewer.markup import render
from recycling.viewer.predicted import Link, Predicted, predicted_by, predicted_shapes
from recycling.viewer.views import View

TITLES: dict[str, str] = {
    "grad_cam": "Grad-CAM",
    "grad_cam_plus_plus": "Grad-CAM++",
    "hires_cam": "HiResCAM",
    "layer_cam": "LayerCAM",
    "eigen_cam": "EigenCAM (of no class)",
}


@dataclass(frozen=True)
class Clicked:
    """The prediction that is asked about.

    Attributes:
        category_id: What was predicted.
        box: `x_min, y_min, x_max, y_max`, pixels of the image.
    """

    category_id: int
    box: tuple[float, float, float, float]


def build(view: View) -> None:
    """Put the page on the screen."""
    from nicegui import ui

    address = view.address
    known = [name for name in view.holdings.sides if view.holdings.checkpoints(name)]
    if not known:
        raise ViewerError("no model is kept in data/06_models; kedro run trains some")
    name = address.one_of("side", known, known[0]) or known[0]
    method = cast(Method, address.one_of("method", METHODS, "grad_cam"))
    score = address.fraction("score", 0.3)
    heading = ui.element("div")
    # Each control is there before what it may lead out of is looked up.
    with ui.element("div").classes("controls"):
        choice(view, "side", known, "model", value=name, optional=False)
        predicted = predicted_by(view.holdings, [name], address.text("part"))
        part_choice(view, predicted)
        choice(view, "method", TITLES, "method", value=method, optional=False)
        if predicted.sides[0].task != "seg":
            slider(view, "score", "score", score)
        field(view, "find", "file name or id", address.text("find"), resets=("box", "category"))
    image = chosen_image(view, predicted)
    clicked = _clicked(view, predicted)
    checkpoint = _checkpoint(view, predicted, image.image_id)
    backend = backend_for(checkpoint.backend)
    with heading:
        view.title(f"Why · {image.file_name}")
    links = neighbour_links(view, image, box=None, category=None)
    view.html(render("neighbours.html", **links))
    link = why_link(view, name, predicted.part, image.image_id)
    shapes, layers = predicted_shapes(predicted, 0, image.image_id, score=score, link=link)
    with ui.element("div").classes("beside"):
        view.html(render("why.html", image=image, name=name, shapes=shapes, layers=layers))
        if clicked is None:
            view.say("click on a prediction: what the model looked at for it is shown here")
        else:
            ask = partial(_activation_map, backend, checkpoint, predicted, image, clicked, method)
            key = f"{name}: {predicted.part}"
            where = f"{checkpoint.folder}: {image.image_id}: {clicked}: {method}"

            def explain() -> Markup:
                # Takes seconds.
                found: ActivationMap = view.holdings.keep("why", key, (predicted, where), ask)
                return _shown(predicted, image, clicked, method, found)

            later(view, explain, "asking the model …")


def why_link(view: View, name: str, part: str, image_id: int) -> Link | None:
    """Gives, for a prediction, the address of what the model looked at; None without a model."""
    if name.endswith(".csv") or not view.holdings.checkpoints(name):
        return None

    def link(row: Mapping[Any, Any]) -> str:
        box = ",".join(f"{float(row[edge]):.1f}" for edge in BOX)
        category = int(row["category_id"])
        return view.address.link(
            "/why", side=name, part=part, id=image_id, box=box, category=category
        )

    return link


def _clicked(view: View, predicted: Predicted) -> Clicked | None:
    """The prediction that is clicked on; None where none is."""
    text, category_id = view.address.text("box"), view.address.number("category")
    if text is None or category_id is None:
        return None
    try:
        x_min, y_min, x_max, y_max = (float(edge) for edge in text.split(","))
    except ValueError as error:
        raise ViewerError(f"box={cut(text, 60)}: give x_min,y_min,x_max,y_max") from error
    if not (0 <= x_min < x_max and 0 <= y_min < y_max):
        raise ViewerError(f"box={cut(text, 60)}: give x_min,y_min,x_max,y_max within the image")
    if category_id not in predicted.images.categories:
        raise ViewerError(f"category={category_id}: not a category of {predicted.names[0]}")
    return Clicked(category_id, (x_min, y_min, x_max, y_max))


def _checkpoint(view: View, predicted: Predicted, image_id: int) -> Checkpoint:
    """The training that holds the image out; on test images the first one."""
    names = view.holdings.checkpoints(predicted.names[0])
    fold = view.holdings.folds().get(image_id) if predicted.part == "out_of_fold" else None
    of_fold = [name for name in names if name.endswith(f".fold{fold}.checkpoint")]
    checkpoint: Checkpoint = view.holdings.load((of_fold or names)[0])
    return checkpoint


def _activation_map(
    backend: Backend,
    checkpoint: Checkpoint,
    predicted: Predicted,
    image: ChosenImage,
    clicked: Clicked,
    method: Method,
) -> ActivationMap:
    """Ask the model.

    Raises:
        BackendError: It does not know the category, or cannot say where it looked.
    """
    images = predicted.images
    name = images.categories[clicked.category_id].name
    if name not in checkpoint.category_names:
        raise BackendError(f"{checkpoint.folder}: does not know the category {name!r}")
    table = images.annotations.images
    crops = None
    if predicted.sides[0].task == "cls":
        box = dict(zip(BOX, clicked.box, strict=True))
        crops = pd.DataFrame([{"annotation_id": 1, "image_id": image.image_id, **box}])
    looked_at = Images(table[table["image_id"] == image.image_id], images.folder, crops)
    asked = Asked(checkpoint.category_names.index(name), clicked.box)
    return backend.explain(checkpoint, looked_at, asked, method)


def _shown(
    predicted: Predicted, image: ChosenImage, clicked: Clicked, method: Method, found: ActivationMap
) -> Markup:
    """The HTML of a map."""
    height, width = found.seen.shape[:2]
    category = predicted.images.categories[clicked.category_id]
    shapes = []
    if predicted.sides[0].task != "cls":  # of a classifier, all that is seen is the box
        scale = (width / image.width, height / image.height) * 2
        box = [edge * factor for edge, factor in zip(clicked.box, scale, strict=True)]
        shapes = [Shape(box_path(box), box, category.name, category.colour)]
    return render(
        "why_map.html",
        seen=_jpeg(found.seen),
        heat=_jpeg(heat_colours(found.seen, found.heat)),
        width=width,
        height=height,
        shapes=shapes,
        title=f"what {predicted.names[0]} looked at for {category.name}, by {TITLES[method]}",
    )


def heat_colours(seen: NDArray[np.uint8], heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """An image under heat, in colours that are told apart by every eye.

    Args:
        seen: (H, W, 3) RGB.
        heat: (H, W), 0 to 1.

    >>> heat_colours(np.zeros((2, 2, 3), np.uint8), np.ones((2, 2), np.float32)).shape
    (2, 2, 3)
    """
    import cv2

    levels = (np.clip(heat, 0, 1) * 255).astype(np.uint8)
    coloured = cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO)[..., ::-1].astype(np.float32)
    grey = seen.mean(axis=2, keepdims=True)
    return np.asarray(0.45 * grey + 0.55 * coloured, dtype=np.uint8)


def _jpeg(image: NDArray[np.uint8]) -> str:
    from PIL import Image

    buffer = BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=90)
    return data_address("jpeg", buffer.getvalue())
