"""Scenes: a ground, a few objects on it, and shots of them with their visible masks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import shapely
from numpy.random import Generator
from numpy.typing import NDArray

from recycling.sample.objects import CLASSES, Image, Plane, Sprite

Mask = NDArray[np.bool_]
"""(H, W): True where an object is seen."""

MARGIN = 8
"""A scene is this much larger on each side than its shots, pixels: room for the camera to move."""

TINY = (7.0, 13.0)
"""Lengths of tiny objects, pixels."""

SMALLEST_PIECE = 6
"""A visible piece below this many pixels is not annotated."""

_TRIES = 60


@dataclass(frozen=True)
class Scene:
    """What stands before the camera.

    Attributes:
        rgb: The image with its margin, (H, W, 3), 0 to 255.
        class_indices: The class of each object, in painting order: the later ones cover.
        masks: What of each object no later one covers, (H, W) each, with the margin.
    """

    rgb: Image
    class_indices: tuple[int, ...]
    masks: tuple[Mask, ...]


@dataclass(frozen=True)
class Shot:
    """One image of a scene.

    Attributes:
        rgb: (size, size, 3) uint8.
        class_indices: The class of each object in view, in painting order.
        masks: The visible mask of each, (size, size); never empty.
    """

    rgb: NDArray[np.uint8]
    class_indices: tuple[int, ...]
    masks: tuple[Mask, ...]


def compose_scene(rng: Generator, class_indices: Sequence[int], size: int) -> Scene:
    """Put one object of each class in `class_indices` on a random ground.

    Args:
        rng: Where all chance comes from.
        class_indices: Indices into `CLASSES`.
        size: Side of the shots to be taken, pixels.

    Returns:
        The scene. The painting order is random; positions are sought where no object hides another.
    """
    side = size + 2 * MARGIN
    rgb = _ground(rng, side)
    owner = np.full((side, side), -1, np.int16)
    placements = _placements(rng, class_indices, size)
    for order, item in enumerate(placements):
        sprite = CLASSES[item.class_index].paint(rng)
        rgb, silhouette = _place_object(rng, rgb, owner, sprite, item, size)
        owner[silhouette] = order
    rgb = _light(rng, rgb)
    masks = tuple(_without_small_pieces(owner == order) for order in range(len(placements)))
    return Scene(rgb, tuple(item.class_index for item in placements), masks)


def take_shot(rng: Generator, scene: Scene, *, steady: bool) -> Shot:
    """Take an image of a scene.

    Args:
        rng: Where noise and movement come from.
        scene: What is in view.
        steady: Whether the camera stands still; otherwise it moves by a few pixels, and the light
            changes a little.

    Returns:
        The shot. Objects that moved out of view are left out.

    >>> rng = np.random.default_rng(0)
    >>> scene = compose_scene(rng, [4, 8], size=96)  # glass, and a battery
    >>> take_shot(rng, scene, steady=True).rgb.shape
    (96, 96, 3)
    """
    down, right = (0, 0) if steady else rng.integers(-4, 5, 2)
    gain = 1.0 if steady else rng.uniform(0.92, 1.08)
    height, width = scene.rgb.shape[:2]
    window = (
        slice(MARGIN + down, height - MARGIN + down),
        slice(MARGIN + right, width - MARGIN + right),
    )
    rgb = scene.rgb[window] * gain
    grain = rng.standard_normal((*rgb.shape[:2], 4), np.float32)
    rgb = rgb + 3.0 * grain[..., 3:] + 1.5 * grain[..., :3]
    masks = [_without_small_pieces(mask[window]) for mask in scene.masks]
    seen = [index for index, mask in enumerate(masks) if mask.any()]
    return Shot(
        np.clip(np.round(rgb), 0, 255).astype(np.uint8),
        tuple(scene.class_indices[index] for index in seen),
        tuple(masks[index] for index in seen),
    )


def outline(mask: Mask) -> list[list[float]]:
    """The polygons of a mask, exactly along the edges of its pixels.

    COCO polygons have no holes: a piece with a hole is cut in two through the hole.

    Args:
        mask: (H, W), not empty.

    Returns:
        COCO polygons ``[x1, y1, x2, y2, ...]`` in pixels, one a visible piece.

    >>> mask = np.zeros((4, 4), np.bool_)
    >>> mask[1:3, 1:] = True
    >>> outline(mask)
    [[4.0, 1.0, 1.0, 1.0, 1.0, 3.0, 4.0, 3.0]]
    """
    steps = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    rows, starts = np.nonzero(steps == 1)
    _, ends = np.nonzero(steps == -1)
    runs = shapely.box(starts, rows, ends, rows + 1)
    pieces = _without_holes(shapely.union_all(runs))
    return [
        shapely.get_coordinates(piece.simplify(0).exterior)[:-1].ravel().tolist()
        for piece in pieces
    ]


@dataclass(frozen=True)
class _Placement:
    """An object to be placed: its length, and the range of its centre."""

    class_index: int
    length: float
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    least_visible: float
    angle: float


def _placements(rng: Generator, class_indices: Sequence[int], size: int) -> list[_Placement]:
    """Sizes, ranges of positions and painting order; in some scenes an object crosses another."""
    order = [int(index) for index in rng.permutation(np.asarray(class_indices))]
    scale = size / 192
    crowd = 1.08 if len(order) <= 3 else 0.94
    near, far = MARGIN + 0.12 * size, MARGIN + 0.88 * size
    slender = [index for index in order if CLASSES[index].slender]
    broad = [index for index in order if not CLASSES[index].slender]
    crossing = bool(slender and broad) and rng.random() < 0.5
    if crossing:
        order.remove(broad[0])
        order.remove(slender[0])
    has_tiny = len(order) >= 1 and rng.random() < 0.22
    items = []
    for index in order:
        shape = CLASSES[index]
        length = rng.uniform(shape.smallest, shape.largest) * scale * crowd
        items.append(_Placement(index, length, (near, far), (near, far), 0.8, _angle(rng)))
    if has_tiny:
        last = items.pop()
        length = rng.uniform(*TINY) * max(scale, 1.0)
        items.append(
            _Placement(last.class_index, length, (near, far), (near, far), 0.8, last.angle)
        )
    if crossing:
        x, y = rng.uniform(MARGIN + 0.3 * size, MARGIN + 0.7 * size, 2)
        below, above = CLASSES[broad[0]], CLASSES[slender[0]]
        items.insert(
            0, _Placement(broad[0], below.largest * scale, (x, x), (y, y), 0.0, _angle(rng))
        )
        spread = 0.03 * size
        length = max(above.largest, 84) * scale
        upright = 0.0 if above.name == "Glass" else 90.0
        turn = upright + rng.choice([0.0, 90.0]) + rng.normal(0, 15)
        where_x, where_y = (x - spread, x + spread), (y - spread, y + spread)
        items.insert(1, _Placement(slender[0], length, where_x, where_y, 0.3, float(turn)))
    return items


def _angle(rng: Generator) -> float:
    """Degrees: mostly near upright, now and then lying on a side."""
    return float(rng.normal(0, 18) + rng.choice([0, 90, -90, 180], p=[0.8, 0.08, 0.08, 0.04]))


def _place_object(
    rng: Generator,
    rgb: Image,
    owner: NDArray[np.int16],
    sprite: Sprite,
    item: _Placement,
    size: int,
) -> tuple[Image, Mask]:
    """Paint an object where the earlier ones stay visible enough.

    Positions are drawn at random until one is good enough; else the best of them is taken.
    """
    before = np.bincount(owner[owner >= 0].ravel()) if (owner >= 0).any() else np.zeros(0, int)
    inside = np.zeros(owner.shape, bool)
    inside[MARGIN : MARGIN + size, MARGIN : MARGIN + size] = True
    patch, shape = _turned(sprite, item)
    reach = patch.shape[0] / 2
    best: tuple[float, int, int] | None = None
    for _ in range(_TRIES):
        left = round(rng.uniform(*item.x_range) - reach)
        top = round(rng.uniform(*item.y_range) - reach)
        covered, kept = _window(owner, top, left, shape)
        hidden = np.bincount(covered[kept & (covered >= 0)].ravel(), minlength=len(before))
        visible = 1.0 - float((hidden / np.maximum(before, 1)).max(initial=0.0))
        in_view, in_shape = _window(inside, top, left, shape)
        in_frame = float((in_view & in_shape).sum()) / float((shape > 0.5).sum())
        quality = min(visible / max(item.least_visible, 1e-6), in_frame / 0.72, 1.0)
        if best is None or quality > best[0]:
            best = (quality, top, left)
        if quality >= 1:
            break
    assert best is not None
    return _paint(rgb, patch, shape, best[1], best[2])


def _turned(sprite: Sprite, item: _Placement) -> tuple[Image, Plane]:
    """The object at its size and angle: premultiplied RGB with opacity, and its silhouette."""
    side = max(round(item.length), 4)
    patch = np.dstack([sprite.rgb * sprite.opacity[..., None], sprite.opacity])
    reach = int(np.ceil(side * 0.72)) + 2
    turn = cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), item.angle, 1.0)
    turn = turn + np.array([[0, 0, 1], [0, 0, 1]]) * (reach - (side - 1) / 2)
    small = [
        cv2.resize(layer, (side, side), interpolation=cv2.INTER_AREA)
        for layer in (patch.astype(np.float32), sprite.silhouette)
    ]
    whole = (2 * reach + 1, 2 * reach + 1)
    turned = [cv2.warpAffine(layer, turn, whole, flags=cv2.INTER_LINEAR) for layer in small]
    return np.asarray(turned[0], np.float32), np.asarray(turned[1], np.float32)


def _window(plane: NDArray[Any], top: int, left: int, shape: Plane) -> tuple[NDArray[Any], Mask]:
    """The part of `plane` below a patch at (`top`, `left`), and the patch's mask there."""
    rows = slice(max(top, 0), max(top + shape.shape[0], 0))
    columns = slice(max(left, 0), max(left + shape.shape[1], 0))
    part = plane[rows, columns]
    first_row, first_column = rows.start - top, columns.start - left
    mask = shape[first_row : first_row + part.shape[0], first_column : first_column + part.shape[1]]
    return part, mask > 0.5


