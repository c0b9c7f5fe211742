"""Pixel-wise hard voting beside ``torch.mode`` (or ``scipy.stats.mode`` where torch is missing)."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from bench.comparison import Row, by_turns, show
from recycling.ensembling import hard_vote

Mode = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]

ROUNDS = 9
"""How often both sides take turns, so that other programs disturb both."""


def run(*, quick: bool) -> list[Row]:
    side = 128 if quick else 512
    cases = [(7, 20.0, 0.1)] if quick else [(7, 20.0, 0.1), (3, None, None), (15, None, None)]
    rows, untied_shares = [], []
    for n_members, mode_target, copy_target in cases:
        label_maps = random_label_maps(n_members=n_members, side=side, n_labels=11, random_state=0)
        name, mode = peer_mode()
        ours, peer, copied, untied = compared(label_maps, mode, rounds=1 if quick else ROUNDS)
        untied_shares.append(untied)
        what = f"hard vote, {n_members} maps of {side} x {side}"
        rows.append(Row(what, name, peer, ours, mode_target))
        rows.append(Row(what, "np.copyto of the maps", copied, ours, copy_target))
    show(
        "compile time left out; ratio to the copy: our speed as a share of memory's; equal on the "
        f"{min(untied_shares):.0%} of pixels or more that have no tie",
        rows,
    )
    return rows


def compared(
    label_maps: NDArray[np.uint8], mode: Mode, *, rounds: int
) -> tuple[float, float, float, float]:
    """Seconds of ours, of the peer and of a plain copy, and the share of pixels compared."""
    ranks = list(range(len(label_maps)))
    target = np.empty_like(label_maps)
    hard_vote(label_maps, ranks=ranks)
    mode(label_maps)
    timed = by_turns(
        rounds,
        {
            "ours": lambda: hard_vote(label_maps, ranks=ranks),
            "peer": lambda: mode(label_maps),
            "copy": lambda: np.copyto(target, label_maps),
        },
    )
    (ours, fused), (peer, theirs), (copied, _) = timed.values()
    untied = no_tie(label_maps)
    # The peer gives a tie to the smallest label; ours to the best-ranked member.
    np.testing.assert_array_equal(fused[untied], theirs[untied])
    return ours, peer, copied, float(untied.mean())


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
