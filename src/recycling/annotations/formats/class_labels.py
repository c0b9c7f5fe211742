"""Labels of whole images, from class folders or a CSV file, as annotations.

Each image gets one annotation, whose box is the whole image, so that what classifies crops
classifies images, too. Several labels of an image make one class of a joint name,
``wear/male/young``, so that folds, ensembles and metrics see classes as ever;
`attributes_of` takes such names apart again.
"""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import product
from math import prod
from pathlib import Path, PurePosixPath
from typing import Literal

import pandas as pd

from recycling.annotations.core import AnnotationError, Annotations, ImageFolder
from recycling.annotations.formats.found_images import FoundAnnotation, FoundImage, as_annotations
from recycling.annotations.images.decoding import image_size
from recycling.annotations.images.facts import IMAGE_SUFFIXES
from recycling.annotations.images.found_files import check_inside, files_meant, is_litter
from recycling.errors import Faults, cut, visible
from recycling.limits import TooLargeError, check_table
from recycling.names import composed, leaves_folder, shown_name
from recycling.progress import track

SEPARATOR = "/"
"""Stands between the values in a class's joint name."""

_MOST_CLASSES = 100_000
_ENDINGS = ", ".join(sorted(IMAGE_SUFFIXES))


def read_class_folders(
    folder: str | Path | ImageFolder,
    *,
    classes: Sequence[str] | None = None,
    source: Literal["human", "pseudo"] = "human",
) -> Annotations:
    """Read a folder of class folders: ``CLASS/image.jpg``.

    Images and annotations are numbered from 1, class by class, in the order of names; a category's
    id is its place, from 0. Hidden files and folders, and files beside the class folders that are
    no images, are of no concern.

    Args:
        folder: The folder of class folders; also the image folder that goes with the result.
        classes: The classes in their order, of which some may have no folder; by default those
            that have one, in the order of their names, or of their numbers if all are numbers.
        source: Who made the labels.

    Returns:
        The tables. Sizes are those of the images as a viewer shows them; `supercategory` is "".
        Classes are compared, and named, in Unicode's composed form (NFC).

    Raises:
        AnnotationError: The folder is missing or holds no class folder, a class folder is empty,
            not among `classes` or the second of its class, an image lies outside a class folder or
            cannot be read, or something else than an image lies in one. One line that counts all
            faults by kind and names the first few of each.
    """
    root = Path(folder)
    if not root.is_dir():
        raise AnnotationError(f"{root}: no such folder; it holds a folder for each class")
    faults = Faults(root, AnnotationError)
    found = [path for path in _visible(root) if path.is_dir()]
    for path in _visible(root):
        if not path.is_dir() and path.suffix.lower() in IMAGE_SUFFIXES:
            faults.add("an image beside the class folders, put it into one", path.name)
    if not found:
        raise AnnotationError(f"{root}: holds no class folder; put images into CLASS/")
    folder_of: dict[str, Path] = {}
    for path in found:
        if (other := folder_of.setdefault(composed(path.name), path)) != path:
            pair = f"{visible(other.name)} and {visible(path.name)}"
            faults.add("two folders of one class, make them one", pair)
    names = _in_order(folder_of) if classes is None else list(map(composed, classes))
    _check_names(names, f"{root}: classes")
    wanted = set(names)
    for name, path in folder_of.items():
        if name not in wanted:
            kind = "a folder of no class, add it to classes or remove it"
            faults.add(kind, shown_name(path.name))
    files = [
        (name, f"{folder_of[name].name}/{file.name}")
        for name in names
        if name in folder_of
        for file in _images_in(folder_of[name], faults)
    ]
    check_inside(root, [file_name for _, file_name in files])
    images = [
        _labelled_image(root, file_name, name, file_name, faults)
        for name, file_name in track(files, "reading labelled images")
    ]
    faults.raise_if_any()
    return as_annotations(images, dict(enumerate(names)), where=root, source=source)


