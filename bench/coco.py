"""Reading and writing COCO files beside ``pycocotools.COCO``, ``json.dumps`` and ``json.dump``.

Two files are made on the spot, one that resembles TACO (polygons) and one that resembles the
competition (boxes only). Each task runs in a process of its own, so that its peak memory is its
own: what the process held at most, less what it held after its imports. Times are of the processor,
so that other programs on the machine hardly change them; every task runs on one core.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.comparison import Row, in_own_process, memory_mb, show

N_CATEGORIES = 60
KINDS = ("polygons", "boxes")
FASTER = {"boxes": 2.5, "polygons": 4.0}
"""Floors of reading: how many times as fast as the peer."""
WRITE_FASTER, NO_MORE = 3.0, 1.0
"""Floor of writing, and the most memory, as a share of the peer's."""

Summary = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """What one process measured.

    Attributes:
        seconds: Processor time of the task.
        megabytes: Peak memory of the process, less that after its imports.
        summary: What was read: counts, sums of boxes, annotations per category.
    """

    seconds: float
    megabytes: float
    summary: Summary


@dataclass(frozen=True)
class Pair:
    """One task as the peer does it and as we do it."""

    what: str
    peer_name: str
    peer: Run
    ours: Run
    target: float | None = WRITE_FASTER


def run(*, quick: bool) -> list[Row]:
    n, repeats = (5_000, 1) if quick else (1_000_000, 2)
    pairs: list[Pair] = []
    with TemporaryDirectory() as folder:
        for kind in KINDS:
            path = Path(folder, f"{kind}.json")
            measured("make", kind, n, path)
            what = f"{n:,} {kind}, {path.stat().st_size / 1e6:,.0f} MB"
            pairs += compared(path, what, repeats, kind)
    rows = [
        Row(pair.what, pair.peer_name, pair.peer.seconds, pair.ours.seconds, pair.target)
        for pair in pairs
    ]
    show("processor seconds; both read the same, from the file and from the one we wrote", rows)
    show_memory(pairs)
    return rows


def compared(path: Path, what: str, repeats: int, kind: str) -> list[Pair]:
    """Every task on one file, the best of some runs, after a check that both read the same."""
    written = path.with_name("written.json")

    def best(task: str) -> Run:
        runs = [measured(task, path, written) for _ in range(repeats)]
        return min(runs, key=lambda run: run.seconds)

    read, peer_read = best("read"), best("peer_read")
    dumps, dump = best("peer_dumps"), best("peer_dump")
    write = best("write")
    check_same(read.summary, peer_read.summary)
    check_same(measured("peer_read", written, written).summary, peer_read.summary)
    pairs = [
        Pair(f"read, {what}", "pycocotools.COCO", peer_read, read, FASTER[kind]),
        Pair(f"write, {what}", "json.dumps", dumps, write),
        Pair(f"write, {what}", "json.dump", dump, write),
    ]
    if kind == "boxes":  # the default rules draw every mask, which takes far longer than the files
        both = Run(peer_read.seconds + dumps.seconds, dumps.megabytes, {})
        name = "COCO, json.dumps (cleans nothing)"
        pairs.append(Pair(f"read, clean, write, {what}", name, both, best("clean"), None))
    return pairs


def show_memory(pairs: list[Pair]) -> None:
    """Print what both hold at most; writing includes what was read before."""
    table = Table("what", "peer", "peer MB", "ours MB", "share", "target", title="peak memory")
    for pair in pairs:
        peer, ours = pair.peer.megabytes, pair.ours.megabytes
        target = "" if pair.target is None else f"{NO_MORE:g}"
        # A process may need no more than it had before: then there is no share to speak of.
        share = f"{ours / peer:.2f}" if peer > 0 else "-"
        table.add_row(pair.what, pair.peer_name, f"{peer:.0f}", f"{ours:.0f}", share, target)
    Console(width=110).print(table)


def measured(task: str, *arguments: object) -> Run:
    """Run one of `TASKS` in a new Python."""
    return Run(**in_own_process("bench.coco", task, *arguments))


def check_same(ours: Summary, theirs: Summary) -> None:
    """Stop where two readers did not read the same."""
    import numpy as np

    for key in ("images", "annotations", "per_category"):
        if ours[key] != theirs[key]:
            raise AssertionError(f"{key}: {ours[key]} is not {theirs[key]}")
    np.testing.assert_allclose(ours["box_sums"], theirs["box_sums"], rtol=1e-9)


# Tasks, each in a process of its own


def main(task: str, *arguments: str) -> None:
    seconds, megabytes, summary = TASKS[task](*arguments)
    print(json.dumps({"seconds": seconds, "megabytes": megabytes, "summary": summary}))


