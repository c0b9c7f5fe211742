"""Folds that keep groups whole and balance many columns at once.

scikit-learn's `StratifiedGroupKFold` balances one label and keeps groups whole;
iterative-stratification balances many labels and breaks groups. This does both. Like Sechidis et
al., "On the Stratification of Multi-Label Data" (ECML 2011), it assigns the rarest first. Then it
swaps groups between folds for as long as that helps, and again after a few random swaps (iterated
local search; Lourenço, Martin and Stützle 2003).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import BaseCrossValidator
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import check_array, column_or_1d
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

SAMPLE = 256
"""How many groups of a fold are compared with as many of another at once."""

MAX_SWEEPS = 200
"""Most rounds over the pairs of folds; the search ends by itself long before."""

EXACT = 2.0**52
"""Whole numbers below this add and multiply exactly in float64, in any order, on any machine."""

PERTURBATIONS = 20
"""How often folds that no swap improves are perturbed, and improved again."""

PERTURBED_GROUPS = 8
"""How many groups change folds in a perturbation."""

LEVELS = 1024
"""Steps that a column is rounded to, where it does not hold counts up to this."""


class MultilabelStratifiedGroupKFold(BaseCrossValidator):  # type: ignore[misc]
    """K folds that keep groups whole and give each fold its share of every column of `y`.

    A splitter of scikit-learn: pass it as `cv` wherever one is taken. It minimises, over all folds
    and columns, the squared deviation of a fold's sum from its even share. A column is weighted by
    one over its groups' sum of squares, so that its unit does not matter and a rare label counts
    as much as a common one. Fold sizes come first: they are as even as the groups allow.

    The folds depend on the rows, their groups and the seed; not on the order of the rows, nor, as
    all sums are of whole numbers, on the machine.

    Args:
        n_splits: Number of folds, at least 2.
        shuffle: Whether groups that are alike are assigned in random order, and not in that
            of their labels.
        random_state: Seed of that order; only with `shuffle`. As everywhere in scikit-learn, a
            number gives the same folds each time, and None takes the seed from `numpy.random`.

    Examples:
        >>> import numpy as np
        >>> y = np.array([[1, 0], [1, 0], [0, 2], [0, 2], [1, 1], [1, 1]])
        >>> groups = np.array(["a", "b", "c", "d", "e", "f"])
        >>> folds = MultilabelStratifiedGroupKFold(n_splits=2, shuffle=True, random_state=0)
        >>> [y[test].sum(axis=0).tolist() for _, test in folds.split(y, y, groups)]
        [[2, 3], [2, 3]]
    """

    # How scikit-learn's metadata routing learns that `split` takes groups.
    __metadata_request__split = {"groups": True}  # noqa: RUF012

    def __init__(
        self,
        n_splits: int = 5,
        *,
        shuffle: bool = False,
        random_state: int | np.random.Generator | np.random.RandomState | None = None,
    ) -> None:
        if not isinstance(n_splits, int | np.integer) or n_splits < 2:
            raise ValueError(
                "k-fold cross-validation requires at least one train/test split: "
                f"n_splits={n_splits!r}, give a whole number of folds, at least 2"
            )
        if not isinstance(shuffle, bool):
            raise ValueError(f"shuffle={shuffle!r}: give True or False")
        if not shuffle and random_state is not None:
            raise ValueError(
                "random_state has no effect since shuffle is False; leave it out or set "
                "shuffle=True"
            )
        self.n_splits = int(n_splits)
        self.shuffle = shuffle
        self.random_state = random_state

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:  # noqa: N803
        """The number of folds."""
        return self.n_splits

    def split(
        self,
        X: Any,  # noqa: N803
        y: Any = None,
        groups: Any = None,
    ) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """Row numbers of the train and of the test part of each fold.

        Args:
            X: (n, ...) anything of n rows; only its length is used.
            y: (n, columns) non-negative: one column a thing to balance, counts or indicators.
                A vector (n,) of class labels is taken as one indicator column a class.
            groups: (n,) the group of each row.

        Yields:
            Row numbers of the train part and of the test part.

        Raises:
            ValueError: `y` or `groups` is missing, `y` is negative or not a number, there are
                fewer groups than folds, or every class has fewer members than there are folds.
        """
        yield from super().split(X, y, groups)

    def _iter_test_masks(
        self,
        X: Any = None,  # noqa: N803
        y: Any = None,
        groups: Any = None,
    ) -> Iterator[NDArray[np.bool_]]:
        if y is None:
            raise ValueError(
                "The 'y' parameter should not be None: give a column for each thing to balance"
            )
        if groups is None:
            raise ValueError(
                "The 'groups' parameter should not be None: give the group of each row"
            )
        if np.ndim(y) == 1:
            _check_classes(y, self.n_splits)
        shares = np.full(self.n_splits, 1 / self.n_splits)
        fold = assign_groups(y, groups, shares, self._generator(), shuffle=self.shuffle)
        for k in range(self.n_splits):
            yield fold == k

    def _generator(self) -> np.random.Generator:
        if not self.shuffle:
            return np.random.default_rng(0)
        if self.random_state is None or isinstance(self.random_state, np.random.RandomState):
            state = check_random_state(self.random_state)
            return np.random.default_rng(state.randint(2**31, size=4))
        return np.random.default_rng(self.random_state)


def assign_groups(
    y: Any,
    groups: Any,
    shares: NDArray[np.float64],
    rng: np.random.Generator,
    *,
    shuffle: bool = True,
) -> NDArray[np.int64]:
    """Give each fold its share of the rows and of every column of `y`, groups whole.

    Args:
        y: (n, columns) non-negative; or (n,) class labels.
        groups: (n,) the group of each row.
        shares: (folds,) what part of everything each fold is to hold; they add up to 1.
        rng: Where ties and samples come from.
        shuffle: Whether ties are broken at random.

    Returns:
        (n,) the fold of each row. A fold is empty where the groups are too large for its share.

    Raises:
        ValueError: `y` is negative or not a number, a group is missing, or there are fewer
            groups than folds.

    >>> y = [[1, 0], [1, 0], [0, 2], [0, 2]]
    >>> fold = assign_groups(y, list("abcd"), np.array([0.5, 0.5]), np.random.default_rng(0))
    >>> int(fold[0] + fold[1]), int(fold[2] + fold[3])
    (1, 1)
    """
    missing = pd.isna(np.asarray(groups, dtype=object))
    if missing.any():
        raise ValueError(f"groups[{missing.argmax()}] is missing: give the group of each row")
    labels, group_of_row = np.unique(column_or_1d(groups), return_inverse=True)
    if len(labels) < len(shares):
        raise ValueError(
            f"Cannot have number of splits n_splits={len(shares)} greater than the "
            f"{len(labels)} groups there are"
        )
    sums = _sums_by_group(_as_columns(y), group_of_row, len(labels))
    # The matrices are so small that more threads would mostly wait for one another.
    with threadpool_limits(limits=1, user_api="blas"):
        return _search(sums, shares, rng, shuffle=shuffle)[group_of_row]


def _check_classes(y: Any, n_splits: int) -> None:
    """Check class labels as scikit-learn's stratified splitters do."""
    if type_of_target(y) not in ("binary", "multiclass"):
        raise ValueError("y is a vector but not of class labels; give a matrix (n, columns)")
    sizes = np.unique(y, return_counts=True)[1]
    if sizes.max() < n_splits:
        raise ValueError(
            f"n_splits={n_splits} cannot be greater than the number of members in each class"
        )
    if sizes.min() < n_splits:
        warnings.warn(
            f"The least populated class in y has only {sizes.min()} members, which is less than "
            f"n_splits={n_splits}.",
            UserWarning,
            stacklevel=2,
        )