def read_class_csv(
    path: str | Path,
    images_folder: str | Path | ImageFolder,
    *,
    labels: Sequence[str] = ("label",),
    file_name: str = "file_name",
    group: str | None = None,
    values: Mapping[str, Sequence[str]] | None = None,
    source: Literal["human", "pseudo"] = "human",
) -> Annotations:
    """Read a CSV file with a row an image: ``file_name,label``, or several columns of labels.

    One column of labels makes a class of each value. Several make a class of each combination of
    values, whether it occurs or not, the last column's changing fastest, under a joint name such
    as ``wear/male/young``; its `supercategory` names the columns, ``mask/gender/age``. Images and
    annotations are numbered from 1 in the order of rows, so that the same file read with other
    columns of labels is about the same crops; a category's id is its place, from 0. Further
    columns are kept as the annotation's ``attributes``.

    Args:
        path: The CSV file, in UTF-8, with a header.
        images_folder: The folder that the file names are below.
        labels: The columns of labels.
        file_name: The column of file names.
        group: The column of groups, whose images stay in one fold, such as the person in the
            image; by default each image is a group.
        values: A column's values in their order, of which some may not occur; for other columns
            those that occur, in their order, or in that of numbers if all are numbers.
        source: Who made the labels.

    Returns:
        The tables. Sizes are those of the images as a viewer shows them. Labels and groups are
        compared, and named, in Unicode's composed form (NFC).

    Raises:
        AnnotationError: The file is missing, no CSV file, or lacks a column; a row has a wrong
            number of fields, no label, a label that is not among `values`, or a file that is
            named twice, missing or no image. One line that counts all faults by kind and names
            the first few of each.
    """
    path = Path(path)
    root = Path(images_folder)
    values = {column: list(map(composed, own)) for column, own in (values or {}).items()}
    faults = Faults(path, AnnotationError)
    header, rows = _csv(path, faults)
    _check_columns(header, path, labels, file_name, group, values)
    compared = {*labels, group}
    rows = [
        (line, {key: composed(text) if key in compared else text for key, text in row.items()})
        for line, row in rows
    ]
    known: dict[str, Collection[str]] = {}
    for column in labels:
        occurring = (row[column] for _, row in rows if row[column])
        own = values[column] if column in values else _in_order(occurring)
        _check_names(own, f"{path}: values of {column}")
        known[column] = dict.fromkeys(own)  # in order, and found at once
        if len(labels) > 1:
            _check_parts(known[column], column, path)
    if (n := prod(map(len, known.values()))) > _MOST_CLASSES:
        raise AnnotationError(
            f"{path}: {', '.join(labels)} make {n:,} classes, a class of each combination; name "
            "fewer columns of labels"
        )
    others = [name for name in header if name not in {*labels, file_name, group}]
    images: list[FoundImage] = []
    seen: dict[str, str] = {}
    means = files_meant(root, [row[file_name] for _, row in rows])
    for line, row in track(rows, "reading labelled images"):
        if not _check_row(row, f"line {line}", known, file_name, group, faults):
            continue
        name = PurePosixPath(means[row[file_name]]).as_posix()
        where = f"line {line} ({name})"
        label = SEPARATOR.join(row[column] for column in labels)
        if name in seen:
            fault = "twice in the file" if seen[name] == label else "two labels for one image"
            faults.add(f"{fault}, keep one row", where)
            continue
        seen[name] = label
        attributes = {column: row[column] for column in others}
        own_group = row[group] if group else None
        image = _labelled_image(
            root, name, label, where, faults, group=own_group, attributes=attributes
        )
        images.append(image)
    faults.raise_if_any()
    classes = [SEPARATOR.join(values) for values in product(*known.values())]
    family = SEPARATOR.join(labels) if len(labels) > 1 else ""
    return as_annotations(
        images, dict(enumerate(classes)), supercategory=family, where=path, source=source
    )


def attributes_of(classes: Sequence[str], names: Sequence[str]) -> pd.DataFrame:
    """Take the joint names of classes apart.

    Args:
        classes: The classes' names, such as ``wear/male/young``.
        names: What the values in them are, in order, such as mask, gender, age.

    Returns:
        One row a class, one column of values a name.

    Raises:
        AnnotationError: A class is not named after as many values.

    >>> attributes_of(["worn/young", "none/old"], ["mask", "age"])
       mask    age
    0  worn  young
    1  none    old
    """
    rows = [name.split(SEPARATOR) for name in classes]
    for name, values in zip(classes, rows, strict=True):
        if len(values) != len(names) or "" in values:
            raise AnnotationError(
                f"class {name!r} should be named after {len(names)} values, "
                f"{SEPARATOR.join(names)}; rename it, or give as many names"
            )
    return pd.DataFrame(rows, columns=list(names))


def _labelled_image(
    root: Path,
    file_name: str,
    label: str,
    where: str,
    faults: Faults,
    *,
    group: str | None = None,
    attributes: Mapping[str, str] | None = None,
) -> FoundImage:
    """An image with one annotation, as large as itself; of (1, 1) pixels where that is a fault."""
    path = root / file_name
    size = None
    if not os.path.isfile(path):  # noqa: PTH113  # Path raises where a name is too long
        faults.add(f"no such file in {root}, correct the name or add it", where)
    else:
        size = image_size(path)
        if size is None:
            faults.add("the image cannot be read, replace it", where)
    size = size or (1, 1)
    extra = {"attributes": attributes} if attributes else {}
    whole = FoundAnnotation(label, (0, 0, *size), extra=extra)
    return FoundImage(file_name, size, [whole], group)


