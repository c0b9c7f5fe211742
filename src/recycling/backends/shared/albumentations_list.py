"""A list of Albumentations' classes and their arguments, as ``models.yml`` has it, for any library.

Each entry is one name with its arguments, ``{Affine: {scale: [0.8, 1.2], p: 0.5}}``; compositions
take such a list as ``transforms``: ``{OneOf: {transforms: [{Blur: {}}, {MedianBlur: {}}]}}``.
"""

from __future__ import annotations

import inspect
import os
import random
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recycling.backends.core import BackendError

COMPOSITIONS = (
    "OneOf",
    "OneOrOther",
    "RandomOrder",
    "SelectiveChannelTransform",
    "Sequential",
    "SomeOf",
)

RESIZING = (
    "CropAndPad",
    "LongestMaxSize",
    "RandomResizedCrop",
    "RandomScale",
    "RandomSizedBBoxSafeCrop",
    "RandomSizedCrop",
    "Resize",
    "SmallestMaxSize",
)
"""What makes a whole part of an image larger or smaller; other classes warp it."""

IGNORED = 255
"""The label of pixels that do not count, mmseg's own; also of those that a transform adds."""

Entries = Sequence[Mapping[str, Mapping[str, Any]]]


@dataclass(frozen=True)
class Augmented:
    """An image that has been through the list, and what belongs to it.

    Attributes:
        image: (H, W, 3).
        rows: (N,) which of the given boxes are left.
        boxes: (N, 4) in pixels, within the image.
        label_map: (H, W) or None.
        masks: (N, H, W) or None.
    """

    image: NDArray[np.uint8]
    rows: NDArray[np.intp]
    boxes: NDArray[np.float32]
    label_map: NDArray[np.uint8] | None = None
    masks: NDArray[np.uint8] | None = None


class AlbumentationsList:
    """Classes of Albumentations, applied one after another.

    Args:
        entries: Names and arguments.
        task: ``cls``, ``det`` or ``seg``: what belongs to an image must follow it.
        min_visibility: A box is dropped where a transform leaves less of it in the image, a share.

    Raises:
        BackendError: A name or an argument is not one of Albumentations', or a class that cannot
            move what belongs to the image; one line.
    """

    def __init__(self, entries: Entries, task: str, *, min_visibility: float = 0.0) -> None:
        import albumentations
        import cv2

        self.task = task
        self.transforms = _transforms(entries, task)
        boxes = albumentations.BboxParams(
            format="pascal_voc",
            label_fields=None,
            min_width=1,
            min_height=1,
            min_visibility=min_visibility,
            clip=True,
            filter_invalid_bboxes=True,
        )
        with warnings.catch_warnings():
            # Classes that leave boxes where they are need nothing that follows these.
            warnings.filterwarnings("ignore", message="Got processor for bboxes")
            self.compose = albumentations.Compose(
                self.transforms,
                bbox_params=boxes if task == "det" else None,
                mask_interpolation=cv2.INTER_NEAREST if task != "cls" else None,
            )
        for transform in _leaves(self.compose):
            if type(transform).__name__ in RESIZING:
                # The pixel under the centre; INTER_NEAREST takes the one up and left of it here,
                # and where an image is warped the nearest one, as it should.
                transform.mask_interpolation = cv2.INTER_NEAREST_EXACT
        # Albumentations seeds each class alike: those with the same `p` would all act together.
        # One source of random numbers for all of them keeps them apart.
        self.arrays, self.python = np.random.default_rng(0), random.Random(0)
        self.compose.set_random_state(self.arrays, self.python)

    def __call__(
        self,
        image: NDArray[np.uint8],
        seed: int,
        *,
        boxes: NDArray[np.float32] | None = None,
        label_map: NDArray[np.uint8] | None = None,
        masks: NDArray[np.uint8] | None = None,
    ) -> Augmented:
        """Apply the list.

        Args:
            image: (H, W, 3) in BGR; Albumentations sees RGB.
            seed: The same one gives the same result.
            boxes: (N, 4) in pixels.
            label_map: (H, W) class indices.
            masks: (N, H, W) of the boxes.
        """
        import cv2

        self.python.seed(seed)
        self.arrays.bit_generator.state = np.random.PCG64(seed).state
        given: dict[str, Any] = {"image": cv2.cvtColor(image, cv2.COLOR_BGR2RGB)}
        if boxes is not None:
            rows = np.arange(len(boxes), dtype=np.float32)
            given["bboxes"] = np.column_stack([boxes, rows]).astype(np.float32)
        if label_map is not None:
            given["mask"] = label_map
        if masks is not None and len(masks):
            given["masks"] = masks
        made = self.compose(**given)
        if made["image"].dtype != np.uint8 or made["image"].shape[2:] != (3,):
            raise BackendError(
                "augmentation: what comes out is no image of bytes; remove what makes numbers "
                "of it: the network's own preprocessor does that"
            )
        left = np.asarray(made.get("bboxes", ()), np.float32).reshape(-1, 5)
        rows_left = left[:, 4].astype(np.intp)
        changed = cv2.cvtColor(np.ascontiguousarray(made["image"]), cv2.COLOR_RGB2BGR)
        if masks is not None:
            all_masks = np.asarray(made.get("masks", ())).reshape(-1, *changed.shape[:2])
            masks = np.ascontiguousarray(all_masks[rows_left], dtype=np.uint8)
        return Augmented(
            np.asarray(changed),
            rows_left,
            left[:, :4],
            None if label_map is None else np.ascontiguousarray(made["mask"]),
            masks,
        )