def _paint(rgb: Image, patch: Image, shape: Plane, top: int, left: int) -> tuple[Image, Mask]:
    """Paint the patch and its shadow; the new image, and the object's mask in it."""
    reach = patch.shape[0]
    silhouette = np.zeros(rgb.shape[:2], np.float32)
    layer = np.zeros((*rgb.shape[:2], 4), np.float32)
    for plane, part in ((silhouette, shape), (layer, patch)):
        here, _ = _window(plane, top, left, shape)
        above, before = max(-top, 0), max(-left, 0)
        here[...] = part[above : above + here.shape[0], before : before + here.shape[1]]
    shadow = cv2.GaussianBlur(np.roll(silhouette, (3, 2), axis=(0, 1)), (0, 0), 3.0)
    laid = np.array(rgb, np.float32)
    part_of = (
        slice(max(top - 12, 0), top + reach + 12),
        slice(max(left - 12, 0), left + reach + 12),
    )
    darker = 1 - 0.4 * np.asarray(shadow)[part_of][..., None]
    over = layer[part_of]
    laid[part_of] = laid[part_of] * darker * (1 - over[..., 3:]) + over[..., :3]
    return laid, silhouette > 0.5


def _without_small_pieces(mask: Mask) -> Mask:
    """Drop pieces that are too small to annotate; a piece is a set of side-by-side pixels."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    kept = stats[:, cv2.CC_STAT_AREA] >= SMALLEST_PIECE
    kept[0] = False
    return np.asarray(kept[labels], np.bool_)


def _without_holes(shape: shapely.Geometry) -> list[shapely.Polygon]:
    pieces: list[shapely.Polygon] = []
    for piece in shapely.get_parts(shape):
        if len(piece.interiors) == 0:
            pieces.append(piece)
            continue
        x_min, y_min, x_max, y_max = piece.bounds
        cut = round(piece.interiors[0].centroid.x)
        for half in ((x_min, cut), (cut, x_max)):
            part = piece.intersection(shapely.box(half[0], y_min, half[1], y_max))
            pieces.extend(_without_holes(_polygons_of(part)))
    return pieces


def _polygons_of(shape: shapely.Geometry) -> shapely.MultiPolygon:
    parts = shapely.get_parts(shape)
    return shapely.MultiPolygon([part for part in parts if part.geom_type == "Polygon"])


def _light(rng: Generator, rgb: Image) -> Image:
    """Uneven light over the whole scene, and a slight tint."""
    side = rgb.shape[0]
    line = np.linspace(-1, 1, side, dtype=np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    slope = np.cos(angle) * line[None, :] + np.sin(angle) * line[:, None]
    lit = rgb * (rng.uniform(0.88, 1.06) + 0.12 * slope[..., None]) * rng.uniform(0.95, 1.05, 3)
    return np.asarray(lit, np.float32)


def _ground(rng: Generator, side: int) -> Image:
    paint = _GROUNDS[int(rng.integers(len(_GROUNDS)))]
    rgb = paint(rng, side)
    return np.asarray(np.clip(_add_clutter(rng, rgb), 0, 255), np.float32)


def _asphalt(rng: Generator, side: int) -> Image:
    grey = rng.uniform(70, 130) + 18 * _noise(rng, side, 12) + rng.normal(0, 11, (side, side))
    rgb = np.dstack([grey + rng.uniform(-6, 6) for _ in range(3)])
    return np.asarray(rgb, np.float32)


def _grass(rng: Generator, side: int) -> Image:
    base = np.array([rng.uniform(60, 105), rng.uniform(95, 130), rng.uniform(40, 70)])
    rgb: Image = (base * (1 + 0.15 * _noise(rng, side, 10))[..., None]).astype(np.float32)
    starts = rng.integers(0, side, (420, 2))
    leans = rng.normal(0, 3, 420)
    for (x, y), lean, light in zip(starts, leans, rng.uniform(0.6, 1.45, 420), strict=True):
        end = (int(x + lean), int(y - 7))
        cv2.line(rgb, (int(x), int(y)), end, (base * light).tolist(), 1)
    return rgb


def _tiles(rng: Generator, side: int) -> Image:
    pitch = int(rng.integers(34, 58))
    base = rng.uniform(125, 200) + rng.uniform(-14, 14, 3)
    count = side // pitch + 2
    tones = rng.uniform(0.92, 1.06, (count, count))
    shift_y, shift_x = rng.integers(0, pitch, 2)
    rows = (np.arange(side) + shift_y) // pitch
    columns = (np.arange(side) + shift_x) // pitch
    tone = tones[rows[:, None], columns[None, :]] * (1 + 0.06 * _noise(rng, side, 16))
    grout = ((np.arange(side) + shift_y) % pitch < 2)[:, None] | (
        (np.arange(side) + shift_x) % pitch < 2
    )[None, :]
    rgb = base * np.where(grout, 0.66, tone)[..., None]
    return np.asarray((rgb + rng.normal(0, 3, (side, side, 1))), np.float32)


def _sand(rng: Generator, side: int) -> Image:
    base = np.array([rng.uniform(170, 210), rng.uniform(145, 175), rng.uniform(105, 135)])
    y, x = np.mgrid[:side, :side].astype(np.float32)
    ripple = np.sin(y / rng.uniform(7, 12) + 3 * _noise(rng, side, 5) + x / 60)
    tone = 1 + 0.045 * ripple + 0.07 * _noise(rng, side, 9) + rng.normal(0, 0.045, (side, side))
    return np.asarray((base * tone[..., None]), np.float32)


def _wood(rng: Generator, side: int) -> Image:
    base = np.array([rng.uniform(130, 180), rng.uniform(95, 130), rng.uniform(60, 90)])
    plank = int(rng.integers(30, 52))
    tones = rng.uniform(0.85, 1.1, side // plank + 1)
    across = np.arange(side)
    y, x = np.mgrid[:side, :side].astype(np.float32)
    grain = np.sin(x / 1.7 + 6 * _noise(rng, side, 4) + y / 40)
    tone = tones[across // plank][None, :] * (1 + 0.05 * grain + 0.06 * _noise(rng, side, 14))
    tone = np.where((across % plank < 2)[None, :], 0.55, tone)
    rgb = base * tone[..., None]
    if rng.random() < 0.5:
        rgb = rgb.transpose(1, 0, 2)
    return np.asarray((rgb + rng.normal(0, 3, (side, side, 1))), np.float32)


_GROUNDS: tuple[Callable[[Generator, int], Image], ...] = (_asphalt, _grass, _tiles, _sand, _wood)


def _add_clutter(rng: Generator, rgb: Image) -> Image:
    """Add what is no object: stains, cracks, pebbles, fallen leaves."""
    side = rgb.shape[0]
    stain = _noise(rng, side, 4)
    rgb = rgb * (1 - 0.16 * np.clip(stain - 0.45, 0, 1))[..., None]
    rgb = np.ascontiguousarray(rgb.astype(np.float32))
    for _ in range(int(rng.integers(0, 3))):
        headings = rng.uniform(0, 2 * np.pi) + rng.normal(0, 0.45, 9).cumsum()
        steps = np.stack([np.cos(headings), np.sin(headings)], axis=1) * rng.uniform(3, 9, (9, 1))
        steps = steps.cumsum(axis=0) + rng.uniform(0, side, 2)
        shade = (rgb.mean(axis=(0, 1)) * 0.6).tolist()
        cv2.polylines(rgb, [steps.round().astype(np.int32)], False, shade, 1)
    for _ in range(int(rng.integers(3, 9))):
        x, y = (int(value) for value in rng.integers(0, side, 2))
        shade = (rgb[y, x] * rng.uniform(0.7, 1.3)).tolist()
        axes = (int(rng.integers(1, 4)), int(rng.integers(1, 3)))
        cv2.ellipse(rgb, (x, y), axes, float(rng.uniform(0, 180)), 0, 360, shade, cv2.FILLED)
    return rgb


def _noise(rng: Generator, side: int, cells: int) -> Plane:
    """Smooth noise, about -1 to 1, of about `cells` bumps a side."""
    small = rng.uniform(-1, 1, (cells, cells)).astype(np.float32)
    return np.asarray(cv2.resize(small, (side, side), interpolation=cv2.INTER_CUBIC), np.float32)
