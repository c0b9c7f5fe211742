"""How each class of waste looks: ten small painters.

Outline and texture tell the class. Colours are drawn at random for each object from one wide range,
so that no colour stands for a class.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Image: TypeAlias = NDArray[np.floating[Any]]
"""(H, W, 3) RGB, 0 to 255."""

Plane: TypeAlias = NDArray[np.floating[Any]]
"""(H, W), mostly 0 to 1."""

Colour: TypeAlias = NDArray[np.floating[Any]]
"""(3,) RGB, 0 to 255."""

SIDE = 176
"""Objects are painted at this many pixels and made smaller afterwards, which smooths edges."""

_GRID = (np.arange(SIDE, dtype=np.float32) + 0.5) / (SIDE / 2) - 1
_X = np.broadcast_to(_GRID[None, :], (SIDE, SIDE))
_Y = np.broadcast_to(_GRID[:, None], (SIDE, SIDE))


@dataclass(frozen=True)
class Sprite:
    """An object on its own.

    Attributes:
        rgb: Its colours, (SIDE, SIDE, 3).
        silhouette: 1 on the object and 0 elsewhere, (SIDE, SIDE); it has no holes.
        opacity: How much it covers what lies below, (SIDE, SIDE), 0 to 1.
    """

    rgb: Image
    silhouette: Plane
    opacity: Plane


@dataclass(frozen=True)
class ObjectClass:
    """One of the ten classes.

    Attributes:
        name: As the AI Stages sets name it.
        real_count: Annotations of it in the real set; the sample's imbalance comes from these.
        paint: Makes one object.
        smallest: Length of the smaller ones, pixels of a 192 px image.
        largest: Length of the larger ones.
        slender: Whether one that lies across another object cuts it in two.
    """

    name: str
    real_count: int
    paint: Callable[[Generator], Sprite]
    smallest: float
    largest: float
    slender: bool = False


# Each painter works on the square from (-1, -1), top left, to (1, 1), bottom right.


def paint_general_trash(rng: Generator) -> Sprite:
    """Jagged debris patched together from scraps of several colours."""
    n_spikes = int(rng.integers(7, 11))
    angles = np.linspace(0, 2 * np.pi, 2 * n_spikes, endpoint=False)
    angles += rng.normal(0, 0.06, angles.size)
    radii = np.where(np.arange(angles.size) % 2 == 0, 0.93, 0.55)
    radii = radii * rng.uniform(0.86, 1.03, angles.size)
    silhouette = _shape(np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1))

    seeds = rng.uniform(-0.8, 0.8, (9, 2))
    distance = np.stack([(_X - x) ** 2 + (_Y - y) ** 2 for x, y in seeds])
    nearest, second = np.partition(distance, 1, axis=0)[:2]
    colours = np.stack([_colour(rng) * rng.uniform(0.5, 1.15) for _ in seeds])
    rgb = colours[np.argmin(distance, axis=0)].astype(np.float32)
    rgb[np.sqrt(second) - np.sqrt(nearest) < 0.06] *= 0.35
    return _finish(rng, rgb, silhouette)


def paint_paper(rng: Generator) -> Sprite:
    """A sheet, or a receipt, with lines of print and a dog-eared corner."""
    half = 0.36 if rng.random() < 0.3 else rng.uniform(0.62, 0.75)
    top, bottom = -0.95, 0.95
    corners = np.array([[-half, top], [half - 0.25, top], [half, top + 0.28], [half, bottom]])
    corners = np.concatenate([corners, [[-half, bottom]]])
    corners = corners + rng.normal(0, 0.03, corners.shape)
    silhouette = _shape(corners)

    sheet = _colour(rng, saturation=(0.0, 0.3), value=(0.8, 1.0))
    ink = _colour(rng, value=(0.1, 0.4))
    rgb = _plain(sheet)
    left, right = -half + 0.14, half - 0.14
    rows = np.linspace(top + 0.42, bottom - 0.2, int(rng.integers(6, 8)))
    _rectangle(rgb, left, top + 0.12, left + (right - left) * 0.5, top + 0.26, ink)
    for row in rows:
        end = left + (right - left) * rng.uniform(0.6, 1.0)
        _rectangle(rgb, left, float(row), float(end), float(row) + 0.085, ink)
    _polygon(rgb, [*corners[[1, 2]].tolist(), [half - 0.27, top + 0.3]], sheet * 0.62)
    _fold(rng, rgb, 2, 0.12)
    return _finish(rng, rgb, silhouette)


def paint_paper_pack(rng: Generator) -> Sprite:
    """A gable-top carton: three faces, a crimped ridge, a printed block."""
    edge = rng.uniform(0.1, 0.25)
    front = [[-0.58, -0.35], [edge, -0.35], [edge, 0.95], [-0.58, 0.95]]
    side = [[edge, -0.35], [0.58, -0.47], [0.58, 0.76], [edge, 0.95]]
    gable = [[-0.58, -0.35], [edge, -0.35], [edge + 0.06, -0.7], [-0.42, -0.7]]
    gable_side = [[edge, -0.35], [0.58, -0.47], [edge + 0.06, -0.7]]
    ridge = [[-0.42, -0.7], [edge + 0.06, -0.7], [edge + 0.06, -0.95], [-0.42, -0.95]]
    silhouette = np.maximum.reduce([_shape(p) for p in (front, side, gable, gable_side, ridge)])

    base, print_colour = _pair(rng)
    rgb = _plain(base)
    for face, light in ((front, 1.0), (side, 0.55), (gable, 0.8), (gable_side, 0.4), (ridge, 1.1)):
        _polygon(rgb, face, np.minimum(base * light, 255))
    _polygon(rgb, [[-0.58, 0.62], [edge, 0.62], [edge, 0.82], [-0.58, 0.82]], print_colour)
    _polygon(rgb, [[edge, 0.62], [0.58, 0.45], [0.58, 0.64], [edge, 0.82]], print_colour * 0.55)
    middle = (edge - 0.58) / 2
    _ellipse(rgb, middle, 0.14, 0.26, 0.3, print_colour)
    _ellipse(rgb, middle, 0.14, 0.13, 0.16, base)
    for line in ([[-0.58, -0.35], [edge, -0.35]], [[-0.42, -0.7], [edge + 0.06, -0.7]]):
        _line(rgb, line, base * 0.3, 0.04)
    _line(rgb, [[edge, -0.35], [edge, 0.95]], base * 0.3, 0.03)
    return _finish(rng, rgb, silhouette)


def paint_metal(rng: Generator) -> Sprite:
    """A can: mirror-like upright bands between two rims, an open lid with its tab."""
    half = rng.uniform(0.5, 0.6)
    dent = rng.uniform(0.0, 0.09)
    height = np.linspace(-0.72, 0.74, 24)
    wave = dent * np.sin(np.linspace(0, 3 * np.pi, 24)) * np.hanning(24)
    outline = np.concatenate(
        [
            np.stack([-half + wave, height], axis=1),
            np.stack([half + wave, height], axis=1)[::-1],
        ]
    )
    silhouette = np.maximum.reduce(
        [_shape(outline), _disc(0, -0.72, half, 0.21), _disc(0, 0.74, half, 0.2)]
    )

    position = _X / half
    shine = 0.34 + rng.uniform(0.0, 0.08) + np.zeros_like(position)
    for centre, width, height_of_band in (
        (-0.55, 0.13, 0.85),
        (0.02, 0.1, 0.55),
        (0.6, 0.15, 0.75),
    ):
        place = centre + rng.uniform(-0.06, 0.06)
        shine += height_of_band * np.exp(-(((position - place) / width) ** 2))
    tint = _colour(rng, saturation=(0.1, 0.6), value=(0.7, 1.0))
    silver = np.full(3, rng.uniform(205, 235), np.float32)
    painted = ((_Y > -0.42) & (_Y < 0.5))[..., None]
    rgb = np.where(painted, tint, silver).astype(np.float32) * shine[..., None].astype(np.float32)
    rgb = np.clip(rgb, 0, 255)
    _ellipse(rgb, 0, -0.72, half, 0.21, silver * 0.45)
    _ellipse(rgb, 0, -0.72, half - 0.06, 0.16, silver)
    _ellipse(rgb, 0.0, -0.76, half * 0.45, 0.08, silver * 0.25)
    _ellipse(rgb, 0.08, -0.68, 0.14, 0.05, silver * 0.6)
    arc = np.linspace(0.05, np.pi - 0.05, 16)
    for drop in (0.6, 0.72):
        rim = np.stack([half * np.cos(arc), drop + 0.19 * np.sin(arc)], axis=1)
        _line(rgb, rim, silver * 0.4, 0.035)
    return _finish(rng, rgb, silhouette)


def paint_glass(rng: Generator) -> Sprite:
    """A bottle with a long neck: see-through in the middle, a bright and a dark edge."""
    body, neck = rng.uniform(0.27, 0.33), rng.uniform(0.1, 0.125)
    shoulder = rng.uniform(-0.2, -0.02)
    half = [[neck + 0.035, -0.96], [neck + 0.035, -0.87], [neck, -0.86], [neck, shoulder - 0.2]]
    curve = np.linspace(0, 1, 7)
    ease = (1 - np.cos(np.pi * curve)) / 2
    half += np.stack([neck + (body - neck) * ease, shoulder - 0.2 + 0.32 * curve], axis=1).tolist()
    half += [[body, 0.87], [body - 0.07, 0.95]]
    right = np.array(half)
    outline = np.concatenate([right, (right * [-1, 1])[::-1]])
    silhouette = _shape(outline)

    tint = _colour(rng, saturation=(0.3, 0.75), value=(0.45, 0.85))
    depth = cv2.distanceTransform((silhouette > 0.5).astype(np.uint8), cv2.DIST_L2, 5) / SIDE * 2
    rgb = _plain(tint) * (0.75 + 0.6 * np.clip(depth / 0.25, 0, 1))[..., None]
    rgb[depth < 0.09] = tint * 0.25 + 190
    rgb[depth < 0.04] = tint * 0.3
    _line(rgb, [[-body * 0.45, shoulder + 0.2], [-body * 0.45, 0.72]], tint * 0.1 + 228, 0.075)
    _line(rgb, [[-neck * 0.3, -0.8], [-neck * 0.3, shoulder - 0.15]], tint * 0.1 + 228, 0.05)
    _ellipse(rgb, body * 0.4, 0.7, 0.05, 0.1, tint * 0.1 + 220)
    opacity = np.where(depth < 0.09, 1.0, 0.68).astype(np.float32)
    return _finish(rng, np.clip(rgb, 0, 255).astype(np.float32), silhouette, opacity)


def paint_plastic(rng: Generator) -> Sprite:
    """A PET bottle, or a cup with its lid, with level ribs all the way down."""
    ribs = float(rng.integers(5, 7))
    base, cap = _pair(rng)
    height = np.linspace(-0.95, 0.95, 96)
    if rng.random() < 0.65:
        wide = rng.uniform(0.36, 0.44)
        shoulder = np.clip((height + 0.68) / 0.25, 0, 1)
        half = 0.17 + (wide - 0.17) * np.sqrt(shoulder)
        start, cap_bottom, cap_half = -0.42, -0.72, 0.2
    else:
        half = np.interp(height, [-0.95, 0.95], [0.58, 0.38])
        start, cap_bottom, cap_half = -0.72, -0.75, 0.64
    phase = (height - start) * ribs / (0.95 - start)
    half = half + np.where(height > start, 0.03 * np.cos(2 * np.pi * phase), 0)
    half[height < cap_bottom] = cap_half
    outline = np.concatenate(
        [np.stack([half, height], axis=1), np.stack([-half, height], axis=1)[::-1]]
    )
    silhouette = _shape(outline)

    level = (_Y - start) * ribs / (0.95 - start) + 0.06 * (_X / 0.4) ** 2
    ribbed = np.where(start < _Y, 0.85 + 0.42 * np.cos(2 * np.pi * level), 1.0)
    rgb = _plain(base) * (ribbed * (1 - 0.35 * np.clip(_X / 0.5, -1, 1) ** 2))[..., None]
    rgb = np.clip(rgb, 0, 255).astype(np.float32)
    _rectangle(rgb, -cap_half, -0.95, cap_half, cap_bottom, cap)
    for x in np.linspace(-cap_half, cap_half, 8)[1:-1]:
        _line(rgb, [[float(x), -0.93], [float(x), cap_bottom]], cap * 0.6, 0.025)
    return _finish(rng, rgb, silhouette, np.full((SIDE, SIDE), 0.94, np.float32))


def paint_styrofoam(rng: Generator) -> Sprite:
    """A thick block with a chipped corner, made of beads."""
    lean, drop = rng.uniform(0.2, 0.35), rng.uniform(0.3, 0.42)
    height = rng.uniform(0.45, 0.72)
    right = 0.93 - lean
    front = [[-0.93, -height + drop], [right, -height + drop], [right, height], [-0.93, height]]
    top = [front[0], front[1], [0.93, -height], [-0.93 + lean, -height]]
    side = [front[1], [0.93, -height], [0.93, height - drop], front[2]]
    silhouette = np.maximum.reduce([_shape(face) for face in (front, top, side)])
    chip = _shape([[-0.95, 1], [-0.95, height - 0.32], [-0.72, height - 0.22], [-0.5, 1]])
    silhouette = silhouette * (1 - chip)

    foam = _colour(rng, saturation=(0.0, 0.3), value=(0.85, 1.0))
    rgb = _plain(foam * 0.72)
    spacing = rng.uniform(0.155, 0.185)
    for row, y in enumerate(np.arange(-1, 1.01, spacing * 0.87)):
        for x in np.arange(-1, 1.01, spacing) + spacing / 2 * (row % 2):
            shift_x, shift_y = rng.normal(0, spacing * 0.09, 2)
            bead = foam * rng.uniform(0.93, 1.04)
            _ellipse(rgb, x + shift_x, y + shift_y, spacing * 0.5, spacing * 0.5, foam * 0.5)
            _ellipse(
                rgb, x + shift_x, y + shift_y, spacing * 0.38, spacing * 0.38, np.minimum(bead, 255)
            )
    light = np.where(_shape(front) > 0.5, 0.88, 1.0)
    light = np.where(_shape(side) > 0.5, 0.66, light)
    rgb = (rgb * light[..., None]).astype(np.float32)
    return _finish(rng, rgb, silhouette)


def paint_plastic_bag(rng: Generator) -> Sprite:
    """A limp shopping bag: two handles, a wrinkled, bulging body, creases that fan out."""
    angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    bulge = 1 + sum(
        rng.uniform(0.02, 0.05) * np.sin(k * angles + rng.uniform(0, 2 * np.pi)) for k in (3, 5, 8)
    )
    body = np.stack(
        [0.78 * bulge * np.cos(angles), 0.3 + 0.6 * bulge * np.sin(angles)], axis=1
    ).clip(-0.97, 0.97)
    neck = [[-0.52, 0.1], [-0.4, -0.3], [0.4, -0.3], [0.52, 0.1]]
    tilt = rng.uniform(-0.06, 0.06)
    handles = [
        [[-0.4, -0.25], [-0.56 + tilt, -0.92], [-0.3 + tilt, -0.95], [-0.1, -0.25]],
        [[0.1, -0.25], [0.3 + tilt, -0.95], [0.56 + tilt, -0.92], [0.4, -0.25]],
    ]
    silhouette = np.maximum.reduce([_shape(body), _shape(neck), *map(_shape, handles)])

    base = _colour(rng, saturation=(0.05, 0.6), value=(0.6, 1.0))
    rgb = _plain(base)
    for turn in np.linspace(-1.0, 1.0, int(rng.integers(8, 11))):
        far = np.array([turn * 0.95, 0.9]) + rng.normal(0, 0.05, 2)
        bend = np.array([turn * 0.4, 0.25]) + rng.normal(0, 0.05, 2)
        crease = [[turn * 0.24, -0.3], bend.tolist(), far.tolist()]
        _line(rgb, crease, base * rng.uniform(0.35, 0.55), 0.055)
        _line(rgb, np.array(crease) + np.array([0.06, 0]), base * 0.35 + 165, 0.045)
    for handle in handles:
        middle = np.array(handle)
        line = [(middle[0] + middle[3]) / 2, (middle[1] + middle[2]) / 2]
        _line(rgb, np.array(line).tolist(), base * 0.5, 0.045)
    rgb *= (0.8 + 0.4 * _noise(rng, 7))[..., None]
    opacity = np.full((SIDE, SIDE), 0.86, np.float32)
    return _finish(rng, np.clip(rgb, 0, 255).astype(np.float32), silhouette, opacity)


def paint_battery(rng: Generator) -> Sprite:
    """A lying cylinder in two tones, with a bright ring, a plus sign and a metal nub."""
    half = rng.uniform(0.3, 0.36)
    joint = rng.uniform(0.15, 0.3)
    body = [[-0.93, -half], [0.76, -half], [0.76, half], [-0.93, half]]
    nub = [[0.74, -0.13], [0.95, -0.13], [0.95, 0.13], [0.74, 0.13]]
    silhouette = np.maximum(_shape(body), _shape(nub))

    wrap, end = _pair(rng)
    wrap, end = wrap * 0.55, np.minimum(end * 1.15, 255)
    rgb = _plain(wrap)
    _rectangle(rgb, joint, -1, 0.78, 1, end)
    _rectangle(rgb, joint - 0.07, -1, joint + 0.03, 1, np.full(3, 245))
    _rectangle(rgb, -0.95, -1, -0.84, 1, np.full(3, 190))
    _rectangle(rgb, -0.55, -0.05, -0.2, 0.05, np.full(3, 245))
    sign = (joint + 0.76) / 2
    _rectangle(rgb, sign - 0.13, -0.045, sign + 0.13, 0.045, end * 0.2)
    _rectangle(rgb, sign - 0.045, -0.13, sign + 0.045, 0.13, end * 0.2)
    _rectangle(rgb, 0.76, -1, 1, 1, np.full(3, 200))
    shine = 1.15 - 0.75 * np.abs(_Y / half + 0.25) ** 1.5
    shine += 0.5 * np.exp(-(((_Y / half + 0.5) / 0.16) ** 2))
    rgb *= np.clip(shine, 0.3, 1.6)[..., None].astype(np.float32)
    return _finish(rng, np.clip(rgb, 0, 255).astype(np.float32), silhouette)


def paint_clothing(rng: Generator) -> Sprite:
    """A T-shirt in a striped, checked or chequered cloth."""
    waist, sleeve = rng.uniform(0.45, 0.55), rng.uniform(-0.12, 0.05)
    right = np.array(
        [[0.2, -0.85], [0.5, -0.78], [0.96, sleeve - 0.22], [0.74, sleeve + 0.12],
         [0.53, sleeve - 0.15], [waist, 0.93]]
    )  # fmt: skip
    collar = [[-0.2, -0.85], [-0.1, -0.7], [0.1, -0.7]]
    outline = np.concatenate([right, (right * [-1, 1])[::-1], collar[1:]])
    silhouette = _shape(outline)

    base, thread = _pair(rng)
    count = float(rng.integers(6, 8))
    across = np.sin(np.pi * count * _X) > 0
    down = np.sin(np.pi * count * (_Y + 0.08 * _X**2)) > 0
    cloth = int(rng.integers(3))
    if cloth == 0:
        weave = down.astype(np.float32)
    elif cloth == 1:
        weave = (across ^ down).astype(np.float32)
    else:
        weave = 0.5 * across + 0.5 * down
    rgb = (base + (thread - base) * weave[..., None]).astype(np.float32)
    _line(rgb, [[-0.22, -0.85], [-0.1, -0.66], [0.1, -0.66], [0.22, -0.85]], base * 0.35, 0.07)
    for side in (-1, 1):
        _line(rgb, [[side * 0.5, -0.75], [side * 0.53, sleeve - 0.15]], base * 0.35, 0.035)
    _fold(rng, rgb, 3, 0.1)
    return _finish(rng, rgb, silhouette)


CLASSES: tuple[ObjectClass, ...] = (
    ObjectClass("General trash", 3966, paint_general_trash, 42, 80),
    ObjectClass("Paper", 6352, paint_paper, 48, 92),
    ObjectClass("Paper pack", 897, paint_paper_pack, 48, 90),
    ObjectClass("Metal", 936, paint_metal, 44, 82),
    ObjectClass("Glass", 982, paint_glass, 60, 100, slender=True),
    ObjectClass("Plastic", 2943, paint_plastic, 52, 92),
    ObjectClass("Styrofoam", 1263, paint_styrofoam, 46, 88),
    ObjectClass("Plastic bag", 5178, paint_plastic_bag, 50, 95),
    ObjectClass("Battery", 159, paint_battery, 38, 66, slender=True),
    ObjectClass("Clothing", 468, paint_clothing, 52, 94),
)
"""In the order of the AI Stages categories; category ids are 1 to 10."""


def _colour(
    rng: Generator,
    saturation: tuple[float, float] = (0.1, 0.7),
    value: tuple[float, float] = (0.5, 1.0),
) -> Colour:
    """Any hue; (3,) RGB."""
    hsv = np.array([[[rng.uniform(0, 360), rng.uniform(*saturation), rng.uniform(*value)]]])
    return np.asarray(cv2.cvtColor(hsv.astype(np.float32), cv2.COLOR_HSV2RGB)[0, 0] * 255)


def _pair(rng: Generator) -> tuple[Colour, Colour]:
    """Two colours that can be told apart, whatever their hues: one light, one dark, or turned."""
    light = _colour(rng, (0.05, 0.5), (0.85, 1.0))
    dark = _colour(rng, (0.4, 0.8), (0.3, 0.6))
    return (light, dark) if rng.random() < 0.5 else (dark, light)


def _plain(colour: Colour) -> Image:
    return np.broadcast_to(colour.astype(np.float32), (SIDE, SIDE, 3)).copy()


def _pixels(points: Sequence[Sequence[float]] | NDArray[np.floating[Any]]) -> NDArray[np.int32]:
    return np.round((np.asarray(points, dtype=np.float64) + 1) * (SIDE / 2)).astype(np.int32)


def _shape(points: Sequence[Sequence[float]] | NDArray[np.floating[Any]]) -> Plane:
    plane = np.zeros((SIDE, SIDE), np.float32)
    cv2.fillPoly(plane, [_pixels(points)], 1.0)
    return plane


def _disc(x: float, y: float, radius_x: float, radius_y: float) -> Plane:
    return (((_X - x) / radius_x) ** 2 + ((_Y - y) / radius_y) ** 2 <= 1).astype(np.float32)


def _polygon(rgb: Image, points: Sequence[Sequence[float]], colour: Colour) -> None:
    cv2.fillPoly(rgb, [_pixels(points)], _scalar(colour))


def _rectangle(
    rgb: Image,
    x_min: float,
    y_min: float,
    x_max: float,
    y_max: float,
    colour: Colour,
) -> None:
    _polygon(rgb, [[x_min, y_min], [x_max, y_min], [x_max, y_max], [x_min, y_max]], colour)


def _ellipse(
    rgb: Image, x: float, y: float, radius_x: float, radius_y: float, colour: Colour
) -> None:
    centre = _pixels([[x, y]])[0]
    axes = (max(round(radius_x * SIDE / 2), 1), max(round(radius_y * SIDE / 2), 1))
    cv2.ellipse(rgb, (int(centre[0]), int(centre[1])), axes, 0, 0, 360, _scalar(colour), cv2.FILLED)


def _line(
    rgb: Image,
    points: Sequence[Sequence[float]] | NDArray[np.floating[Any]],
    colour: Colour,
    width: float,
) -> None:
    thickness = max(round(width * SIDE / 2), 1)
    cv2.polylines(rgb, [_pixels(points)], False, _scalar(colour), thickness)


def _scalar(colour: Colour) -> tuple[float, float, float]:
    red, green, blue = np.clip(colour, 0, 255).tolist()
    return red, green, blue


def _noise(rng: Generator, cells: int) -> Plane:
    """Smooth noise, 0 to 1, of about `cells` bumps a side."""
    small = rng.random((cells, cells), dtype=np.float32)
    return np.asarray(
        cv2.resize(small, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC), np.float32
    ).clip(0, 1)


def _fold(rng: Generator, rgb: Image, n_folds: int, strength: float) -> None:
    """Darken one side of a few straight creases, in place."""
    for _ in range(n_folds):
        angle = rng.uniform(0, np.pi)
        offset = _X * np.cos(angle) + _Y * np.sin(angle) - rng.uniform(-0.5, 0.5)
        rgb *= (1 - strength * np.clip(1 - np.abs(offset) / 0.5, 0, 1) * (offset > 0))[..., None]


def _finish(rng: Generator, rgb: Image, silhouette: Plane, opacity: Plane | None = None) -> Sprite:
    """Light from one side, a little dirt, and a darker edge."""
    angle = rng.uniform(0, 2 * np.pi)
    light = 1 + 0.14 * (_X * np.cos(angle) + _Y * np.sin(angle))
    light = light * (0.92 + 0.16 * _noise(rng, 9))
    inner = np.asarray(cv2.erode(silhouette, np.ones((5, 5), np.uint8)))
    light = light * np.where(inner > 0.5, 1.0, 0.55)
    lit = np.clip(rgb * light[..., None], 0, 255).astype(np.float32)
    solid = np.ones((SIDE, SIDE), np.float32) if opacity is None else opacity
    return Sprite(lit, silhouette, (solid * silhouette).astype(np.float32))
