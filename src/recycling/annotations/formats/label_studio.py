"""Read and write the tasks of Label Studio: photographs that people label or correct.

A place is in percent of the image's sides there. Rectangles, polygons and choices of a whole image
are read; a brush is not, since its strokes are packed in a way that Label Studio alone describes.

Source: https://labelstud.io/guide/export#Label-Studio-JSON-format-of-annotated-tasks
"""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Literal
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import quoteattr

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.annotations.core import BOX, AnnotationError, Annotations, ImageFolder
from recycling.annotations.formats.coco.files import read_content
from recycling.annotations.formats.found_images import FoundAnnotation, FoundImage, as_annotations
from recycling.annotations.formats.sidecars import polygons_of
from recycling.annotations.images.decoding import image_size
from recycling.annotations.images.found_files import files_below
from recycling.errors import Faults
from recycling.files import new_folder
from recycling.limits import TooLargeError, check_json, limits
from recycling.names import composed

_log = logging.getLogger(__name__)

Control = Literal["RectangleLabels", "PolygonLabels", "Choices"]
"""What people label with: boxes, outlines, or one category for the whole image."""

_CONTENT_SHARE = 16  # of `max_bytes`: letters take four bytes each where one is an emoji
_ROUND = 10  # digits of a percentage: far below a pixel
_DEEPEST = 32  # parts of a path that are looked at; one that was made to do harm has any number
_UPLOADED = re.compile(r"^[0-9a-f]{8}-")
_READ = ("choices", "rectanglelabels", "polygonlabels")
_DRAWN = ("rectanglelabels", "polygonlabels", "brushlabels")


def read_label_studio(
    path: str | Path,
    images_folder: str | Path | ImageFolder,
    *,
    folder: str = "",
    categories: Sequence[str] | None = None,
    source: Literal["human", "pseudo"] = "human",
) -> Annotations:
    """Read tasks that were exported as JSON.

    Of a task with several annotations the ground truth counts, else the last one. A task that
    nobody has labelled, or that was skipped, is left out, which is said; one that somebody has
    submitted empty holds nothing. Turned rectangles become polygons of four corners. A choice is an
    object, the whole image, only where nothing is drawn in any task: beside boxes it tells of the
    scene, or of the quality, and is left out, which is said.

    An image is found by the path that a task shows, or by the longest end of it that is one below
    the folder of images; by its bare name only where no other image there is called so. A
    ``file_name`` in its data counts more where the path does not end so, or `folder` is given.

    Args:
        path: The exported file.
        images_folder: The folder of images.
        folder: Where in it the images of the tasks are, whose names do not say so; ``.`` for the
            folder of images itself.
        categories: The names in their order; by default those that occur, sorted.
        source: Who made the annotations.

    Returns:
        The tables: images numbered from 1 by their names, annotations from 1.

    Raises:
        AnnotationError: The file is not such an export, an image is missing, is one of several of
            its name, or has another size than was labelled, or a category is not among those given.
            One line.
    """
    faults = Faults(path, AnnotationError)
    images: dict[str, FoundImage] = {}
    by_bare_name: dict[str, str] = {}
    unlabelled, choices = 0, 0
    tasks = [(task, _results(task)) for task in _tasks(path)]
    drawn = any(_kind(result) in _DRAWN for _, results in tasks for result in results or ())
    for number, (task, results) in enumerate(tasks, 1):
        place = f"task {task.get('id', number)}"
        if results is None:
            unlabelled += 1
            continue
        name, is_bare = _file_name(task, folder, Path(images_folder))
        size = None if name is None else image_size(Path(images_folder) / name)
        if name is None or size is None:
            kind = f"no such image in {images_folder}, add it, or say in which folder it is"
            faults.add(kind, f"{place} {name or ''}".strip())
            continue
        if is_bare:
            by_bare_name[name] = place
        if name in images:
            faults.add("two tasks have one image, remove one", f"{place} {name}")
        objects = [result for result in results if not (drawn and _kind(result) == "choices")]
        choices += len(results) - len(objects)
        found = list(_annotations(objects, size, place, faults))
        images[name] = FoundImage(name, size, found)
    _check_names(by_bare_name, Path(images_folder, folder), faults)
    if unlabelled:
        _log.warning("%s: %d tasks are not labelled, and left out", path, unlabelled)
    if choices:
        _log.warning(
            "%s: %d choices are left out: where something is drawn, they are no objects",
            path,
            choices,
        )
    named = {composed(str(own.category)) for image in images.values() for own in image.annotations}
    names = sorted(named) if categories is None else [composed(name) for name in categories]
    for name in sorted(named - set(names)):
        faults.add("a category that is not among those given, add it or correct it", repr(name))
    faults.raise_if_any()
    if not images:
        raise AnnotationError(f"{path}: no task is labelled; label some, and export again")
    by_name = [images[name] for name in sorted(images)]
    return as_annotations(by_name, dict(enumerate(names, 1)), where=path, source=source)