def make(kind: str, n_annotations: str, path: str) -> tuple[float, float, Summary]:
    """Write a file of one of `KINDS`."""
    import numpy as np

    n, rng = int(n_annotations), np.random.default_rng(0)
    n_images = n // 3 if kind == "polygons" else n // 5
    with Path(path).open("w") as file:
        categories = [{"id": one, "name": f"c{one}"} for one in range(N_CATEGORIES)]
        file.write(
            f'{{"info": {{"year": 2021}}, "categories": {json.dumps(categories)}, "images": ['
        )
        for one in range(n_images):
            image = {"id": one, "width": 1024, "height": 1024, "file_name": f"batch/{one:07}.jpg"}
            image |= {"license": 0, "flickr_url": None, "coco_url": None}
            if kind == "polygons":
                image["flickr_url"] = (
                    f"https://farm66.staticflickr.com/65535/{one}_e30a59e0a8_o.png"
                )
            image["date_captured"] = "2020-12-26 14:44:23"
            file.write((", " if one else "") + json.dumps(image))
        file.write('], "annotations": [')
        for start in range(0, n, 10_000):
            count = min(10_000, n - start)
            sizes = rng.uniform(2, 700, (count, 2)).round(2)
            corners = (rng.uniform(0, 1, (count, 2)) * (1024 - sizes)).round(2)
            boxes = np.hstack([corners, sizes]).tolist()
            areas = sizes.prod(axis=1).round(2).tolist()
            image_ids = np.sort(rng.integers(0, n_images, count)).tolist()
            category_ids = rng.integers(0, N_CATEGORIES, count).tolist()
            n_corners = rng.integers(10, 31, count).tolist()
            for row in range(count):
                entry = {"id": start + row, "image_id": image_ids[row]}
                entry |= {"category_id": category_ids[row], "bbox": boxes[row]}
                entry |= {"area": areas[row], "iscrowd": 0}
                if kind == "polygons":
                    places = corners[row] + rng.uniform(0, 1, (n_corners[row], 2)) * sizes[row]
                    entry["segmentation"] = [places.round(1).ravel().tolist()]
                file.write((", " if start + row else "") + json.dumps(entry))
        file.write("]}")
    return 0.0, 0.0, {}


def read(path: str, _: str) -> tuple[float, float, Summary]:
    from recycling.annotations import read_coco

    before = ready()
    seconds, annotations = timed(lambda: read_coco(path))
    return seconds, peak() - before, our_summary(annotations)


def write(path: str, written: str) -> tuple[float, float, Summary]:
    from recycling.annotations import read_coco, write_coco

    before = ready()
    annotations = read_coco(path)
    seconds, _ = timed(lambda: write_coco(annotations, written))
    return seconds, peak() - before, {}


def clean(path: str, written: str) -> tuple[float, float, Summary]:
    from recycling.annotations import IMAGE_CHECKS, Cleaning, clean, read_coco, write_coco

    before = ready()
    seconds, _ = timed(
        lambda: write_coco(clean(read_coco(path), IMAGE_CHECKS.empty(), Cleaning())[0], written)
    )
    return seconds, peak() - before, {}


def peer_read(path: str, _: str) -> tuple[float, float, Summary]:
    from pycocotools.coco import COCO

    before = peak()
    seconds, coco = timed(lambda: quietly(lambda: COCO(path)))
    return seconds, peak() - before, their_summary(coco.dataset)


def peer_dumps(path: str, written: str) -> tuple[float, float, Summary]:
    from pycocotools.coco import COCO

    before = peak()
    coco = quietly(lambda: COCO(path))
    seconds, _ = timed(lambda: Path(written).write_text(json.dumps(coco.dataset)))
    return seconds, peak() - before, {}


def peer_dump(path: str, written: str) -> tuple[float, float, Summary]:
    from pycocotools.coco import COCO

    before = peak()
    coco = quietly(lambda: COCO(path))
    with Path(written).open("w") as file:
        seconds, _ = timed(lambda: json.dump(coco.dataset, file))
    return seconds, peak() - before, {}


def ready() -> float:
    """Load what reading and writing loads when first used; the peer has loaded its own. `peak`."""
    from recycling.annotations import read_coco, write_coco

    with TemporaryDirectory() as folder:
        path = Path(folder, "empty.json")
        path.write_text('{"images": [], "annotations": [], "categories": []}')
        write_coco(read_coco(path), path)
    return peak()


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    start = time.process_time()
    result = call()
    return time.process_time() - start, result


def quietly(call: Callable[[], Any]) -> Any:
    """Pycocotools prints what it does."""
    with contextlib.redirect_stdout(io.StringIO()):
        return call()


def peak() -> float:
    """The most memory that the process has held so far, megabytes."""
    return memory_mb("VmHWM")


def our_summary(annotations: Any) -> Summary:
    table = annotations.annotations
    sums = table[["x_min", "y_min", "x_max", "y_max"]].sum().tolist()
    return {
        "images": len(annotations.images),
        "annotations": len(table),
        "box_sums": [sums[0], sums[1], sums[2] - sums[0], sums[3] - sums[1]],
        "per_category": table["category_id"].value_counts().sort_index().tolist(),
    }


def their_summary(dataset: dict[str, Any]) -> Summary:
    import numpy as np

    annotations = dataset["annotations"]
    return {
        "images": len(dataset["images"]),
        "annotations": len(annotations),
        "box_sums": np.array([one["bbox"] for one in annotations]).sum(axis=0).tolist(),
        "per_category": np.bincount([one["category_id"] for one in annotations]).tolist(),
    }


TASKS: dict[str, Callable[..., tuple[float, float, Summary]]] = {
    task.__name__: task for task in (make, read, write, clean, peer_read, peer_dumps, peer_dump)
}

if __name__ == "__main__":
    main(*sys.argv[1:])
