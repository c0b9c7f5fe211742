"""Where a run keeps what later runs are compared with."""

from __future__ import annotations

from pathlib import PurePosixPath

from recycling.datasets.core import PathDataset, Value
from recycling.experiments import ManifestFolder


def kept_by(
    run: ManifestFolder, name: str, dataset: PathDataset[Value]
) -> PathDataset[Value] | None:
    """A dataset as a run keeps it; it need not be there.

    Args:
        run: The folder of the run.
        name: Of the dataset.
        dataset: As it is now.

    Returns:
        The same dataset in the folder of the run; None of a value that is elsewhere, unless all
        data are there.

    Example:
        >>> from pathlib import Path
        >>> from recycling.datasets import TableDataset
        >>> folds = TableDataset(table="folds", filepath="data/05_model_input/folds.parquet")
        >>> kept_by(ManifestFolder(Path("runs/2026")), "folds", folds).filepath.as_posix()
        'runs/2026/kept/folds/folds.parquet'
    """
    if dataset.url is None:
        return dataset.at(run.kept / name / dataset.filepath.name)
    if run.address is None:
        return None
    data = run.address.rsplit("/", 3)[0]  # runs lie in 08_reporting/runs
    if not dataset.url.startswith(f"{data}/"):
        return None
    return dataset.at(f"{run.address}/{run.kept.name}/{name}/{PurePosixPath(dataset.url).name}")