def write_label_studio(
    annotations: Annotations,
    folder: Path,
    control: Control,
    sureness: Mapping[int, float],
    *,
    images: str,
) -> None:
    """Write tasks to label, with what is there as a proposal to correct.

    Label Studio shows a file that lies in a Local Files storage of the project, which may be any
    folder below that of its variable ``LOCAL_FILES_DOCUMENT_ROOT``, but not that folder itself.

    Source: https://labelstud.io/guide/storage#Local-storage

    Args:
        annotations: The tables.
        folder: Where to: ``tasks.json`` to import, ``config.xml`` for the labelling interface.
        control: What people label with.
        sureness: By image id, 0 to 1; the least sure one comes first.
        images: The folder of images, as a path below the document root.

    Example:
        >>> from recycling.annotations import from_coco
        >>> image = {"id": 1, "file_name": "a b.jpg", "width": 8, "height": 4}
        >>> box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [2, 1, 4, 2]}
        >>> coco = {"images": [image], "annotations": [box],
        ...         "categories": [{"id": 1, "name": "Glass"}]}
        >>> folder = getfixture("tmp_path") / "to_label"
        >>> annotations = from_coco(coco, where="it")
        >>> write_label_studio(annotations, folder, "RectangleLabels", {1: 0.5}, images="may")
        >>> (task,) = json.loads((folder / "tasks.json").read_text())
        >>> task["data"]["image"], task["predictions"][0]["result"][0]["value"]["x"]
        ('/data/local-files/?d=may/a%20b.jpg', 25.0)
    """
    categories = annotations.categories
    names = dict(zip(categories["category_id"], categories["name"], strict=True))
    rows: dict[Any, pd.DataFrame] = dict(list(annotations.annotations.groupby("image_id")))
    columns = annotations.images[["image_id", "file_name", "width", "height"]]
    tasks = []
    for image_id, name, width, height in columns.itertuples(index=False, name=None):
        own = rows.get(image_id, annotations.annotations.iloc[:0])
        proposal = {
            "model_version": "recycling",
            "score": sureness[image_id],
            "result": _proposed(own, names, control, (width, height)),
        }
        served = quote(str(PurePosixPath(images, name)))
        data = {"image": f"/data/local-files/?d={served}", "file_name": name}
        tasks.append((sureness[image_id], name, {"data": data, "predictions": [proposal]}))
    in_order = [task for _, _, task in sorted(tasks, key=lambda each: each[:2])]
    entry = "Choice" if control == "Choices" else "Label"
    labels = "".join(f"    <{entry} value={quoteattr(name)}/>\n" for name in names.values())
    with new_folder(folder) as unfinished:
        (unfinished / "tasks.json").write_text(json.dumps(in_order, indent=1), encoding="utf-8")
        (unfinished / "config.xml").write_text(
            f'<View>\n  <Image name="image" value="$image"/>\n'
            f'  <{control} name="label" toName="image">\n{labels}  </{control}>\n</View>\n',
            encoding="utf-8",
        )


# Reading


