"""Which format the annotations in a folder are in, and where the images are."""

from __future__ import annotations

import codecs
import csv
import json
import os
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePath
from typing import Any, Literal

import msgspec

from recycling.annotations.core import AnnotationError
from recycling.annotations.formats.coco.files import read_content
from recycling.annotations.images.facts import IMAGE_SUFFIXES
from recycling.annotations.images.found_files import files_below
from recycling.limits import LARGEST_NAMES, TooLargeError, check_bytes, check_json, check_table
from recycling.names import loosely

Format = Literal["COCO", "Pascal VOC", "YOLO", "class folders", "CSV"]
Part = Literal["train", "pool", "test"]

_WORDS: dict[str, Part | Literal["validation"]] = {
    "train": "train", "training": "train", "trainval": "train",
    "test": "test", "testing": "test",
    "pool": "pool", "unlabeled": "pool", "unlabelled": "pool",
    "val": "validation", "valid": "validation", "validation": "validation", "dev": "validation",
}  # fmt: skip
_FILE_COLUMNS = ("file_name", "filename", "file", "image", "image_name", "path", "image_path", "id")
_LABEL_COLUMNS = ("label", "class", "category", "target", "class_name", "category_name", "species")
_BOX_COLUMNS = ({"xmin", "x_min", "x1"}, {"ymax", "y_max", "y2"})
_UNREADABLE = (
    OSError, EOFError, zlib.error, RecursionError, ValueError, KeyError, TypeError, AttributeError,
)  # fmt: skip
_SAMPLE = 200
_BEGINNING = 1 << 16
_LONGEST_LINE = 1 << 20  # letters; a longer one is cut


class _Sections(msgspec.Struct):
    """Of a COCO file, what says whether it is one."""

    images: msgspec.Raw
    annotations: msgspec.Raw


@dataclass(frozen=True)
class Source:
    """Annotations that were found.

    Attributes:
        format: Theirs.
        path: The file, or the folder of files.
        images: The folder of their images.
        part: Which part of the data they are, as their path says; train where it says nothing.
        options: What else is to be known to read them, as of the format's reader.
    """

    format: Format
    path: Path
    images: Path
    part: Part = "train"
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Recognised:
    """What a folder holds.

    Attributes:
        sources: By format, the surest first; each has at most one for a part of the data.
        remarks: What was found and does not fit: one line each.
    """

    sources: dict[Format, list[Source]]
    remarks: list[str]


def recognise(folder: Path) -> Recognised:
    """Look at the files of a folder, and find annotations in it.

    Args:
        folder: Whose files are looked at, at any depth; hidden ones are passed over.

    Raises:
        AnnotationError: There is no such folder, or nothing in it is in a known format.

    Example:
        >>> folder = getfixture("tmp_path")
        >>> for name in ("cat", "dog"):
        ...     (folder / name).mkdir()
        ...     _ = (folder / name / "1.jpg").write_bytes(b"")
        >>> list(recognise(folder).sources)
        ['class folders']
    """
    if not folder.is_dir():
        raise AnnotationError(f"{folder}: no such folder; check the path")
    files = sorted(_files(folder))
    images = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]
    remarks: list[str] = []
    found: dict[Format, list[Source]] = {}
    for name, look in _LOOKS.items():
        candidates = look(folder, files, images, remarks)
        if candidates:
            found[name] = _one_a_part(folder, candidates, remarks)
    if not found:
        kinds = Counter(path.suffix.lower() or "no ending" for path in files)
        seen = ", ".join(f"{n} x {kind}" for kind, n in kinds.most_common(5)) or "nothing"
        said = f"; {'; '.join(remarks[:3])}" if remarks else ""
        raise AnnotationError(
            f"{folder}: no annotations of a known format (COCO, Pascal VOC, YOLO, class folders, "
            f"CSV of labels): it holds {seen}{said}"
        )
    return Recognised(found, remarks)


def _files(folder: Path) -> Iterator[Path]:
    return (folder / name for name in files_below(folder, left_out=_is_hidden))


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name in ("__MACOSX", "Thumbs.db")