def check_albumentations(entries: Entries, task: str, image_size: int) -> None:
    """Build a list and try each of its entries on an image of noise.

    Args:
        entries: Names and arguments.
        task: ``cls``, ``det`` or ``seg``.
        image_size: Side of the image, pixels.

    Raises:
        BackendError: As of `AlbumentationsList`; or an entry does not work on such an image, or
            gives something that is no image of bytes; one line.
    """
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (image_size, image_size, 3), dtype=np.uint8)
    side = image_size
    boxes = np.array([[side / 4, side / 4, side / 2, side / 2]], np.float32)
    label_map = np.zeros((side, side), np.uint8)
    for entry in entries:
        alone = AlbumentationsList([entry], task)
        for transform in alone.transforms:
            transform.p = 1.0
        name = next(iter(entry))
        try:
            alone(
                image,
                0,
                boxes=boxes if task == "det" else None,
                label_map=label_map if task == "seg" else None,
            )
        except Exception as error:
            raise BackendError(
                f"augmentation: {name} does not work on an image of {side} x {side} pixels: "
                f"{one_line(error).removeprefix('augmentation: ')}"
            ) from error


def one_line(error: BaseException) -> str:
    """What is wrong, out of an error of Albumentations or of another library.

    >>> one_line(ValueError("crop is too large; it has 9 pixels"))
    'crop is too large; it has 9 pixels'
    """
    cause = error.__cause__
    if cause is not None and hasattr(cause, "errors"):  # pydantic's
        first = cause.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return f"{where}: {first['msg']}, not {first['input']!r}"
    return next((line.strip() for line in str(error).splitlines() if line.strip()), repr(error))


# Names and arguments ----------------------------------------------------------------------------


def _leaves(transform: Any) -> Iterator[Any]:
    """What a composition is made of, however deep."""
    inner = getattr(transform, "transforms", None)
    if inner is None:
        yield transform
        return
    for each in inner:
        yield from _leaves(each)


def _transforms(entries: Entries, task: str) -> list[Any]:
    return [
        _transform(name, arguments, task) for entry in entries for name, arguments in entry.items()
    ]


