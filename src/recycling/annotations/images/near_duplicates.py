"""Find images that look alike by their perceptual hashes, and keep them together.

Source of the search: multi-index hashing, Norouzi, Punjani and Fleet, "Fast search in Hamming
space with multi-index hashing", CVPR 2012, https://arxiv.org/abs/1307.2982. It is exact.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.annotations.core import IMAGES
from recycling.annotations.images.same_files import first_of_same

Rows = NDArray[np.int64]

_N_WORDS = 4
_N_BUCKETS = 1 << 16  # of 64 bits in 4 words
_AT_A_TIME = 1 << 18  # pairs that are compared at a time: some 10 MB
_MOST_PAIRS = 1 << 22  # that are kept: 64 MB


def near_duplicate_groups(
    images: pd.DataFrame, checks: pd.DataFrame, *, max_distance: int = 8
) -> pd.DataFrame:
    """Put images that look alike, or are one file, into one group, so that no fold separates them.

    Likeness carries over: if A is like B and B like C, the three are one group. Existing groups
    are joined, never taken apart. A joined group takes the name of its image of the lowest id.

    Args:
        images: The images; schema `IMAGES`.
        checks: What `check_images` found; images without a hash look like none, but are grouped
            with those of the same bytes or of the same file.
        max_distance: Largest number of differing bits, of 64, between hashes of like images.

    Returns:
        The images table with its `group` column extended; row order is kept.

    Raises:
        ValueError: As `near_duplicate_links`.
    """
    images = images.reset_index(drop=True)
    hashes = images["image_id"].map(checks.set_index("image_id")["phash"])
    first, second = near_duplicate_links(hashes, max_distance)
    same = pd.Index(images["image_id"]).get_indexer(first_of_same(images, checks))
    group = joined_groups(
        images,
        np.concatenate([first, same]),
        np.concatenate([second, np.arange(len(images))]),
    )
    return IMAGES.conform(images.assign(group=group), where="images")


def joined_groups(images: pd.DataFrame, first: Rows, second: Rows) -> pd.Series[str]:
    """The groups of images, where those of each pair are joined.

    Args:
        images: The images; schema `IMAGES`, index from 0.
        first: Row numbers, (pairs,).
        second: Row numbers of those that each is to be with, (pairs,).

    Returns:
        A group for each row. A joined group takes the name of its image of the lowest id.
    """
    component = _components(images["group"], first, second)
    lowest = images["image_id"].groupby(component).transform("idxmin")
    # A component of one group only is left alone, whatever its image of the lowest id.
    grown = images["group"].groupby(component).transform("nunique") > 1
    return images["group"].where(~grown, images["group"].loc[lowest].to_numpy())


def near_duplicate_links(hashes: pd.Series, max_distance: int) -> tuple[Rows, Rows]:
    """Pairs that are enough to tell which images are connected by likeness.

    They are all near pairs of images of different hashes, where the first image stands for all of
    its hash, and each other image of a hash with the first: of a thousand blank images there are
    half a million pairs. If any near pair is parted (by folds, say), then a link is parted, too.
    Of millions of pairs, those are kept that connect the same images.

    Args:
        hashes: Perceptual hashes, 16 hex digits each, (images,); missing ones are near to none.
        max_distance: Largest number of differing bits, 0 to 64.

    Returns:
        Row numbers in `hashes` (not index labels), (pairs,) each: the lower of every pair and the
        higher, ordered by the lower, then by the higher.

    Raises:
        ValueError: A hash is not 16 hex digits, or the distance is not 0 to 64.

    >>> near_duplicate_links(pd.Series(["00000000000000ff"] * 4), 1)
    (array([0, 0, 0]), array([1, 2, 3]))
    """
    found: list[Rows] = []
    n_pairs = 0
    for pairs in near_pairs(hashes, max_distance):
        found.append(np.column_stack(pairs))
        n_pairs += len(found[-1])
        if n_pairs > max(_MOST_PAIRS, 4 * len(hashes)):
            found = [_connecting(np.concatenate(found), len(hashes))]
            n_pairs = len(found[0])
    first, second = np.concatenate(found).T
    return _ordered(first, second, len(hashes))


def near_pairs(hashes: pd.Series, max_distance: int) -> Iterator[tuple[Rows, Rows]]:
    """All pairs that `near_duplicate_links` speaks of, some at a time: there may be too many.

    The search is among the different hashes only: a thousand blank images are one of them.

    Args:
        hashes: As for `near_duplicate_links`.
        max_distance: Likewise.

    Yields:
        Row numbers in `hashes`, (pairs,) each, in no order; a pair may come again.

    Raises:
        ValueError: As `near_duplicate_links`.
    """
    if not 0 <= max_distance <= 64:
        raise ValueError(f"max_distance is {max_distance}; two hashes differ in 0 to 64 bits")
    rows = np.flatnonzero(hashes.notna())
    texts = hashes.iloc[rows].astype("string")
    wrong = ~texts.str.fullmatch("[0-9a-fA-F]{16}").to_numpy(dtype=bool)
    if wrong.any():
        bad = rows[wrong.argmax()]
        raise ValueError(f"row {bad}: {hashes.iloc[bad]!r} is not a hash of 16 hex digits")
    bits = np.frombuffer(bytes.fromhex("".join(texts)), dtype=">u8").astype(np.uint64)
    distinct, row, code = np.unique(bits, return_index=True, return_inverse=True)
    first_of_hash = rows[row]
    representative = first_of_hash[code]
    others = rows != representative
    yield representative[others], rows[others]
    for first, second in _pairs_within(distinct, max_distance):
        yield first_of_hash[first], first_of_hash[second]


def _connecting(pairs: Rows, n_rows: int) -> Rows:
    """Those of pairs, (pairs, 2), that are enough to connect what all of them connect."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import minimum_spanning_tree

    edges = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), (n_rows, n_rows))
    return np.column_stack(minimum_spanning_tree(edges.tocsr()).nonzero()).astype(np.int64)