def _as_columns(y: Any) -> NDArray[np.float64]:
    """`y` as a float64 matrix (n, columns), non-negative."""
    if np.ndim(y) == 1:
        classes, index = np.unique(y, return_inverse=True)
        return np.eye(len(classes))[index]
    matrix: NDArray[np.float64] = check_array(y, dtype=np.float64, input_name="y")
    if (matrix < 0).any():
        row, column = np.argwhere(matrix < 0)[0]
        raise ValueError(
            f"y[{row}, {column}] is {matrix[row, column]:g}: counts and indicators are not negative"
        )
    return matrix


def _sums_by_group(
    columns: NDArray[np.float64], group_of_row: NDArray[np.intp], n_groups: int
) -> NDArray[np.float64]:
    """What each group holds, in whole numbers.

    Args:
        columns: (n, columns) what each row holds.
        group_of_row: (n,) the group of each row.
        n_groups: Number of groups.

    Returns:
        (groups + 1, 1 + columns) first the number of rows, then the sums of those columns that
        are not all zeros; and at the end a group that is empty.
    """
    used = np.flatnonzero(columns.any(axis=0))
    sums = np.zeros((n_groups + 1, 1 + len(used)))
    sums[:n_groups, 0] = np.bincount(group_of_row, minlength=n_groups)
    for index, column in enumerate(used, start=1):
        whole = _whole_numbers(columns[:, column])
        sums[:n_groups, index] = np.bincount(group_of_row, weights=whole, minlength=n_groups)
    return sums


