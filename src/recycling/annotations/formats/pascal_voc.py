"""Read and write Pascal VOC: one XML file an image, boxes and polygons in pixels.

supervision turns boxes and polygons into the file's numbers and back, object by object: VOC counts
pixels from 1, and a box's maximum is the last pixel that it holds. Its `DetectionDataset` is not
used, because it paints every polygon into a mask of the whole picture, all in memory at once, makes
two objects of a mask in two parts, sees no subfolders and drops files that have no image.

Source: http://host.robots.ox.ac.uk/pascal/VOC/voc2012/htmldoc/devkit_doc.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal

import numpy as np

from recycling.annotations.core import AnnotationError, Annotations, ImageFolder
from recycling.annotations.formats.sidecars import (
    Entry,
    Found,
    Pair,
    Sheet,
    as_tables,
    check_writable,
    paired,
    picture_size,
    replaced,
    sheets,
    sidecar_path,
    warn_of_losses,
)
from recycling.errors import Faults
from recycling.progress import track

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_SUFFIX = ".xml"
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_WORDS = ("pose", "truncated", "difficult", "occluded")
"""What VOC says of an object beside its place; kept in `extra`."""
_NOT_XML = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LARGEST = 1e9  # pixels; no picture is wider
_LOSSES = (
    "boxes with fractions of pixels (rounded)",
    "RLEs (now contours)",
    "annotations with keys of their own",
)
_DEPTH = 3  # the readers of this project and the training libraries load pictures as RGB


def read_pascal_voc(
    annotations_folder: str | Path,
    images_folder: str | Path | ImageFolder,
    *,
    categories: Sequence[str] | None = None,
    source: Literal["human", "pseudo"] = "human",
) -> Annotations:
    """Read a folder of Pascal VOC files.

    A file goes with the image of the same path, ending aside; subfolders are read. Images are
    numbered from 1 in the order of their names, annotations from 1 in the order of images and
    objects, categories from 1. The size is the file's `<size>`, as COCO's is its entry's;
    `check_images` compares it with the picture. Where there is none, it is the picture's.
    An object's polygons become its segmentation. `pose`, `truncated`, `difficult` and
    `occluded` go to `extra`; what else a file says of its source or of parts is not read. Boxes
    may reach outside the picture: cleaning deals with them.

    Args:
        annotations_folder: The folder of XML files.
        images_folder: The folder of images; one without a file holds nothing, which is warned of.
        categories: The names in their order, as VOC has none; by default those that occur, sorted.
        source: Who made the annotations.

    Returns:
        The tables.

    Raises:
        AnnotationError: A folder is missing, an XML file has no image, is damaged or malformed, or
            an object's category is not among `categories`. One line that counts all faults by
            kind and names the first few of each.
    """
    folder = Path(annotations_folder)
    images = images_folder.path if isinstance(images_folder, ImageFolder) else Path(images_folder)
    pairs = paired(folder, images, _SUFFIX)
    faults = Faults(folder, AnnotationError)
    sizes, found = [], []
    for pair in track(pairs, "reading Pascal VOC"):
        size, objects = _read(pair, folder, faults)
        sizes.append(size)
        found.append(objects)
    names = list(categories) if categories is not None else _names(found)
    if len(set(names)) < len(names):
        raise AnnotationError(f"{folder}: categories: a name occurs twice; give each once")
    ids = {name: category_id for category_id, name in enumerate(names, 1)}
    for pair, objects in zip(pairs, found, strict=True):
        for one in objects:
            if one.category not in ids:
                kind = f"category {one.category!r} is not among those given, add it or correct it"
                faults.add(kind, pair.file_name)
    faults.raise_if_any()
    numbered = [
        [Found(ids[str(one.category)], one.box, one.polygons, one.score, one.extra) for one in few]
        for few in found
    ]
    by_id = {category_id: name for name, category_id in ids.items()}
    return as_tables(pairs, sizes, numbered, by_id, where=str(folder), source=source)


def write_pascal_voc(annotations: Annotations, folder: str | Path) -> None:
    """Write a folder of Pascal VOC files, one for each image, in the images' subfolders.

    Boxes are rounded to whole pixels and are at least one pixel wide and high. Polygons are kept
    to the last digit, several of one annotation in one object; an RLE becomes the contours of its
    mask, through its outermost pixels. Category names are kept, ids and unused names are not.
    Crowd regions are left out, since VOC has none. Areas are not written. What is lost is said in
    one warning, with counts. No image is needed; the depth is written as 3, colour.

    Args:
        annotations: The tables.
        folder: Where to. The folder appears whole or not at all; XML files that it held are gone.

    Raises:
        AnnotationError: A table is not of its schema, a box has no area, two categories share a
            name, a name cannot stand in XML, two images would share a file, an RLE is damaged, or
            the folder holds something other than XML files.
    """
    folder = Path(folder)
    check_writable(annotations, folder, _SUFFIX)
    names = _writable_names(annotations, folder)
    losses = dict.fromkeys(_LOSSES, 0)
    with replaced(folder, _SUFFIX) as unfinished:
        for sheet in sheets(annotations, where=folder, doing="writing Pascal VOC"):
            path = sidecar_path(unfinished, sheet.file_name, _SUFFIX)
            path.write_text(_document(sheet, names), encoding="utf-8")
            for loss, count in zip(_LOSSES, _lost(sheet), strict=True):
                losses[loss] += count
    used = annotations.annotations.loc[~annotations.annotations["iscrowd"], "category_id"].unique()
    losses["names of unused categories"] = len(names) - len(used)
    in_order = sorted(names[one] for one in used)
    losses["category ids"] = sum(in_order.index(names[one]) + 1 != one for one in used)
    warn_of_losses(annotations, losses, where=folder, form="Pascal VOC")


# Reading


def _read(pair: Pair, folder: Path, faults: Faults) -> tuple[tuple[int, int], list[Found]]:
    """The size of one image, pixels, and what is on it; (1, 1) and nothing where that is unread."""
    root = None if pair.sidecar is None else _root(pair.sidecar, folder, faults)
    if pair.sidecar is not None and root is None:
        return (1, 1), []
    size = _size(root) if root is not None else None
    if size is None:
        size = picture_size(pair.image)
    if size is None:
        faults.add(
            "the image cannot be read and its size is nowhere else, replace it", pair.file_name
        )
        return (1, 1), []
    if root is None or pair.sidecar is None:
        return size, []
    return size, list(_objects(root, pair.sidecar.relative_to(folder).as_posix(), faults))


def _root(path: Path, folder: Path, faults: Faults) -> Element | None:
    from xml.etree.ElementTree import ParseError

    from defusedxml import DefusedXmlException  # type: ignore[import-untyped]
    from defusedxml.ElementTree import parse  # type: ignore[import-untyped]

    place = path.relative_to(folder).as_posix()
    try:
        root: Element = parse(path).getroot()
    except (ParseError, DefusedXmlException, UnicodeError, OSError) as error:
        reason = " ".join(str(error).split())
        faults.add("damaged or not XML, correct or remove it", f"{place} ({reason})")
        return None
    if root.tag != "annotation":
        faults.add("the root is not <annotation>, is this Pascal VOC?", f"{place} (<{root.tag}>)")
        return None
    return root


def _size(root: Element) -> tuple[int, int] | None:
    """Width and height, pixels; None where they are missing, not whole or not positive."""
    sides = [_number(root.findtext(f"size/{side}")) for side in ("width", "height")]
    width, height = (int(side) if side is not None and side % 1 == 0 else 0 for side in sides)
    return (width, height) if width > 0 and height > 0 else None


def _objects(root: Element, place: str, faults: Faults) -> Iterator[Found]:
    from supervision.dataset.formats.pascal_voc import detections_from_xml_obj

    good, polygons, extras = [], [], []
    for number, element in enumerate(root.findall("object"), 1):
        here = f"{place} object {number}"
        fault = _fault(element)
        if fault is not None:
            faults.add(fault, here)
            root.remove(element)
            continue
        good.append(element.findtext("name"))
        extras.append({word: text for word in _WORDS if (text := element.findtext(word))})
        polygons.append([_vertices(polygon) for polygon in element.findall("polygon")])
        for polygon in element.findall("polygon"):
            element.remove(polygon)  # or supervision paints it into a mask
    boxes = detections_from_xml_obj(root, [], (1, 1))[0].xyxy.astype(np.float64).tolist()
    for name, box, parts, extra in zip(good, boxes, polygons, extras, strict=True):
        yield Found(str(name), box, parts, extra=extra)


def _fault(element: Element) -> str | None:
    """What is wrong with one object, and what to do."""
    name = element.findtext("name")
    if name is None or not name.strip():
        return "no <name>, add it"
    corners: dict[str, float] = {}
    for side in _CORNERS:
        value = _number(element.findtext(f"bndbox/{side}"))
        if value is None:
            return f"<{side}> of <bndbox> is missing or no number of pixels, correct it"
        corners[side] = value
    for low, high in (("xmin", "xmax"), ("ymin", "ymax")):
        if corners[low] > corners[high]:
            return f"<{low}> is above <{high}>, swap them"
    for polygon in element.findall("polygon"):
        numbers = [_number(child.text) for child in polygon.iter() if child is not polygon]
        if len(numbers) < 6 or len(numbers) % 2 or None in numbers:
            return "<polygon> is not <x1>, <y1>, <x2>, ... of three points or more, correct it"
    return None


def _vertices(polygon: Element) -> list[float]:
    from supervision.dataset.formats.pascal_voc import parse_polygon_points

    vertices: list[float] = (parse_polygon_points(polygon) - 1).ravel().tolist()
    return vertices


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if abs(value) <= _LARGEST else None  # not of NaN either


def _names(found: Sequence[Sequence[Found]]) -> list[str]:
    return sorted({str(one.category) for objects in found for one in objects})


# Writing


def _writable_names(annotations: Annotations, folder: Path) -> dict[int, str]:
    """Category names by id."""
    categories = annotations.categories
    faults = Faults(folder, AnnotationError)
    for name in categories.loc[categories["name"].duplicated(), "name"]:
        faults.add("two categories of one name, which VOC cannot tell apart, rename one", name)
    for name in categories["name"].tolist():
        if _NOT_XML.search(name) or not name.strip():
            faults.add("a category name that XML cannot hold, rename it", repr(name))
    for name in annotations.images["file_name"].tolist():
        if _NOT_XML.search(name):
            faults.add("a file_name that XML cannot hold, rename it", repr(name))
    faults.raise_if_any()
    return dict(zip(categories["category_id"].tolist(), categories["name"].tolist(), strict=True))


def _document(sheet: Sheet, names: dict[int, str]) -> str:
    from xml.etree import ElementTree

    from supervision import Detections
    from supervision.dataset.formats.pascal_voc import detections_to_pascal_voc

    path = PurePosixPath(sheet.file_name)
    shape = (sheet.height, sheet.width, _DEPTH)
    head = detections_to_pascal_voc(Detections.empty(), [], path.name, shape)
    root = ElementTree.fromstring(head)
    for element in root.findall("source"):
        root.remove(element)  # supervision names a database that the pictures are not from
    for element in root.findall("folder"):
        element.text = path.parent.as_posix()
    for entry in sheet.entries:
        root.append(_object(entry, names[entry.category_id]))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _object(entry: Entry, name: str) -> Element:
    from xml.etree.ElementTree import SubElement

    from supervision.dataset.formats.pascal_voc import object_to_pascal_voc

    first = entry.polygons[0] if entry.polygons else None
    element: Element = object_to_pascal_voc(entry.box, name, first)
    for polygon in entry.polygons[1:]:
        element.extend(object_to_pascal_voc(entry.box, name, polygon).findall("polygon"))
    for word, text in _written_words(entry).items():
        SubElement(element, word).text = text
    return element


def _written_words(entry: Entry) -> dict[str, str]:
    """Those of `_WORDS` that an annotation holds as VOC does."""
    return {
        word: str(entry.extra[word])
        for word in _WORDS
        if type(entry.extra.get(word)) in (str, int) and not _NOT_XML.search(str(entry.extra[word]))
    }


def _lost(sheet: Sheet) -> tuple[int, ...]:
    """How often each of `_LOSSES` happens on one image."""
    return (
        sum(bool((entry.box % 1).any()) for entry in sheet.entries),
        sum(entry.was_rle for entry in sheet.entries),
        sum(bool(entry.extra.keys() - _written_words(entry).keys()) for entry in sheet.entries),
    )