def _pairs_within(hashes: NDArray[np.uint64], max_distance: int) -> Iterator[tuple[Rows, Rows]]:
    """Pairs of hashes that differ in at most `max_distance` bits, by multi-index hashing.

    Two near hashes are very near in one of their four words: were word w off by more than
    `radius[w]` bits for every w, the four would add up to more than `max_distance`. So only hashes
    with such a word are compared, and they are found through a table of that word's values.
    """
    least, rest = divmod(max_distance, _N_WORDS)
    radius = [least if word <= rest else least - 1 for word in range(_N_WORDS)]
    patterns = np.arange(_N_BUCKETS)
    flips = [patterns[np.bitwise_count(patterns).astype(int) <= bits] for bits in radius]
    words = hashes.view(np.uint16).reshape(-1, _N_WORDS).T.astype(np.int64)
    n_buckets = _N_BUCKETS
    looked_at = sum(map(len, flips)) * (1 + len(hashes) / _N_BUCKETS)
    if looked_at > len(hashes):  # few hashes or a wide radius: all in one bucket is less work
        words, flips, n_buckets = np.zeros((1, len(hashes)), dtype=np.int64), [patterns[:1]], 1
    for word, word_flips in zip(words, flips, strict=True):
        order = np.argsort(word, kind="stable")
        bucket = word[order]
        start = np.searchsorted(bucket, np.arange(n_buckets + 1))
        by_bucket = hashes[order]
        for flip in word_flips.tolist():
            for pairs in _pairs_of_buckets(by_bucket, bucket, start, flip, max_distance):
                yield order[pairs[:, 0]], order[pairs[:, 1]]


def _pairs_of_buckets(
    hashes: NDArray[np.uint64], bucket: Rows, start: Rows, flip: int, max_distance: int
) -> Iterator[Rows]:
    """Near hashes in buckets whose numbers differ by one pattern of bits, (pairs, 2) at a time.

    Args:
        hashes: (hashes,), ordered by bucket.
        bucket: The bucket of each hash, (hashes,).
        start: Where each bucket begins, (buckets + 1,).
        flip: The pattern; 0 stands for a bucket with itself.
        max_distance: Largest number of differing bits between two near hashes.
    """
    other = bucket ^ flip
    first = start[other] if flip else np.arange(1, len(hashes) + 1)
    n_candidates = np.where(other < bucket, 0, start[other + 1] - first)  # each pair from one side
    total = np.cumsum(n_candidates)
    ends = np.searchsorted(total, np.arange(_AT_A_TIME, n_candidates.sum(), _AT_A_TIME)).tolist()
    for low, high in pairwise([0, *ends, len(hashes)]):
        run, candidate = _expand_runs(first[low:high], n_candidates[low:high])
        row = run + low
        near = np.bitwise_count(hashes[row] ^ hashes[candidate]) <= max_distance
        yield np.column_stack([row[near], candidate[near]])


def _expand_runs(start: Rows, size: Rows) -> tuple[Rows, Rows]:
    """Runs of consecutive numbers, one after another.

    Args:
        start: The first number of each run, (runs,).
        size: How many numbers each run has, (runs,).

    Returns:
        The run that each number is of, and the numbers, (sum of sizes,) each.

    >>> _expand_runs(np.array([5, 0]), np.array([2, 3]))
    (array([0, 0, 1, 1, 1]), array([5, 6, 0, 1, 2]))
    """
    run = np.repeat(np.arange(len(start)), size)
    offset = start - (np.cumsum(size) - size)
    return run, np.arange(len(run)) + offset[run]


def _ordered(first: Rows, second: Rows, n_rows: int) -> tuple[Rows, Rows]:
    """Each pair once, its lower row number first, in order."""
    n_rows = max(n_rows, 1)
    pairs = np.unique(np.minimum(first, second) * n_rows + np.maximum(first, second))
    return pairs // n_rows, pairs % n_rows


def _components(groups: pd.Series, first: Rows, second: Rows) -> NDArray[np.int32]:
    """The component of each image: likeness and shared groups are the edges."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n_images = len(groups)
    codes = pd.factorize(groups)[0] + n_images  # a node for each group beside the images
    sources = np.concatenate([np.arange(n_images), first])
    targets = np.concatenate([codes, second])
    n_nodes = n_images + groups.nunique()
    edges = coo_array((np.ones(len(sources), dtype=bool), (sources, targets)), (n_nodes, n_nodes))
    component = connected_components(edges, directed=False)[1][:n_images]
    return np.asarray(component, dtype=np.int32)