def _one_a_part(folder: Path, candidates: Sequence[Source], remarks: list[str]) -> list[Source]:
    """Which of the found is train, pool and test; what is more than that is said."""
    parts = [_part_of(source.path.relative_to(folder)) for source in candidates]
    by_part: dict[str, Source] = {}
    # What says that it is train comes before what says nothing.
    for source, part in sorted(zip(candidates, parts, strict=True), key=lambda each: not each[1]):
        shown = source.path.relative_to(folder).as_posix()
        if part == "validation":
            remarks.append(
                f"{shown}: not used: folds are made of train (splitting); add it to train for that"
            )
        elif (part or "train") in by_part:
            remarks.append(f"{shown}: not used: {by_part[part or 'train'].path.name} is taken")
        else:
            chosen = part or "train"
            by_part[chosen] = Source(
                source.format, source.path, source.images, chosen, source.options
            )
    if not by_part:  # all of it is called validation
        by_part["train"] = candidates[0]
    if "train" not in by_part:
        only = next(iter(by_part.values()))
        remarks.append(f"{only.path.name}: taken as train, as there is no other")
        by_part = {"train": Source(only.format, only.path, only.images, "train", only.options)}
    return [by_part[part] for part in ("train", "pool", "test") if part in by_part]


def _part_of(path: PurePath) -> Part | Literal["validation"] | None:
    for name in reversed([*path.parts[:-1], path.name.split(".")[0]]):
        for word in re.split(r"[^a-z]+", name.lower()):
            if word in _WORDS:
                return _WORDS[word]
    return None


# COCO -------------------------------------------------------------------------------------------


def _coco(
    folder: Path, files: Sequence[Path], images: Sequence[Path], remarks: list[str]
) -> list[Source]:
    sources = []
    for path in files:
        if not path.name.lower().endswith((".json", ".json.gz")):
            continue
        names = _names_in_coco(path, remarks, folder)
        if names is not None:
            sources.append(Source("COCO", path, _folder_of(folder, path, names, images)))
    return sources


def _names_in_coco(path: Path, remarks: list[str], folder: Path) -> list[str] | None:
    shown = path.relative_to(folder).as_posix()
    try:
        raw = read_content(path)
        if b'"images"' not in raw:
            return None
        if b'"annotations"' not in raw:
            with suppress(*_UNREADABLE, IndexError):
                check_json(raw)
                if json.loads(raw)["images"][0]["file_name"]:
                    remarks.append(
                        f'{shown}: not used: it has no "annotations", as image_info files have '
                        'none; add "annotations": [] to it, or name the folder of its images in '
                        "the catalog (UnlabelledImagesDataset)"
                    )
            return None
        rows, annotations = _sections(raw)
        if re.search(rb"[^\s\[\]]", annotations) and not re.search(rb'"bbox"\s*:', annotations):
            remarks.append(
                f"{shown}: not used: no annotation in it has a bbox, as captions have none"
            )
            return None
        return [str(row.get("file_name", "")) for row in rows[:_SAMPLE]]
    except _UNREADABLE as error:
        remarks.append(f"{shown}: not read as COCO: {type(error).__name__}: {str(error)[:120]}")
        return None


def _sections(raw: bytes) -> tuple[Any, bytes | memoryview]:
    """The images of a COCO file, and its annotations as text: of these there may be gigabytes."""
    try:
        found = msgspec.json.decode(raw.removeprefix(codecs.BOM_UTF8), type=_Sections)
    except msgspec.DecodeError:  # Python's json reads more (NaN)
        check_json(raw)
        content = json.loads(raw)
        return content["images"], json.dumps(content["annotations"]).encode()
    check_json(bytes(found.images))
    return msgspec.json.decode(found.images), memoryview(found.annotations)


def _folder_of(folder: Path, file: Path, names: Sequence[str], images: Sequence[Path]) -> Path:
    """The folder below which most of the files lie, as `loosely` compares; else that with the most.

    Cleaning finds files by names in another case or with backslashes, too.
    """
    beside = file.parent
    candidates = list(dict.fromkeys([beside / "images", beside, *_parents(images, beside)]))
    known = {loosely(str(path)) for path in images}
    there = {
        path: sum(
            loosely(f"{path}/{name}") in known or (path / name).is_file() for name in names if name
        )
        for path in candidates
    }
    best = max(candidates, key=lambda path: (there[path], _likeness(folder, file, path)))
    if there[best]:
        return best
    counted = Counter(path.parent for path in images)
    return counted.most_common(1)[0][0] if counted else beside / "images"


def _parents(images: Sequence[Path], beside: Path) -> Iterator[Path]:
    """The folders that images lie in, and those above."""
    for own in dict.fromkeys(path.parent for path in images):
        yield own
        for above in own.parents:
            if not above.is_relative_to(beside.parent):
                break
            yield above


def _likeness(folder: Path, annotations: Path, images: Path) -> int:
    """How many words the two paths have in common: parts may hold files of the same names.

    Annotations that say no part are taken as train.
    """
    words = _words(folder, annotations)
    if words.isdisjoint(_WORDS.values()):
        words.add("train")
    return len(words & _words(folder, images))


