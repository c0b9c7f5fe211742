"""Read and write COCO annotation files, losing nothing on the way.

`layout` says how the tables hold what a file says, `reading` takes a document to tables, through
the `columns` of its entries, and `writing` takes tables back.
"""

from __future__ import annotations

from pathlib import Path

from recycling.annotations.core import Annotations
from recycling.annotations.formats.coco.files import read_content, whole_file
from recycling.annotations.formats.coco.layout import ABSENT
from recycling.annotations.formats.coco.reading import (
    DuplicateIds,
    Source,
    completed,
    from_coco,
    tables_of_content,
)
from recycling.annotations.formats.coco.writing import coco_pieces, to_coco

__all__ = ["ABSENT", "from_coco", "read_coco", "to_coco", "write_coco"]


def read_coco(
    path: str | Path,
    *,
    source: Source = "human",
    duplicate_ids: DuplicateIds = "error",
) -> Annotations:
    """Read a COCO file, plain or gzip.

    Memory: the file's content (unpacked) and the tables; never the whole document as Python
    objects, unless it holds what only Python takes for JSON (NaN, half a surrogate pair).

    Args:
        path: The file.
        source: Who made the annotations that do not say so themselves under the key "source".
        duplicate_ids: What to do with a second annotation of the same id (TACO's whole file has
            two): "renumber" gives it a new id, after the highest where there is one, keeps the old
            one in its `extra` under "original_id" and warns once.

    Returns:
        Its images, annotations, categories and everything else.

    Raises:
        AnnotationError: The file is missing or malformed. One line that counts the faults by kind
            and names the first few of each.
    """
    content = read_content(path)
    tables = tables_of_content(content, str(path), source, duplicate_ids)
    del content  # no longer needed, and as large as the tables
    return completed(tables, where=str(path))


def write_coco(annotations: Annotations, path: str | Path) -> None:
    """Write a COCO file, gzip where the name ends in ``.gz``.

    The same annotations always give the same bytes. The file appears whole or not at all. Memory: a
    few thousand entries at a time.

    Args:
        annotations: What to write.
        path: The file; its folder is made where there is none.

    Raises:
        AnnotationError: A table is not of its schema, a segmentation is not JSON, or the file
            cannot be written there.
    """
    with whole_file(path) as file:
        for piece in coco_pieces(annotations):
            file.write(piece)
