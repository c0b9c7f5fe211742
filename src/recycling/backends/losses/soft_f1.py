"""F1 of a batch as something to learn from: counts of hits become sums of probabilities.

F1 of a class and Dice of its pixels are the same number, 2 TP / (2 TP + FP + FN), so one function
serves classes (as "macro soft F1") and masks (as Dice loss; Milletari et al., 2016, without their
squares, class by class as in Sudre et al., 2017).
"""

from __future__ import annotations

import torch
from torch import Tensor


def soft_f1(probabilities: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """F1 of each class.

    Args:
        probabilities: (N, C), of samples or pixels.
        targets: (N, C), 1 for the class and 0 for the others, or shares.

    Returns:
        (C,) from 0 to 1, and (C,) whether the class is there at all. That of an absent class is 0
        whatever the probabilities are, and teaches nothing.

    >>> soft_f1(torch.tensor([[0.8, 0.2], [0.4, 0.6]]), torch.eye(2))
    (tensor([0.7273, 0.6667]), tensor([True, True]))
    """
    hits = (probabilities * targets).sum(dim=0)
    sums = probabilities.sum(dim=0) + targets.sum(dim=0)
    present = targets.sum(dim=0) > 0
    return 2 * hits / sums.where(present, torch.ones_like(sums)), present


def mean_loss(probabilities: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    """1 - F1, averaged over the classes that are there.

    Args:
        probabilities: As for `soft_f1`.
        targets: As for `soft_f1`.
        weights: (C,), of the classes in the mean.

    Returns:
        A scalar; 0 where there is no class at all.

    >>> mean_loss(torch.tensor([[0.8, 0.2], [0.4, 0.6]]), torch.eye(2))
    tensor(0.3030)
    """
    f1, present = soft_f1(probabilities, targets)
    shares = present.to(f1.dtype) if weights is None else present * weights
    return ((1 - f1) * shares).sum() / shares.sum().clamp_min(1e-6)
