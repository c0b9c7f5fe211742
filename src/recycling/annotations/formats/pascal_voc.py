"""Read and write Pascal VOC: one XML file an image, boxes and polygons in pixels.

supervision turns boxes and polygons into the file's numbers, object by object: VOC counts pixels
from 1, and a box's maximum is the last pixel that it holds. Its `DetectionDataset` is not used,
because it paints every polygon into a mask of the whole image, all in memory at once, makes two
objects of a mask in two parts, sees no subfolders and drops files that have no image.

Source: http://host.robots.ox.ac.uk/pascal/VOC/voc2012/htmldoc/devkit_doc.html
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal

from recycling.annotations.core import AnnotationError, Annotations, ImageFolder
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
from recycling.errors import Faults
from recycling.limits import LARGEST_ENTRY
from recycling.names import composed

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_PASCAL_VOC = SidecarFormat("Pascal VOC", ".xml")
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_FLAGS = ("pose", "truncated", "difficult", "occluded")
"""What VOC says of an object beside its place; kept in `extra`."""
_POINT = re.compile("([xy])([0-9]{1,9})")
_NOT_XML = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_DECLARATION = re.compile(
    rb"""(?:\xef\xbb\xbf)?<\?xml[^>]*?(?P<pseudo>\sencoding\s*=\s*["'](?P<encoding>[A-Za-z0-9._-]+)["'])"""
)
_SUPERSETS = {"gb2312": "gb18030", "gbk": "gb18030", "euc_kr": "cp949", "shift_jis": "cp932"}
"""What is meant where an older encoding is declared: https://encoding.spec.whatwg.org/#names"""
_NOT_OF_DOCUMENTS = ("idna", "punycode", "raw-unicode-escape", "unicode-escape")
"""Encodings of names and of Python's source, which Python may take hours to decode."""
_LARGEST = 1e9  # pixels; no image is wider
_DEPTH = 3  # the readers of this project and the training libraries load images as RGB


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
    `check_images` compares it with the image. Where there is none, it is the image's.
    An object's polygons become its segmentation. `pose`, `truncated`, `difficult` and
    `occluded` go to `extra`; what else a file says of its source or of parts is not read. Boxes
    may reach outside the image: cleaning deals with them.

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
    names = None if categories is None else list(map(_name_in_xml, categories))
    if names is not None and len(set(names)) < len(names):
        raise AnnotationError(f"{folder}: categories: a name occurs twice; give each once")
    by_id = None if names is None else dict(enumerate(names, 1))
    return read_sidecars(
        _PASCAL_VOC, folder, images_folder, _read_image, categories=by_id, source=source
    )


def write_pascal_voc(annotations: Annotations, folder: str | Path) -> None:
    """Write a folder of Pascal VOC files, one for each image, in the images' subfolders.

    Boxes are rounded to whole pixels and are at least one pixel wide and high. Polygons are kept
    to the last digit, several of one annotation in one object; an RLE becomes the outlines of its
    mask, along the edges of its pixels. Category names are kept, ids and unused names are not.
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
    check_writable(_PASCAL_VOC, annotations, folder)
    names = _writable_names(annotations, folder)
    used = annotations.annotations.loc[~annotations.annotations["iscrowd"], "category_id"].unique()
    ids_as_read = {name: number for number, name in enumerate(sorted(names[i] for i in used), 1)}
    write_sidecars(
        _PASCAL_VOC,
        annotations,
        folder,
        text_of=lambda image: _document(image, names),
        losses_of=_losses,
        more_losses={
            "names of unused categories": len(names) - len(used),
            "category ids": sum(ids_as_read[names[i]] != i for i in used),
        },
    )


def _name_in_xml(name: str) -> str:
    """A category's name as it is read back: blanks around the text of a tag say nothing."""
    return composed(name).strip()


# Reading


def _read_image(file: ImageFile, faults: Faults) -> FoundImage:
    """One image; of (1, 1) pixels and with nothing on it where that is unreadable."""
    unreadable = FoundImage(file.file_name, (1, 1), [])
    root = None
    if file.sidecar is not None:
        root = _root(file.sidecar, file.sidecar_name, faults)
        if root is None:
            return unreadable
    size = (None if root is None else _size(root)) or image_size(file.path)
    if size is None:
        kind = "the image cannot be read and its size is nowhere else, replace it"
        faults.add(kind, file.file_name)
        return unreadable
    objects = [] if root is None else list(_objects(root, file.sidecar_name, faults))
    return FoundImage(file.file_name, size, objects)


def _root(path: Path, name: str, faults: Faults) -> Element | None:
    from xml.etree.ElementTree import ParseError

    from defusedxml import DefusedXmlException  # type: ignore[import-untyped]
    from defusedxml.ElementTree import fromstring  # type: ignore[import-untyped]

    try:
        if path.stat().st_size > LARGEST_ENTRY:
            faults.add(TOO_LARGE, name)
            return None
        root: Element = fromstring(_utf8(path.read_bytes()))
    except OSError as error:
        faults.add(NOT_OPENED, f"{name} ({error.strerror})")
        return None
    except LookupError as error:
        faults.add(
            "Python knows no such encoding of documents, correct it or convert the file",
            f"{name} ({error})",
        )
        return None
    except (ParseError, DefusedXmlException, UnicodeError, ValueError) as error:
        reason = " ".join(str(error).split())
        faults.add("damaged or not XML, correct or remove it", f"{name} ({reason})")
        return None
    if root.tag != "annotation":
        faults.add("the root is not <annotation>, is this Pascal VOC?", f"{name} (<{root.tag}>)")
        return None
    return root


def _utf8(content: bytes) -> bytes:
    """An XML document in UTF-8 that is in any encoding that Python knows.

    The parser knows those of one byte a letter only, beside UTF-8 and UTF-16.

    Raises:
        LookupError: There is no such encoding of documents.
        UnicodeDecodeError: The document is not in the encoding that it declares.
    """
    declared = _DECLARATION.match(content)
    if declared is None:  # UTF-8, or UTF-16 of two bytes a letter
        return content
    encoding = codecs.lookup(declared["encoding"].decode("ascii")).name
    if encoding in _NOT_OF_DOCUMENTS:
        raise LookupError(f"{encoding} is not of documents")
    if encoding.startswith("utf"):
        encoding = "utf-8"  # .NET writes utf-16 into files of UTF-8
    body = content[: declared.start("pseudo")] + content[declared.end("pseudo") :]
    return body.decode(_SUPERSETS.get(encoding, encoding)).encode()


def _size(root: Element) -> tuple[int, int] | None:
    """Width and height, pixels; None where they are missing, not whole or not positive."""
    sides = [_number(root.findtext(f"size/{side}")) for side in ("width", "height")]
    width, height = (int(side) if side is not None and side % 1 == 0 else 0 for side in sides)
    return (width, height) if width > 0 and height > 0 else None


def _objects(root: Element, file_name: str, faults: Faults) -> Iterator[FoundAnnotation]:
    for number, element in enumerate(root.findall("object"), 1):
        fault = _fault(element)
        if fault is not None:
            faults.add(fault, f"{file_name} object {number}")
            continue
        polygons = [
            [side - 1 for point in _points(polygon) or () for side in point]
            for polygon in element.findall("polygon")
        ]
        extra = {word: text for word in _FLAGS if (text := _text(element, word))}
        yield FoundAnnotation(_text(element, "name"), _box(element), polygons, extra=extra)


def _text(element: Element, path: str) -> str:
    """What a tag holds, without the blanks and line breaks around it; "" where there is none."""
    return (element.findtext(path) or "").strip()


def _box(element: Element) -> list[float]:
    """`x_min, y_min, x_max, y_max`, pixels from 0, of an object whose box has no fault.

    VOC counts pixels from 1, and a box's maximum is the last pixel that it holds.
    """
    x_min, y_min, x_max, y_max = (float(_text(element, f"bndbox/{side}")) for side in _CORNERS)
    return [x_min - 1, y_min - 1, x_max, y_max]


def _fault(element: Element) -> str | None:
    """What is wrong with one object, and what to do."""
    if not _text(element, "name"):
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
        points = _points(polygon)
        if points is None or len(points) < 3:
            return "<polygon> is not <x1>, <y1>, <x2>, ... of three points or more, correct it"
    return None


def _points(polygon: Element) -> list[tuple[float, float]] | None:
    """The points of a polygon, as the file counts them; None where it is none.

    Tags are read by name: a file may have all x before all y, or y before x.
    """
    sides: dict[str, dict[int, float]] = {"x": {}, "y": {}}
    for child in polygon:
        tag, value = _POINT.fullmatch(child.tag), _number(child.text)
        if tag is None or value is None or int(tag[2]) in sides[tag[1]]:
            return None
        sides[tag[1]][int(tag[2])] = value
    x, y = sides["x"], sides["y"]
    return [(x[number], y[number]) for number in sorted(x)] if x.keys() == y.keys() else None


def _number(text: str | None) -> float | None:
    if text is None or "_" in text or not text.isascii():
        return None  # Python takes 1_0 for a number
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) <= _LARGEST else None  # not of NaN either


