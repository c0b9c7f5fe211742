"""Category shares, stored as a baseline that later annotations are compared with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import yaml

from recycling.annotations import Annotations
from recycling.files import write_text
from recycling.tables import Column, Schema

CATEGORY_SHARES = Schema(
    "category_shares",
    (
        Column("category_name", "string", "the category's name", unique=True),
        Column("share", "float64", "percent of the annotations, now", minimum=0, maximum=100),
        Column("baseline", "float64", "percent of the annotations, before", minimum=0, maximum=100),
        Column("drift", "float64", "the share less the baseline, percentage points"),
    ),
)

# Shares are written with two decimals, so those of many categories do not sum to exactly 100.
_DECIMALS = 2
_SUM_TOLERANCE = 1.0


class BaselineError(ValueError):
    """A baseline cannot be used: one line, the file, what is wrong, what to do."""


def category_shares(data: Annotations, baseline: Mapping[str, float]) -> pd.DataFrame:
    """Compare the share of each category with the baseline.

    Args:
        data: Annotations.
        baseline: Percent of the annotations for each category, by name.

    Returns:
        A row for each category of either side, by name, rounded as a baseline is; schema
        `CATEGORY_SHARES`. A category that is unknown on one side has a share of 0 there.

    >>> data = Annotations(
    ...     images=pd.DataFrame(),
    ...     annotations=pd.DataFrame({"category_id": [7, 7, 7, 8], "iscrowd": False}),
    ...     categories=pd.DataFrame({"category_id": [7, 8], "name": ["Metal", "Glass"]}),
    ... )
    >>> shares = category_shares(data, {"Metal": 70.0, "Glass": 30.0})
    >>> dict(zip(shares["category_name"], shares["drift"], strict=True))
    {'Metal': 5.0, 'Glass': -5.0}
    """
    shares = {"share": _shares(data), "baseline": pd.Series(baseline, dtype="float64")}
    frame = pd.DataFrame(shares).fillna(0.0).round(_DECIMALS)
    frame = frame.assign(drift=(frame["share"] - frame["baseline"]).round(_DECIMALS))
    return CATEGORY_SHARES.conform(
        frame.rename_axis("category_name").reset_index(), where=CATEGORY_SHARES.name
    )


def _shares(data: Annotations) -> pd.Series:
    """Percent of the objects for each category, by name; 0 if there are none."""
    categories = data.categories.drop_duplicates("category_id").dropna(subset="name")
    names = categories.set_index("category_id")["name"]
    counts = data.objects().annotations["category_id"].map(names).value_counts()
    counts = counts.reindex(names.unique(), fill_value=0)
    return 100.0 * counts / max(int(counts.sum()), 1)


def write_baseline(data: Annotations, path: Path) -> None:
    """Store the category shares of annotations as a small YAML file.

    Args:
        data: Annotations that later ones are to be compared with.
        path: The file; it appears whole, and replaces what is there.

    Raises:
        BaselineError: There are no annotations, or crowd regions alone.
    """
    objects = data.objects().annotations
    if objects.empty:
        raise BaselineError(
            f"{path}: not written: there are no annotations (crowd regions aside) to take shares of"
        )
    shares = _shares(data).sort_values(ascending=False, kind="stable").round(_DECIMALS)
    text = f"# Percent of {len(objects)} annotations. Later shares are compared with it.\n"
    text += yaml.safe_dump(
        {str(name): float(share) for name, share in shares.items()},
        sort_keys=False,
        allow_unicode=True,
    )
    write_text(path, text)


def read_baseline(path: Path) -> dict[str, float]:
    """Read a baseline.

    Args:
        path: A YAML file with a percentage for each category, by name.

    Returns:
        Percent of the annotations for each category.

    Raises:
        BaselineError: It cannot be read, or does not hold shares that sum to 100.
    """
    try:
        shares = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise _damaged(path, " ".join(str(error).split())) from error
    if not isinstance(shares, dict) or not shares:
        raise _damaged(path, "it should have a line for each category, as `Metal: 12.5`")
    for name, share in shares.items():
        if isinstance(share, bool) or not isinstance(share, int | float):
            raise _damaged(path, f"the share of {name!r} should be a number and is {share!r}")
        if not 0 <= share <= 100:
            raise _damaged(path, f"the share of {name!r} should be from 0 to 100 and is {share!r}")
    total = math.fsum(shares.values())
    if abs(total - 100) > _SUM_TOLERANCE:
        raise _damaged(path, f"the shares should sum to 100 and sum to {total:g}")
    return {str(name): float(share) for name, share in shares.items()}


def _damaged(path: Path, fault: str) -> BaselineError:
    return BaselineError(
        f"{path}: not a baseline of category shares: {fault}; mend it, or make it again with: "
        "kedro baseline DATASET"
    )