def _words(folder: Path, path: Path) -> set[str]:
    shown = os.path.relpath(path, folder).lower()
    return {_WORDS.get(word, word) for word in re.findall(r"[^\W\d_]+|\d+", shown)}


# A file for each image --------------------------------------------------------------------------


def _pascal_voc(
    folder: Path, files: Sequence[Path], images: Sequence[Path], _remarks: list[str]
) -> list[Source]:
    xml = [
        path
        for path in files
        if path.suffix.lower() == ".xml"
        and b"<annotation" in _beginning(path).replace(b"\0", b"")  # UTF-16
    ]
    return [
        Source("Pascal VOC", root, _same_stems(folder, root, own, images))
        for root, own in _by_root(folder, xml).items()
    ]


def _yolo(
    folder: Path, files: Sequence[Path], images: Sequence[Path], remarks: list[str]
) -> list[Source]:
    named = [
        path
        for path in files
        if path.suffix in (".yaml", ".yml") and re.search(rb"(?m)^names\s*:", _beginning(path))
    ]
    beside = {image.stem for image in images} if named else set()
    texts = [path for path in files if path.suffix.lower() == ".txt" and path.name != "classes.txt"]
    # Beside names, what lies there for an image is meant as labels: the reader says what is wrong.
    labels = [path for path in texts if _is_labels(path)]
    labels = labels or [path for path in texts if path.stem in beside]
    if not labels:
        return []
    listed = [path for path in files if path.name in ("classes.txt", "obj.names")]
    roots = _by_root(folder, labels)
    options: dict[Path, dict[str, Any]]
    if named:
        options = {root: {"data_yaml": _nearest(named, root)} for root in roots}
        used = {own["data_yaml"] for own in options.values()}
        taken = ", ".join(path.relative_to(folder).as_posix() for path in sorted(used))
        remarks += [
            f"{path.relative_to(folder).as_posix()}: not used: the names are taken from {taken}"
            for path in named
            if path not in used
        ]
    elif listed:
        path = _nearest(listed, labels[0].parent)
        try:
            names = _names_in_lines(path)
        except ValueError as error:
            is_text = isinstance(error, UnicodeDecodeError)
            fault = "not in UTF-8, save it as that" if is_text else f"{error}"
            remarks.append(f"{path.relative_to(folder).as_posix()}: {fault}")
            return []
        options = {root: {"names": names} for root in roots}
    else:
        remarks.append(
            f"{len(labels)} label files of YOLO ({labels[0].relative_to(folder).as_posix()}, ...), "
            "but no data.yaml with names: write one"
        )
        return []
    return [
        Source("YOLO", root, _same_stems(folder, root, own, images), options=options[root])
        for root, own in roots.items()
    ]


def _nearest(files: Sequence[Path], root: Path) -> Path:
    """The file that is about labels: one called data first, then the nearest above them."""

    def steps(path: Path) -> tuple[bool, int, int]:
        shared = len(Path(os.path.commonpath([path.parent, root])).parts)
        return path.stem != "data", len(path.parent.parts) - shared, len(root.parts) - shared

    return min(files, key=steps)


def _names_in_lines(path: Path) -> list[str]:
    """The names of classes, one a line; blank lines count, but for those at the end."""
    check_bytes(path.stat().st_size, LARGEST_NAMES)
    return [line.strip() for line in path.read_text(encoding="utf-8-sig").rstrip().splitlines()]


def _is_labels(path: Path) -> bool:
    content = _beginning(path).removeprefix(codecs.BOM_UTF8)
    lines = [line for line in content.splitlines() if line.strip()]
    return all(re.fullmatch(rb"\d+(\s+[-+0-9.eE]+){4,}\s*", line.strip()) for line in lines[:5])


def _by_root(folder: Path, files: Sequence[Path]) -> dict[Path, list[Path]]:
    """The files by the folder that a reader is to be given: it looks below it, too."""
    found: dict[Path, list[Path]] = {}
    for path in files:
        root = path.parent
        for above in path.parents:
            if not above.is_relative_to(folder):
                break
            if above.name.lower() in ("labels", "annotations") and (
                _part_of(path.parent.relative_to(above) / "x") is None
            ):
                root = above
                break
        found.setdefault(root, []).append(path)
    return found


def _same_stems(folder: Path, root: Path, files: Sequence[Path], images: Sequence[Path]) -> Path:
    """The folder below which most of the images of these files lie, at the same paths."""
    by_stem: dict[str, list[Path]] = {}
    for image in images:
        by_stem.setdefault(image.stem, []).append(image)
    counted: Counter[Path] = Counter()
    for path in files[:_SAMPLE]:
        below = path.relative_to(root).with_suffix("")
        for image in by_stem.get(path.stem, ()):
            if image.with_suffix("").as_posix().endswith(f"/{below.as_posix()}"):
                counted[image.parents[len(below.parts) - 1]] += 1
    if not counted:
        return root
    return max(counted, key=lambda at: (counted[at], _likeness(folder, root, at)))


