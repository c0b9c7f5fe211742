"""Pixel-wise hard voting beside ``torch.mode`` (or ``scipy.stats.mode`` where torch is missing)."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from bench.comparison import Row, best_of, show
from recycling.ensembling import hard_vote

Mode = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]


def run(*, quick: bool) -> list[Row]:
    side = 128 if quick else 512
    label_maps = random_label_maps(n_members=7, side=side, n_labels=11, random_state=0)
    ranks = list(range(7))
    hard_vote(label_maps, ranks=ranks)
    name, mode = peer_mode()
    mode(label_maps)
    our_seconds, fused = best_of(20, lambda: hard_vote(label_maps, ranks=ranks))
    peer_seconds, theirs = best_of(1 if quick else 3, lambda: mode(label_maps))
    untied = no_tie(label_maps)
    # The peer gives a tie to the smallest label; ours to the best-ranked member.
    np.testing.assert_array_equal(fused[untied], theirs[untied])
    copy_seconds, _ = best_of(20, label_maps.copy)
    size = f"7 maps of {side} x {side}"
    rows = [
        Row(f"hard vote, {size}", name, peer_seconds, our_seconds, 30),
        Row(f"hard vote, {size}", "a copy of the maps", copy_seconds, our_seconds, 0.4),
    ]
    show(
        f"compile time left out; equal on the {untied.mean():.0%} of pixels that have no tie", rows
    )
    return rows


def peer_mode() -> tuple[str, Mode]:
    """What one would use instead, and its name."""
    if find_spec("torch") is not None:
        import torch

        def torch_mode(label_maps: NDArray[np.uint8]) -> NDArray[np.uint8]:
            return torch.mode(torch.from_numpy(label_maps), dim=0).values.numpy()

        return "torch.mode", torch_mode
    from scipy import stats

    def scipy_mode(label_maps: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return stats.mode(label_maps, axis=0).mode

    return "scipy.stats.mode", scipy_mode


def random_label_maps(
    *, n_members: int, side: int, n_labels: int, random_state: int
) -> NDArray[np.uint8]:
    """Members that see the same truth and are wrong on a fifth of the pixels."""
    rng = np.random.default_rng(random_state)
    truth = rng.integers(0, n_labels, (side // 16, side // 16)).repeat(16, 0).repeat(16, 1)
    noise = rng.integers(0, n_labels, (n_members, side, side))
    wrong = rng.random(noise.shape) < 0.2
    return np.where(wrong, noise, truth).astype(np.uint8)


def no_tie(label_maps: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where one label has more votes than every other."""
    counts = np.stack([(label_maps == label).sum(0) for label in np.unique(label_maps)])
    return (counts == counts.max(0)).sum(0) == 1