def _in_order(names: Iterable[str]) -> list[str]:
    """Each name once: as numbers if all are, else as words."""
    unique = sorted(set(names))
    if all(name.isascii() and name.isdecimal() for name in unique):
        # By their digits: Python makes no number of thousands of them.
        unique.sort(key=lambda name: (len(name.lstrip("0")), name.lstrip("0")))
    return unique


def _check_names(names: Sequence[str], where: str) -> None:
    twice = [name for name, n in Counter(names).items() if n > 1]
    if twice or "" in names:
        fault = f"{cut(twice[0])!r} occurs twice" if twice else "one is empty"
        raise AnnotationError(f"{where}: {fault}; give each a name of its own")


# Class folders


def _visible(folder: Path) -> list[Path]:
    """What a folder holds, without hidden files, by name."""
    return sorted(
        path
        for path in folder.iterdir()
        if not path.name.startswith(".") and not is_litter(path.name)
    )


def _images_in(folder: Path, faults: Faults) -> Iterator[Path]:
    is_empty = True
    for path in _visible(folder):
        name = f"{folder.name}/{path.name}"
        if path.is_dir():
            faults.add("a folder in a class folder, move its images up", name)
        elif path.suffix.lower() not in IMAGE_SUFFIXES:
            faults.add(f"not an image ({_ENDINGS}), take it out", name)
        else:
            yield path
        is_empty = False
    if is_empty:
        faults.add("a class folder without an image, fill or remove it", folder.name)


# CSV


def _csv(path: Path, faults: Faults) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """The header, and each row with its line's number; rows of a wrong length are faults."""
    try:
        check_table(path)
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = [name.strip() for name in next(reader, [])]
            rows = []
            for fields in reader:
                if len(fields) == len(header):
                    row = [text.strip() for text in fields]
                    rows.append((reader.line_num, dict(zip(header, row, strict=True))))
                elif fields:  # an empty line has none
                    kind = f"not as many fields as the header's {len(header)}, correct it"
                    faults.add(kind, f"line {reader.line_num} ({len(fields)})")
    except FileNotFoundError:
        raise AnnotationError(f"{path}: no such file; check the path") from None
    except (OSError, UnicodeError, TooLargeError, csv.Error) as error:
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise AnnotationError(f"{path}: cannot be read as CSV in UTF-8: {reason}") from error
    if not header:
        raise AnnotationError(f"{path}: the file is empty; it has not even a header")
    if not rows:
        faults.raise_if_any()
        raise AnnotationError(f"{path}: there is no row below the header; add the images")
    return header, rows


def _check_columns(
    header: list[str],
    path: Path,
    labels: Sequence[str],
    file_name: str,
    group: str | None,
    values: Mapping[str, Sequence[str]],
) -> None:
    _check_names(header, f"{path}: columns")
    if not labels:
        raise AnnotationError(f"{path}: labels is empty; name a column of labels")
    asked = [file_name, *labels, *([group] if group else [])]
    _check_names(asked, f"{path}: columns asked for")
    for name in asked:
        if name not in header:
            raise AnnotationError(
                f"{path}: no column {name!r}; the header is {cut(','.join(header))}: name another "
                "or correct the header"
            )
    for name in values:
        if name not in labels:
            raise AnnotationError(f"{path}: values of {name!r} are given, but it is not a label")


def _check_parts(values: Iterable[str], column: str, path: Path) -> None:
    for value in values:
        if SEPARATOR in value:
            raise AnnotationError(
                f"{path}: {column}: the label {value!r} holds {SEPARATOR!r}, which stands between "
                "the labels of several columns; rename it"
            )


def _check_row(
    row: Mapping[str, str],
    place: str,
    known: Mapping[str, Collection[str]],
    file_name: str,
    group: str | None,
    faults: Faults,
) -> bool:
    """Whether a row can be used."""
    name, usable = row[file_name], True
    if not name:
        faults.add(f"no {file_name}, add it", place)
        return False
    for column, values in known.items():
        if row[column] not in values:
            is_none = f"{column} {visible(row[column])} is none of its values"
            fault = is_none if row[column] else "no label"
            what = "correct it" if row[column] else f"add its {column}"
            faults.add(f"{fault}, {what}", f"{place} ({name})")
            usable = False
    if group and not row[group]:
        faults.add(f"no {group}, add it", f"{place} ({name})")
        usable = False
    if leaves_folder(name):
        faults.add("the file name leaves the image folder, make it a path below it", place)
        usable = False
    return usable