def _beginning(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_BEGINNING)
    except OSError:
        return b""


# Labels of whole images -------------------------------------------------------------------------


def _csv(
    folder: Path, files: Sequence[Path], images: Sequence[Path], remarks: list[str]
) -> list[Source]:
    sources = []
    for path in files:
        if path.suffix.lower() != ".csv":
            continue
        shown = path.relative_to(folder).as_posix()
        header, rows, fault = _csv_rows(path)
        lower = {name.strip().lower(): name for name in header}
        if all(names & lower.keys() for names in _BOX_COLUMNS):
            remarks.append(f"{shown}: boxes in a CSV are not read; convert it to COCO")
            continue
        if "predictionstring" in lower:
            remarks.append(
                f"{shown}: holds predictions (PredictionString), no labels; to have them in an "
                "ensemble, put it into 01_raw/members/det or seg in the folder that `data` of the "
                "environment's globals.yml names, such as data/mine"
            )
            continue
        if "submission" in path.stem.lower():
            remarks.append(
                f"{shown}: not used: a submission by its name, not labels; else rename it"
            )
            continue
        if fault:
            remarks.append(f"{shown}: not read as CSV: {fault}")
            continue
        file_column = _file_column(header, rows, lower)
        if file_column is None:
            read = f"its columns are read as {', '.join(header[:5])[:120]}" if header else "no row"
            remarks.append(
                f"{shown}: no column of file names with an ending ({read}); a CSV of labels has "
                "commas, UTF-8, and a column such as file_name"
            )
            continue
        label = next((lower[name] for name in _LABEL_COLUMNS if name in lower), None)
        others = [name for name in header if name != file_column]
        if label is None and len(others) == 1:
            label = others[0]
        if label is None:
            remarks.append(
                f"{shown}: no column of labels among {', '.join(others[:5]) or 'none'}; call it "
                "label, or give labels in the catalog"
            )
            continue
        names = [str(row[file_column]) for row in rows]
        options = {"labels": [label], "file_name": file_column}
        if len(others) > 1:
            rest = [name for name in others if name != label]
            remarks.append(f"{shown}: {label} is taken as the label; also there: {rest[:5]}")
        there = _folder_of(folder, path, names, images)
        sources.append(Source("CSV", path, there, options=options))
    return sources


def _csv_rows(path: Path) -> tuple[list[str], list[dict[str, Any]], str]:
    """The columns, the first rows, and what is wrong with the file, "" if nothing."""
    header: list[str] = []
    rows: list[dict[str, Any]] = []
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            reader = csv.DictReader(iter(lambda: file.readline(_LONGEST_LINE), ""))
            header = [name for name in reader.fieldnames or () if name]
            check_table(path)
            rows += islice(reader, _SAMPLE)
    except (OSError, TooLargeError, csv.Error) as error:
        return header, rows, str(error)[:120]
    return header if rows else [], rows, ""


def _file_column(
    header: Sequence[str], rows: Sequence[dict[str, Any]], lower: dict[str, str]
) -> str | None:
    """The column of names of images."""
    for name in dict.fromkeys([*(lower[n] for n in _FILE_COLUMNS if n in lower), *header]):
        values = [str(row[name] or "") for row in rows]
        if values and all(Path(value).suffix.lower() in IMAGE_SUFFIXES for value in values):
            return name
    return None


def _class_folders(
    folder: Path, _files_: Sequence[Path], images: Sequence[Path], _remarks: list[str]
) -> list[Source]:
    """Folders whose folders, two or more, hold images and no folders."""
    holding = {path.parent for path in images}
    above = {folder for own in holding for folder in own.parents}
    sources = []
    for root in sorted({own.parent for own in holding - {folder}}):
        classes = {own for own in holding if own.parent == root}
        beside, deeper = root in holding, not classes.isdisjoint(above)
        are_parts = all(
            _part_of(PurePath(own.name)) or own.name.lower() in ("images", "labels", "masks")
            for own in classes
        )
        if len(classes) > 1 and not beside and not deeper and not are_parts:
            sources.append(Source("class folders", root, root))
    return sources


_LOOKS: dict[Format, Any] = {
    "COCO": _coco,
    "Pascal VOC": _pascal_voc,
    "YOLO": _yolo,
    "CSV": _csv,
    "class folders": _class_folders,
}
