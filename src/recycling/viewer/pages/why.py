"""Why: where a model looked for a prediction that is clicked on."""

from __future__ import annotations

import threading
from base64 import b64encode
from functools import partial
from io import BytesIO
from typing import Any, cast

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from recycling.annotations import ANNOTATIONS, BOX
from recycling.backends import BackendError, Checkpoint, Images
from recycling.backends.shared.activation_maps import METHODS, ActivationMap, Asked, Method
from recycling.viewer.controls import choice, field, slider
from recycling.viewer.core import ViewerError
from recycling.viewer.drawing import annotation_shapes
from recycling.viewer.later import later
from recycling.viewer.markup import render
from recycling.viewer.pages.data import found
from recycling.viewer.pages.predictions import PARTS, image_of, why_link
from recycling.viewer.predicted import Sides, said, sides_of
from recycling.viewer.views import View, around, image_address, link_to

TITLES: dict[Method, str] = {
    "grad_cam": "Grad-CAM",
    "grad_cam_plus_plus": "Grad-CAM++",
    "hires_cam": "HiResCAM",
    "layer_cam": "LayerCAM",
    "eigen_cam": "EigenCAM (of no class)",
}

_ONE_AT_A_TIME = threading.Lock()  # the libraries keep state of their own


def build(view: View) -> None:
    """Put the page on the screen."""
    from nicegui import ui

    address = view.address
    known = [name for name in view.holdings.sides if view.holdings.checkpoints(name)]
    if not known:
        raise ViewerError("no model is kept in data/06_models; kedro run trains some")
    name = address.one_of("side", known, known[0]) or known[0]
    of = sides_of(view.holdings, [name], address.one_of("part", list(PARTS)))
    method = cast(Method, address.one_of("method", METHODS, "grad_cam"))
    score = address.fraction("score", 0.3)
    ids = found(of.images, list(of.images.images), address.text("find"))
    image_id = image_of(address.number("id"), of, ids)
    image = of.images.image(image_id)
    asked = _asked(view, of)
    view.title(f"Why · {image['file_name']}")
    with ui.element("div").classes("controls"):
        choice(view, "side", known, "model", value=name, optional=False)
        both = {key: PARTS[key] for key in PARTS if key in of.sides[0].predictions}
        choice(view, "part", both, "images", value=of.part, optional=False)
        choice(view, "method", {key: TITLES[key] for key in METHODS}, "method", value=method,
               optional=False)  # fmt: skip
        slider(view, "score", "score", score)
        field(view, "find", "file name or id", address.text("find"))
    before, after = around(ids, image_id)
    shapes, maps = said(of, 0, image_id, score=score, link=why_link(view, name, of.part, image_id))
    neighbours = {
        "before": link_to(address, "id", before, box=None, category=None),
        "after": link_to(address, "id", after, box=None, category=None),
    }
    view.html(render("neighbours.html", **neighbours))
    with ui.element("div").classes("beside"):
        view.html(
            render(
                "why.html",
                source=image_address(of.source, image_id, full=True),
                width=int(image["width"]),
                height=int(image["height"]),
                name=name,
                shapes=shapes,
                maps=maps,
            )
        )
        if asked is None:
            view.say("click on a prediction: what the model looked at for it is shown here")
            return
        later(view, partial(_explained, view, of, image_id, asked, method), "asking the model …")


def _asked(view: View, of: Sides) -> tuple[int, tuple[float, float, float, float]] | None:
    """The category and the box that are clicked on; None where nothing is."""
    text, category = view.address.text("box"), view.address.number("category")
    if text is None or category is None:
        return None
    try:
        x_min, y_min, x_max, y_max = (float(edge) for edge in text.split(","))
    except ValueError as error:
        raise ViewerError(f"box={text[:60]}: give x_min,y_min,x_max,y_max") from error
    if not (0 <= x_min < x_max and 0 <= y_min < y_max):
        raise ViewerError(f"box={text[:60]}: give x_min,y_min,x_max,y_max within the image")
    if category not in of.images.categories:
        raise ViewerError(f"category={category}: not a category of {of.names[0]}")
    return category, (x_min, y_min, x_max, y_max)


def _explained(
    view: View, of: Sides, image_id: int, asked: tuple[int, Any], method: Method
) -> Markup:
    """The HTML of the map; kept, for it takes seconds."""
    key = f"{of.names[0]}: {of.part}: {image_id}: {asked}: {method}"
    checkpoint = _checkpoint(view, of, image_id)
    stamp = (id(of), str(checkpoint.folder))
    with _ONE_AT_A_TIME:
        make = lambda: _map(of, image_id, asked, method, checkpoint)  # noqa: E731
        shown: ActivationMap = view.holdings.keep("why", key, stamp, make)
    image = of.images.image(image_id)
    height, width = shown.seen.shape[:2]
    category, box = asked
    name = of.images.categories[category].name
    shapes = []
    if of.sides[0].task != "cls":
        scale = np.array([width / image["width"], height / image["height"]] * 2)
        row = {"category_id": category, **dict(zip(BOX, np.array(box) * scale, strict=True))}
        shapes = annotation_shapes([row], of.images.categories, (height, width))
    return render(
        "why_map.html",
        seen=_jpeg(shown.seen),
        heat=_jpeg(heat_colours(shown.seen, shown.heat)),
        width=width,
        height=height,
        shapes=shapes,
        title=f"what {of.names[0]} looked at for {name}, by {TITLES[method]}",
    )


def _map(
    of: Sides, image_id: int, asked: tuple[int, Any], method: Method, checkpoint: Checkpoint
) -> ActivationMap:
    from recycling.backends.registry import backend_for

    category, box = asked
    backend = backend_for(checkpoint.backend)
    if not hasattr(backend, "explain"):
        raise BackendError(f"models of {checkpoint.backend} cannot be asked; those of mm* can")
    name = of.images.categories[category].name
    if name not in checkpoint.category_names:
        raise BackendError(f"{checkpoint.folder}: does not know the category {name!r}")
    table = of.images.annotations.images
    crops = None
    if of.sides[0].task == "cls":
        row = {"annotation_id": 1, "image_id": image_id, "category_id": category}
        crops = ANNOTATIONS.empty().iloc[:0][["annotation_id", "image_id", *BOX]]
        crops.loc[0] = [row["annotation_id"], image_id, *box]
    images = Images(table[table["image_id"] == image_id], of.images.folder, crops)
    asked_of = Asked(checkpoint.category_names.index(name), box)
    found: ActivationMap = cast(Any, backend).explain(checkpoint, images, asked_of, method)
    return found


def _checkpoint(view: View, of: Sides, image_id: int) -> Checkpoint:
    """The training that holds the image out; on test images the first one."""
    names = view.holdings.checkpoints(of.names[0])
    fold = view.holdings.folds().get(image_id) if of.part == "out_of_fold" else None
    own = [name for name in names if name.endswith(f".fold{fold}.checkpoint")]
    found: Checkpoint = view.holdings.load((own or names)[0])
    return found


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
    return f"data:image/jpeg;base64,{b64encode(buffer.getvalue()).decode('ascii')}"
