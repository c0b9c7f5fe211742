"""Read and write YOLO: one text file an image, a line an annotation, and `data.yaml` for the names.

A line is ``class x_center y_center width height``, or ``class x y x y x y ...`` for a polygon, all
as shares of the image's sides. supervision turns the shares into pixels and back, line by line.
Its `DetectionDataset` is not used, because it paints every polygon into a mask of the whole
image, all in memory at once, opens every image to write, sees no subfolders, and takes wrong
names from a `data.yaml` whose class ids have gaps.

Source: https://docs.ultralytics.com/datasets/detect/
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from math import isfinite
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml
from numpy.typing import NDArray

from recycling.annotations.core import BOX, AnnotationError, Annotations, ImageFolder
from recycling.annotations.formats.found_images import FoundAnnotation, FoundImage
from recycling.annotations.formats.sidecars import (
    NOT_OPENED,
    TOO_LARGE,
    AnnotationToWrite,
    ImageFile,
    ImageToWrite,
    SidecarFormat,
    check_writable,
    read_sidecars,
    write_sidecars,
)
from recycling.annotations.images.decoding import image_size
from recycling.errors import Faults, cut, one_line
from recycling.files import new_file
from recycling.limits import LARGEST_ENTRY, LARGEST_NAMES, TooLargeError, check_bytes

# labelImg writes the names of classes among the labels.
_YOLO = SidecarFormat("YOLO", ".txt", not_a_sidecar="classes.txt")
_OVER = 0.01  # share of a side by which a line may leave its image
_STEP = 1e-5  # supervision writes five decimals


def read_yolo(
    labels_folder: str | Path,
    images_folder: str | Path | ImageFolder,
    data_yaml: str | Path,
    *,
    scores: bool = False,
    source: Literal["human", "pseudo"] = "human",
) -> Annotations:
    """Read a folder of YOLO labels, with boxes, polygons or both.

    A label file goes with the image of the same path, ending aside; subfolders are read. Images are
    numbered from 1 in the order of their names, annotations from 1 in the order of images and
    lines; a category's id is its number in `data.yaml`. Sizes are those of the images as a viewer
    shows them. A polygon becomes the segmentation, and its extent the box; an oriented box is a
    polygon of four corners. An edge that rounding put outside the image, by less than a
    hundred-thousandth of its side, is put back; boxes that reach further, by a hundredth of it at
    most, are left to cleaning.

    Args:
        labels_folder: The folder of label files; a ``classes.txt`` in it is not one.
        images_folder: The folder of images; one without a file holds nothing, which is warned of.
        data_yaml: The file that names the classes.
        scores: Whether every line ends in a score, as predictions saved with ``save_conf`` do.
        source: Who made the annotations.

    Returns:
        The tables.

    Raises:
        AnnotationError: A folder or `data.yaml` is missing or malformed, a label file or an image
            cannot be read, a label file has no image, or a line has a wrong number of fields, a
            class without a name, or a value that is no share from 0 to 1, by more than a hundredth.
            One line that counts all faults by kind and names the first few of each.
    """
    folder = Path(labels_folder)
    names = _names(Path(data_yaml))

    def read_image(file: ImageFile, faults: Faults) -> FoundImage:
        size = image_size(file.path)
        if size is None:
            faults.add("the image cannot be read, replace it", file.file_name)
            size = (1, 1)
        lines = _lines(file, scores, names, faults)
        return FoundImage(file.file_name, size, list(_annotations(lines, size, scores)))

    return read_sidecars(_YOLO, folder, images_folder, read_image, categories=names, source=source)


def write_yolo(annotations: Annotations, labels_folder: str | Path, data_yaml: str | Path) -> None:
    """Write a folder of YOLO labels, one file for each image, in the images' subfolders.

    A box is written as a box, a polygon as a polygon, each value with five decimals: edges come
    back to within a hundred-thousandth of the image's side. The i-th category is class i. An
    annotation of several polygons becomes several lines, an RLE the outlines of its mask, along
    the edges of its pixels. Boxes, and corners of polygons, that leave their image are clipped to
    it. Crowd regions are left out, since YOLO has none. Areas are not written, nor are the boxes
    of polygons. What is lost is said in one warning, with counts. No image is needed.

    Args:
        annotations: The tables.
        labels_folder: Where to. It appears whole or not at all; text files that it held are gone.
        data_yaml: Where the names go. A file that is there and has the same names stays as it is,
            so that several folders can share it.

    Raises:
        AnnotationError: A table is not of its schema, a box has no area or lies outside its
            image, two images would share a file, an RLE is damaged, the folder holds something
            other than text files, or `data_yaml` has other names or lies in the folder.
    """
    folder, data_yaml = Path(labels_folder), Path(data_yaml)
    if folder.resolve() in data_yaml.resolve().parents:
        raise AnnotationError(f"{data_yaml}: lies among the labels; put it beside their folder")
    check_writable(_YOLO, annotations, folder)
    _check_inside(annotations, folder)
    names = dict(enumerate(annotations.categories["name"].tolist()))
    if data_yaml.exists() and _names(data_yaml) != names:
        raise AnnotationError(
            f"{data_yaml}: names other categories than are to be written; give another file or "
            "remove it"
        )
    category_ids = annotations.categories["category_id"].tolist()
    classes = {category_id: row for row, category_id in enumerate(category_ids)}

    def write_names() -> None:
        if not data_yaml.exists():
            _write_names(list(names.values()), data_yaml)

    write_sidecars(
        _YOLO,
        annotations,
        folder,
        text_of=lambda image: "".join(f"{line}\n" for line in _written(image, classes)),
        losses_of=_losses,
        more_losses={"category ids": sum(own != row for own, row in classes.items())},
        write_beside=write_names,
    )


# Reading


class _Loader(yaml.BaseLoader):
    """Scalars stay the text that they are: `no` is a name, not False. No key comes twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            value = str(key.value)
            if value in seen:
                line = key.start_mark.line + 1
                raise yaml.YAMLError(f"line {line}: the key {value!r} is there already")
            seen.add(value)
        return super().construct_mapping(node, deep)

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Refuse aliases: a few lines of them stand for a billion names."""
        if self.check_event(yaml.AliasEvent):
            line = self.peek_event().start_mark.line + 1  # type: ignore[no-untyped-call]
            raise yaml.YAMLError(f"line {line}: an alias (*), write out what it stands for")
        return super().compose_node(parent, index)


def _names(path: Path) -> dict[int, str]:
    """Class names by number, in order."""
    try:
        check_bytes(path.stat().st_size, LARGEST_NAMES)
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except FileNotFoundError:
        raise AnnotationError(f"{path}: no such file; it names the classes") from None
    except (OSError, UnicodeError, TooLargeError, yaml.YAMLError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise AnnotationError(f"{path}: cannot be read: {reason}; correct it") from error
    if not isinstance(content, dict) or not isinstance(content.get("names"), (list, dict)):
        raise AnnotationError(f"{path}: no list or mapping under 'names'; add the class names")
    if "kpt_shape" in content:
        raise AnnotationError(
            f"{path}: 'kpt_shape' says that the labels hold keypoints, which the tables do not; "
            "remove both"
        )
    names = content["names"]
    entries = dict(enumerate(names)) if isinstance(names, list) else names
    numbered: dict[int, str] = {}
    for key, name in entries.items():
        if not re.fullmatch("[0-9]{1,18}", str(key)) or not isinstance(name, str):
            raise AnnotationError(
                f"{path}: names: {cut(f'{key!r}: {name!r}')} is not a class number with a name; "
                "correct it"
            )
        if int(key) in numbered:
            raise AnnotationError(
                f"{path}: names: class {int(key)} is both {cut(repr(numbered[int(key)]))} and "
                f"{cut(repr(name))}; keep one"
            )
        numbered[int(key)] = name
    if (count := str(content.get("nc", len(numbered)))) != str(len(numbered)):
        raise AnnotationError(
            f"{path}: 'nc' is {cut(one_line(count))}, but there are {len(numbered)} names; "
            "correct either"
        )
    return dict(sorted(numbered.items()))


def _lines(file: ImageFile, scores: bool, names: dict[int, str], faults: Faults) -> list[str]:
    """The lines of a file that can be read; the others are faults."""
    if file.sidecar is None:
        return []
    try:
        if file.sidecar.stat().st_size > LARGEST_ENTRY:
            faults.add(TOO_LARGE, file.sidecar_name)
            return []
        lines = file.sidecar.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        faults.add(NOT_OPENED, f"{file.sidecar_name} ({error.strerror})")
        return []
    except UnicodeError:
        faults.add("cannot be read as text, replace it", file.sidecar_name)
        return []
    good = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        fault = _fault(line.split(), scores, names)
        if fault is None:
            good.append(_as_supervision_reads(line, scores))
        else:
            kind, value = fault
            place = f"{file.sidecar_name} line {number}"
            faults.add(kind, f"{place} has {value}" if value else place)
    return good


def _fault(fields: list[str], scores: bool, names: dict[int, str]) -> tuple[str, str] | None:
    """What is wrong with one line and what to do, and the value that shows it."""
    count = len(fields) - scores  # without the score
    if count != 5 and (count < 7 or count % 2 == 0):
        return (
            f"{len(fields)} fields, neither a box ({5 + scores}) nor a polygon ({7 + scores}, "
            f"{9 + scores}, ...), correct it"
            + (", or read it with scores=True" if not scores and len(fields) == 6 else "")
        ), ""
    try:
        class_id, *values = map(_number, fields)
    except ValueError:
        return "a field is not a number, correct it", ""
    if not isfinite(class_id) or class_id % 1:
        return f"class {fields[0]} is not a whole number, correct it", ""
    if class_id not in names:
        return f"class {class_id:.0f} has no name in data.yaml, add it or correct the line", ""
    if scores and not 0 <= (score := values.pop()) <= 1:
        return "the score is not from 0 to 1, correct it", f"{score:.10g}"
    # Rounding puts an edge a little outside; cleaning clips it, as it does a box of COCO.
    far = [value for value in values if not -_OVER <= value <= 1 + _OVER]
    if far:
        kind = "a value is not from 0 to 1, write shares of the image's sides, not pixels"
        return kind, f"{far[0]:.10g}"
    return None


def _as_supervision_reads(line: str, scores: bool) -> str:
    """A line whose class is digits, and whose box has no side that rounding put below 0.

    Cleaning drops a box of no area.
    """
    fields = line.split()
    fields[0] = f"{float(fields[0]):.0f}"
    if len(fields) - scores == 5:
        fields[3:5] = [side if float(side) >= 0 else "0" for side in fields[3:5]]
    return " ".join(fields)


def _number(text: str) -> float:
    if "_" in text or not text.isascii():
        raise ValueError(text)  # Python takes 1_0 for a number, numpy does not
    return float(text)


def _annotations(
    lines: Sequence[str], size: tuple[int, int], scores: bool
) -> Iterator[FoundAnnotation]:
    from supervision.dataset.formats.yolo import yolo_annotations_to_detections

    detections = yolo_annotations_to_detections(list(lines), size, with_masks=False)
    boxes = _put_back(detections.xyxy.astype(np.float64), np.tile(size, 2))
    for line, box in zip(lines, boxes.tolist(), strict=True):
        class_id, *values = map(float, line.split())
        score = values.pop() if scores else 1.0
        vertices = (np.array(values).reshape(-1, 2) * size).ravel().tolist()
        polygons = [vertices] if len(vertices) > 4 else []
        yield FoundAnnotation(int(class_id), box, polygons, score)


def _put_back(boxes: NDArray[np.float64], limits: NDArray[np.int64]) -> NDArray[np.float64]:
    """Boxes, (N, 4), with the edges inside the image that only rounding put outside."""
    inside = np.clip(boxes, 0, limits)
    return np.where(np.abs(boxes - inside) < _STEP * limits, inside, boxes)


# Writing


def _check_inside(annotations: Annotations, folder: Path) -> None:
    """Stop where nothing of a box is inside its image."""
    table = annotations.annotations[~annotations.annotations["iscrowd"]]
    sizes = annotations.images.set_index("image_id")[["width", "height"]]
    limits = np.tile(sizes.reindex(table["image_id"]).to_numpy(), 2)
    corners = np.clip(table[BOX].to_numpy(), 0, limits)
    outside = np.asarray((corners[:, 2:] <= corners[:, :2]).any(axis=1))
    faults = Faults(folder, AnnotationError)
    kind = (
        "the box has no area in its image, drop it with the rules drop_degenerate_boxes and "
        "clip_boxes"
    )
    for annotation_id in table.loc[outside, "annotation_id"]:
        faults.add(kind, f"annotation {annotation_id}")
    faults.raise_if_any()


def _written(image: ImageToWrite, classes: dict[int, int]) -> Iterator[str]:
    from supervision.dataset.formats.yolo import object_to_yolo

    size = (image.width, image.height)
    for annotation in image.annotations:
        class_id = classes[annotation.category_id]
        if not annotation.polygons:
            yield object_to_yolo(np.clip(annotation.box, 0, size * 2), class_id, size[::-1])
        for polygon in annotation.polygons:
            corners = np.clip(polygon, 0, size)
            yield object_to_yolo(annotation.box, class_id, size[::-1], corners)


def _losses(image: ImageToWrite) -> dict[str, int]:
    """How often something of one image is lost."""
    found, size = image.annotations, (image.width, image.height)

    def leaves_image(annotation: AnnotationToWrite) -> bool:
        outlines = annotation.polygons or [annotation.box.reshape(2, 2)]
        return any((np.clip(corners, 0, size) != corners).any() for corners in outlines)

    return {
        "annotations in several parts (now a line a part)": sum(
            len(annotation.polygons) > 1 for annotation in found
        ),
        "RLEs (now contours)": sum(annotation.was_rle for annotation in found),
        "annotations that leave their image (now clipped)": sum(map(leaves_image, found)),
        "annotations with keys of their own": sum(bool(annotation.extra) for annotation in found),
    }


def _write_names(names: list[str], path: Path) -> None:
    from supervision.dataset.formats.yolo import save_data_yaml

    with new_file(path) as unfinished:
        save_data_yaml(str(unfinished), names)