def _tasks(path: str | Path) -> list[dict[str, Any]]:
    wrong = f"{path}: not tasks of Label Studio; export them as JSON, not as JSON-MIN"
    content = read_content(path, limits().max_bytes // _CONTENT_SHARE)
    try:
        check_json(content)
        tasks = json.loads(content)
    except TooLargeError as error:
        raise AnnotationError(f"{path}: {error}") from error
    except (ValueError, RecursionError) as error:
        raise AnnotationError(wrong) from error
    if not isinstance(tasks, list) or not all(map(_is_task, tasks)):
        raise AnnotationError(wrong)
    return tasks


def _is_task(task: Any) -> bool:
    return (
        isinstance(task, dict)
        and isinstance(task.get("data"), dict)
        and isinstance(task.get("annotations"), list)
        and all(
            isinstance(each, dict) and isinstance(each.get("result", []), list)
            for each in task["annotations"]
        )
    )


def _results(task: Mapping[str, Any]) -> list[Any] | None:
    """What was drawn on an image; None where nobody has labelled it."""
    own = [each for each in task["annotations"] if not each.get("was_cancelled")]
    best = [each for each in own if each.get("ground_truth")] or own
    return list(best[-1].get("result", [])) if best else None


def _kind(result: Any) -> Any:
    return result.get("type") if isinstance(result, dict) else None


def _file_name(task: Mapping[str, Any], folder: str, images: Path) -> tuple[str | None, bool]:
    """The image's path below the image folder, None where it is not there.

    With it whether it was found by its name alone, though the task shows a longer path.
    """
    data = task["data"]
    shown = str(data.get("image", ""))
    try:
        url = urlsplit(shown)
        plain = parse_qs(url.query).get("d", [""])[0] or unquote(url.path)
    except ValueError:  # an address of no host
        plain = shown
    parts = PurePosixPath(plain.lstrip("/")).parts[-_DEEPEST:]
    ends = ["/".join(parts[start:]) for start in range(len(parts))]
    told = str(data.get("file_name", "")).lstrip("/")
    # The path may show more of where that is.
    exact = [told] if folder or told not in ends else []
    for name in (*exact, *ends, *(_UPLOADED.sub("", end) for end in ends[-1:])):
        below = PurePosixPath(folder, name)
        if name and ".." not in below.parts and _is_file(images / below):
            shows_all = (images.absolute() / below).parts[-len(parts) :] == parts
            return str(below), not (name in exact or shows_all or "/" in name)
    return None, False


def _check_names(places: Mapping[str, str], folder: Path, faults: Faults) -> None:
    """Stop where an image that was found by its bare name may be another of that name."""
    if not places:
        return
    known = Counter(PurePosixPath(name).name for name in files_below(folder))
    kind = (
        "several images have its bare name, give its path below the images as file_name in data, "
        "or set folder"
    )
    for name, place in places.items():
        if known[PurePosixPath(name).name] > 1:
            faults.add(kind, f"{place} {name}")


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # longer than a name can be
        return False


def _annotations(
    results: Sequence[Any], size: tuple[int, int], place: str, faults: Faults
) -> Iterator[FoundAnnotation]:
    for result in results:
        kind = _kind(result)
        if kind not in _READ:
            faults.add(f"a result of type {kind!r}, label with rectangles or polygons", place)
            continue
        sides = result.get("original_width", size[0]), result.get("original_height", size[1])
        if sides != size or result.get("image_rotation"):
            faults.add("labelled on an image of another size or turned, label it again", place)
            continue
        try:
            yield from _found(kind, result["value"], np.array(size, dtype=np.float64))
        except (KeyError, OverflowError, TypeError, ValueError):
            faults.add("a place or a label that cannot be read, correct it", place)


def _found(
    kind: str, value: Mapping[str, Any], size: NDArray[np.float64]
) -> Iterator[FoundAnnotation]:
    """One annotation for each label of a result; of several labels each counts."""
    if kind == "choices":
        corners, is_box = np.array([[0, 0], size]), True
    elif kind == "polygonlabels":
        corners, is_box = np.array(value["points"], dtype=np.float64) * size / 100, False
    else:
        corners = _corners(value, size)
        is_box = not value.get("rotation")
    if corners.ndim != 2 or corners.shape[1] != 2 or not np.isfinite(corners).all():
        raise ValueError
    box = [*corners.min(axis=0).tolist(), *corners.max(axis=0).tolist()]
    polygons = [] if is_box else [corners.ravel().tolist()]
    if not isinstance(value[kind], list):
        raise TypeError
    if not value[kind] or not all(str(label).strip() for label in value[kind]):
        raise ValueError
    for label in value[kind]:
        yield FoundAnnotation(str(label), box, polygons)


def _corners(value: Mapping[str, Any], size: NDArray[np.float64]) -> NDArray[np.float64]:
    """The corners of a rectangle, (4, 2), pixels: it is turned about the first one, clockwise."""
    first = np.array([value["x"], value["y"]], dtype=np.float64) * size / 100
    width, height = np.array([value["width"], value["height"]], dtype=np.float64) * size / 100
    angle = np.deg2rad(value.get("rotation") or 0)
    turned = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]])
    return np.asarray(first + corners @ turned)


# Writing


def _proposed(
    rows: pd.DataFrame, names: Mapping[int, str], control: Control, size: tuple[int, int]
) -> list[dict[str, Any]]:
    """The results of one image."""
    kind = control.lower()
    common = {
        "type": kind, "from_name": "label", "to_name": "image",
        "original_width": size[0], "original_height": size[1], "image_rotation": 0,
    }  # fmt: skip
    found: list[dict[str, Any]] = []
    columns = (rows["category_id"].tolist(), rows["score"].tolist(), rows["segmentation"].tolist())
    for category_id, score, text, box in zip(*columns, rows[BOX].to_numpy(), strict=True):
        for value in _values(text, box, control, size):
            told = {"value": {**value, kind: [names[category_id]]}, "score": score}
            found.append({"id": str(len(found)), **common, **told})
    return found


def _values(
    segmentation: Any, box: NDArray[np.float64], control: Control, size: tuple[int, int]
) -> Iterator[dict[str, Any]]:
    shares = 100 / np.array(size, dtype=np.float64)
    if control == "Choices":
        yield {}
    elif control == "PolygonLabels":
        text = None if pd.isna(segmentation) else segmentation
        for polygon in polygons_of(text, box, *size[::-1]):
            yield {"points": (polygon * shares).round(_ROUND).tolist()}
    else:
        x, y = (box[:2] * shares).round(_ROUND).tolist()
        width, height = ((box[2:] - box[:2]) * shares).round(_ROUND).tolist()
        yield {"x": x, "y": y, "width": width, "height": height, "rotation": 0}