def _transform(name: str, arguments: Mapping[str, Any], task: str) -> Any:
    known = _classes()
    if name not in known:
        near = get_close_matches(name.lower(), [class_name.lower() for class_name in known])
        names = [class_name for class_name in known if class_name.lower() in near] or [
            "HorizontalFlip",
            "Affine",
            "...",
        ]
        raise BackendError(
            f"augmentation: Albumentations has no {name!r}; did you mean {', '.join(names)}?"
        )
    cls = known[name]
    taken = dict(inspect.signature(cls.__init__).parameters)
    del taken["self"]
    check_arguments(name, arguments, list(taken))
    given = dict(arguments)
    if name in COMPOSITIONS:
        for argument in ("transforms", "first", "second"):
            if argument in given:
                single = argument != "transforms"
                given[argument] = _nested(name, given[argument], task, single=single)
    else:
        _check_targets(name, cls, task)
        if name == "ConstrainedCoarseDropout" and not (task == "seg" and given.get("mask_indices")):
            raise BackendError(
                "augmentation: ConstrainedCoarseDropout drops nothing: it needs mask_indices, and "
                "label maps; use CoarseDropout"
            )
        if task == "seg" and "fill_mask" in taken and taken["fill_mask"].default is not None:
            given.setdefault("fill_mask", IGNORED)
        if _is_checked(cls):
            # Otherwise Albumentations warns, and goes on with its defaults.
            given["strict"] = True
    try:
        return cls(**given)
    except BackendError:
        raise
    except Exception as error:
        raise BackendError(f"augmentation: {name}: {one_line(error)}") from error


def _is_checked(cls: type) -> bool:
    """Whether the class whose constructor this one has lets Albumentations check arguments."""
    owner = next(parent for parent in cls.__mro__ if "__init__" in vars(parent))
    return "InitSchema" in vars(owner)


def _nested(name: str, entries: Any, task: str, *, single: bool) -> Any:
    from recycling.backends.shared.settings import read_augmentation

    try:
        built = _transforms(read_augmentation([entries] if single else entries), task)
    except (ValueError, AttributeError, TypeError) as error:
        raise BackendError(
            f"augmentation: {name} takes a list of names with their arguments, not {entries}"
        ) from error
    return built[0] if single else built


def check_arguments(name: str, given: Mapping[str, Any], taken: Sequence[str]) -> None:
    """Refuse an argument that a transform does not take.

    Raises:
        BackendError: There is one; the message lists the nearest ones that it takes.

    >>> check_arguments("Affine", {"scal": 1}, ["scale", "rotate"])
    Traceback (most recent call last):
    ...
    recycling.backends.core.BackendError: augmentation: Affine takes no 'scal'; did you mean scale?
    """
    for argument in given:
        if argument not in taken:
            near = get_close_matches(argument, taken) or taken
            raise BackendError(
                f"augmentation: {name} takes no {argument!r}; did you mean {', '.join(near)}?"
            )


def _check_targets(name: str, cls: type, task: str) -> None:
    """Refuse a class that moves pixels and leaves boxes or label maps where they were."""
    targets = getattr(cls, "_targets", ())
    names = {target.name for target in (targets if isinstance(targets, tuple) else (targets,))}
    if "IMAGE" not in names:
        raise BackendError(f"augmentation: {name} does not work on an image; remove it")
    needed = {"det": "BBOXES", "seg": "MASK"}.get(task)
    if names - {"IMAGE", "VOLUME"} and needed is not None and needed not in names:
        what = {"BBOXES": "boxes", "MASK": "label maps"}[needed]
        raise BackendError(f"augmentation: {name} cannot move {what}; remove it")


def _classes() -> dict[str, Any]:
    """What a list may name: whatever Albumentations can apply to an image, and compositions."""
    # It would ask the network for a newer version of itself.
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    import albumentations

    return {
        name: value
        for name, value in vars(albumentations).items()
        if inspect.isclass(value)
        and (
            name in COMPOSITIONS
            or (issubclass(value, albumentations.BasicTransform) and hasattr(value, "_targets"))
        )
    }