def _whole_numbers(column: NDArray[np.float64]) -> NDArray[np.float64]:
    """Counts up to `LEVELS` as they are; anything else rounded to that many steps.

    >>> _whole_numbers(np.array([1.0, 2.0])), _whole_numbers(np.array([0.5, 1.0]))
    (array([1., 2.]), array([ 512., 1024.]))
    """
    largest = column.max()
    rounded = np.rint(column)
    if largest <= LEVELS and np.array_equal(column, rounded):
        return rounded
    return np.asarray(np.rint(column * (LEVELS / largest)))


def _search(
    sums: NDArray[np.float64],
    shares: NDArray[np.float64],
    rng: np.random.Generator,
    *,
    shuffle: bool,
) -> NDArray[np.int64]:
    """The fold of each group.

    Args:
        sums: (groups + 1, columns) what each group holds, the last one being empty; column 0 is
            the number of rows.
        shares: (folds,) what part of everything each fold is to hold.
        rng: Where ties and samples come from.
        shuffle: Whether ties are broken at random.

    Returns:
        (groups,) fold numbers.
    """
    weights = _weights(sums)
    # To the nearest whole number, for the sake of exact sums.
    excess = -np.rint(np.outer(shares, sums.sum(axis=0)))
    best = _assign_rarest_first(sums, weights, _rarest_first(sums, rng, shuffle=shuffle), excess)
    _swap(sums, weights, best, excess, rng)
    lowest_cost = _cost(excess, weights)
    for _ in range(PERTURBATIONS):
        fold, excess_here = best.copy(), excess.copy()
        moved = rng.choice(len(fold), min(PERTURBED_GROUPS, len(fold)), replace=False)
        fold[moved] = fold[rng.permutation(moved)]
        np.subtract.at(excess_here, best[moved], sums[moved])
        np.add.at(excess_here, fold[moved], sums[moved])
        _swap(sums, weights, fold, excess_here, rng)
        cost = _cost(excess_here, weights)
        if cost < lowest_cost:
            best, excess, lowest_cost = fold, excess_here, cost
    return best