# Writing


def _writable_names(annotations: Annotations, folder: Path) -> dict[int, str]:
    """Category names by id."""
    categories = annotations.categories
    faults = Faults(folder, AnnotationError)
    for name in categories.loc[categories["name"].map(_name_in_xml).duplicated(), "name"]:
        faults.add("two categories of one name, which VOC cannot tell apart, rename one", name)
    for name in categories["name"].tolist():
        if _NOT_XML.search(name) or not name.strip():
            faults.add("a category name that XML cannot hold, rename it", repr(name))
    for name in annotations.images["file_name"].tolist():
        if _NOT_XML.search(name):
            faults.add("a file_name that XML cannot hold, rename it", repr(name))
    faults.raise_if_any()
    return dict(zip(categories["category_id"].tolist(), categories["name"].tolist(), strict=True))


def _document(image: ImageToWrite, names: dict[int, str]) -> str:
    from xml.etree import ElementTree

    from defusedxml.ElementTree import fromstring
    from supervision import Detections
    from supervision.dataset.formats.pascal_voc import detections_to_pascal_voc

    path = PurePosixPath(image.file_name)
    shape = (image.height, image.width, _DEPTH)
    head = detections_to_pascal_voc(Detections.empty(), [], path.name, shape)
    root: Element = fromstring(head)
    for element in root.findall("source"):
        root.remove(element)  # supervision names a database that the images are not from
    for element in root.findall("folder"):
        element.text = path.parent.as_posix()
    for annotation in image.annotations:
        root.append(_object(annotation, names[annotation.category_id]))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _object(annotation: AnnotationToWrite, name: str) -> Element:
    from xml.etree.ElementTree import SubElement

    from supervision.dataset.formats.pascal_voc import object_to_pascal_voc

    first = annotation.polygons[0] if annotation.polygons else None
    element: Element = object_to_pascal_voc(annotation.box, name, first)
    for polygon in annotation.polygons[1:]:
        element.extend(object_to_pascal_voc(annotation.box, name, polygon).findall("polygon"))
    for word, text in _written_flags(annotation).items():
        SubElement(element, word).text = text
    return element


def _written_flags(annotation: AnnotationToWrite) -> dict[str, str]:
    """Those of `_FLAGS` that an annotation holds as VOC does."""
    words = {word: annotation.extra.get(word) for word in _FLAGS}
    return {
        word: str(value)
        for word, value in words.items()
        if type(value) in (str, int) and not _NOT_XML.search(str(value))
    }


def _losses(image: ImageToWrite) -> dict[str, int]:
    """How often something of one image is lost."""
    found = image.annotations
    return {
        "boxes with fractions of pixels (rounded)": sum(
            bool((annotation.box % 1).any()) for annotation in found
        ),
        "RLEs (now contours)": sum(annotation.was_rle for annotation in found),
        "annotations with keys of their own": sum(
            bool(annotation.extra.keys() - _written_flags(annotation)) for annotation in found
        ),
    }
