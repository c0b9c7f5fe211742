"""Near-duplicates beside comparing every two hashes; a check of unchanged images beside a first."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from bench.comparison import Row, by_turns, show
from recycling.annotations import (
    IMAGES,
    ImageCache,
    ImageFolder,
    check_images,
    near_duplicate_links,
)

MAX_DISTANCE = 8
TURNS = 3
BLOCK = 512  # rows of the distance matrix in memory at a time
LONG_AGO = 1_600_000_000  # seconds since 1970; the cache does not trust what was just modified


def run(*, quick: bool) -> list[Row]:
    rows = [
        compare_search(n_hashes=4_000 if quick else 100_000),
        compare_runs(n_images=20 if quick else 300, side=128 if quick else 1024),
    ]
    show("same pairs, same checks", rows)
    return rows


def compare_search(*, n_hashes: int) -> Row:
    """Time both searches and check that they find the same pairs."""
    hashes = random_hashes(n_hashes, random_state=0)
    timed = by_turns(
        TURNS,
        {
            "ours": lambda: near_duplicate_links(hashes, MAX_DISTANCE),
            "peer": lambda: every_two(hashes),
        },
    )
    (our_seconds, pairs), (peer_seconds, expected) = timed.values()
    assert len(expected[0]) > 0
    np.testing.assert_array_equal(pairs, expected)
    what = f"near-duplicates, {n_hashes:,} hashes, {MAX_DISTANCE} bits"
    return Row(what, "every two in numpy", peer_seconds, our_seconds)


def every_two(hashes: pd.Series) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pairs within `MAX_DISTANCE`, by comparing all."""
    bits = np.array([int(text, 16) for text in hashes], dtype=np.uint64)
    firsts, seconds = [], []
    for start in range(0, len(bits), BLOCK):
        block = bits[start : start + BLOCK, None]
        near = np.bitwise_count(block ^ bits[None, start:]) <= MAX_DISTANCE
        first, second = np.nonzero(np.triu(near, k=1))
        firsts.append(first + start)
        seconds.append(second + start)
    return np.concatenate(firsts), np.concatenate(seconds)


def random_hashes(n_hashes: int, *, random_state: int) -> pd.Series:
    """Different hashes of unlike images, and one in twenty of an image like another one."""
    rng = np.random.default_rng(random_state)
    bits = rng.integers(0, 2**64, n_hashes, dtype=np.uint64)
    n_near = n_hashes // 20
    near = bits[rng.integers(0, n_hashes, n_near)]
    for _ in range(6):
        near ^= np.uint64(1) << rng.integers(0, 64, n_near).astype(np.uint64)
    bits[:n_near] = near
    return pd.Series(
        [f"{value:016x}" for value in rng.permutation(np.unique(bits))], dtype="string"
    )


def compare_runs(*, n_images: int, side: int) -> Row:
    """Time a first and a second check of the same files, and compare what they say."""
    with tempfile.TemporaryDirectory() as place:
        folder = ImageFolder(Path(place) / "images")
        images = draw_images(folder.path, n_images, side)
        path = Path(place) / "cache.parquet"

        def check(*, anew: bool) -> pd.DataFrame:
            if anew:
                path.unlink(missing_ok=True)
            return check_images(images, folder, cache=ImageCache(path))

        timed = by_turns(
            TURNS, {"first": lambda: check(anew=True), "again": lambda: check(anew=False)}
        )
    (first_seconds, first), (again_seconds, again) = timed.values()
    pd.testing.assert_frame_equal(again, first)
    what = f"check of {n_images} unchanged JPEGs of {side} x {side}"
    return Row(what, "the first check", first_seconds, again_seconds)


def draw_images(folder: Path, n_images: int, side: int) -> pd.DataFrame:
    """Coloured clouds as JPEG files, and their table of images."""
    folder.mkdir()
    names = [f"{number}.jpg" for number in range(n_images)]
    for number, name in enumerate(names):
        coarse = np.random.default_rng(number).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        clouds = Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)
        clouds.save(folder / name, quality=90)
        os.utime(folder / name, (LONG_AGO, LONG_AGO))
    table = {"image_id": range(n_images), "file_name": names, "width": side, "height": side}
    return IMAGES.conform(pd.DataFrame(table).assign(group=names, extra=None), where="clouds")