def _weights(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """(columns,) whole weights, as fine as exact arithmetic allows.

    A column whose groups are dealt at random deviates by about the root of its sum of squares;
    dividing by that puts all columns on one scale.
    """
    weights = 1 / np.einsum("ij,ij->j", sums, sums)
    weights[0] = weights.max()
    largest = sums.max(axis=0)
    bound = math.fsum(4 * weights * largest * (sums.sum(axis=0) + largest))
    scale = 2.0 ** math.floor(math.log2(EXACT / bound))
    return np.asarray(np.rint(weights * scale))


def _rarest_first(
    sums: NDArray[np.float64], rng: np.random.Generator, *, shuffle: bool
) -> NDArray[np.intp]:
    """(groups,) the groups by the total of the rarest thing that each holds, large ones first."""
    n_groups = len(sums) - 1
    rarest = np.full(n_groups, np.inf)
    for column in sums[:n_groups].T:
        np.minimum(rarest, column.sum(), out=rarest, where=column > 0)
    ties = rng.permutation(n_groups) if shuffle else np.arange(n_groups)
    order: NDArray[np.intp] = np.lexsort((ties, -sums[:n_groups].sum(axis=1), rarest))
    return order


def _assign_rarest_first(
    sums: NDArray[np.float64],
    weights: NDArray[np.float64],
    order: NDArray[np.intp],
    excess: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Give each group, in order, to the fold that lacks most of what it holds.

    Args:
        sums: (groups + 1, columns) what each group holds; the last one is empty.
        weights: (columns,) weight of each column's squared deviation.
        order: (groups,) which group comes when.
        excess: (folds, columns) what each fold holds beyond its share; kept up to date.

    Returns:
        (groups,) fold numbers.
    """
    fold = np.empty(len(order), dtype=np.int64)
    for group in order.tolist():
        holds = sums[group]
        # Sums of squares grow by 2 * excess * holds + holds ** 2; only the first differs by fold.
        k = int((excess @ (weights * holds)).argmin())
        fold[group] = k
        excess[k] += holds
    return fold


def _cost(excess: NDArray[np.float64], weights: NDArray[np.float64]) -> tuple[int, int]:
    """How uneven folds are, first in rows and then in everything: whole numbers of any size."""
    squares = (excess.astype(np.int64).astype(object) ** 2).sum(axis=0)
    return int(squares[0]), int(squares @ weights.astype(np.int64).astype(object))


def _swap(
    sums: NDArray[np.float64],
    weights: NDArray[np.float64],
    fold: NDArray[np.int64],
    excess: NDArray[np.float64],
    rng: np.random.Generator,
) -> None:
    """Swap groups between pairs of folds, in `fold`, until no pair of folds gains by it.

    Moving one group is a swap with an empty group, so there is one kind of step.

    Args:
        sums: (groups + 1, columns) what each group holds; the last one is empty.
        weights: (columns,) weight of each column's squared deviation.
        fold: (groups,) fold numbers, changed in place.
        excess: (folds, columns) what each fold holds beyond its share; kept up to date.
        rng: Where samples come from.
    """
    empty = len(fold)  # the number of the empty group
    pairs = list(combinations(range(len(excess)), 2))
    since_gain = 0
    for step in range(MAX_SWEEPS * len(pairs)):
        if since_gain == len(pairs):
            break
        a, b = pairs[step % len(pairs)]
        of_a = np.append(_sample(np.flatnonzero(fold == a), rng), empty)
        of_b = np.append(_sample(np.flatnonzero(fold == b), rng), empty)
        moves = _swaps_between(sums, weights, excess[a], excess[b], of_a, of_b)
        for from_a, from_b in moves:
            if from_a != empty:
                fold[from_a] = b
            if from_b != empty:
                fold[from_b] = a
        since_gain = 0 if moves else since_gain + 1


def _sample(members: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.intp]:
    if len(members) <= SAMPLE:
        return members
    return rng.choice(members, SAMPLE, replace=False)


def _swaps_between(
    sums: NDArray[np.float64],
    weights: NDArray[np.float64],
    excess_a: NDArray[np.float64],
    excess_b: NDArray[np.float64],
    of_a: NDArray[np.intp],
    of_b: NDArray[np.intp],
) -> list[tuple[int, int]]:
    """Make the best swap between two folds, again and again, until none helps.

    Args:
        sums: (groups + 1, columns) what each group holds; the last one is empty.
        weights: (columns,) weight of each column's squared deviation.
        excess_a: (columns,) what one fold holds beyond its share; kept up to date.
        excess_b: (columns,) what the other fold holds beyond its share; kept up to date.
        of_a: Groups of the one fold, and the empty one at the end.
        of_b: Groups of the other fold, and the empty one at the end.

    Returns:
        The swaps in order: the group that left the one fold, the group that left the other.
    """
    a, b = sums[of_a], sums[of_b]
    distance = _weighted_squares(a, b, weights)
    swaps: list[tuple[int, int]] = []
    while True:
        # A swap moves d = b - a from one fold to the other. The sum of squares of both changes by
        # (x + d)^2 - x^2 + (y - d)^2 - y^2 = 2 * d * (x - y + d); half of it is enough.
        gap = excess_a - excess_b
        change = distance + b @ (weights * gap) - (a @ (weights * gap))[:, None]
        more_rows = b[:, 0] - a[:, :1]
        size_change = more_rows * (gap[0] + more_rows)
        best_size = size_change.min()
        change[size_change > best_size] = np.inf
        i, j = divmod(int(change.argmin()), change.shape[1])
        if best_size == 0 and change[i, j] >= 0:
            return swaps
        from_a, from_b = of_a[i], of_b[j]
        swaps.append((int(from_a), int(from_b)))
        moved = b[j] - a[i]
        excess_a += moved
        excess_b -= moved
        # The last row stays empty, so that a group can always move without another in exchange.
        if i < len(of_a) - 1:
            of_a[i], a[i] = from_b, sums[from_b]
            distance[i] = _weighted_squares(a[i : i + 1], b, weights)[0]
        if j < len(of_b) - 1:
            of_b[j], b[j] = from_a, sums[from_a]
            distance[:, j] = _weighted_squares(a, b[j : j + 1], weights)[:, 0]


def _weighted_squares(
    a: NDArray[np.float64], b: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(len(a), len(b)) squared distances between rows, columns weighted."""
    cross = (a * weights) @ b.T
    return np.asarray((a**2 @ weights)[:, None] + b**2 @ weights - 2 * cross)
