"""Kedro datasets for the values that flow through the pipelines."""

from __future__ import annotations

import base64
import json
import logging
import shutil
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

import pandas as pd
from kedro.io import DatasetError
from kedro_datasets._typing import ImagePreview, TablePreview
from numpy.typing import NDArray

from recycling.annotations import (
    AUDIT,
    IMAGE_CHECKS,
    RULE_REPORT,
    Annotations,
    Audit,
    ImageCache,
    ImageChecks,
    ImageFolder,
    RuleReport,
    read_tables,
    write_tables,
)
from recycling.backends import Checkpoint, Recipes, RunFolder
from recycling.datasets.core import PathDataset
from recycling.diagnostics import (
    AGREEMENT,
    CLASS_GAINS,
    CONTRIBUTIONS,
    ERROR_CORRELATION,
    SCORE_THRESHOLDS,
    Agreement,
    ClassGains,
    Contributions,
    ErrorCorrelation,
    ScoreThresholds,
)
from recycling.ensembling import CHOICES, HISTORY, RANKING, Choices, History, Ranking
from recycling.evaluation import Metrics
from recycling.predictions import (
    CLASS_PROBABILITIES,
    DETECTIONS,
    ClassProbabilities,
    Detections,
    LabelMaps,
    ProbabilityMaps,
)
from recycling.pseudo_labels import PSEUDO_AUDIT, PseudoAudit
from recycling.splitting import (
    BALANCE,
    FOLDS,
    MAX_DEVIATION,
    SHIFT,
    TEST_LIKENESS,
    Balance,
    Deviations,
    Folds,
    ShiftFeatures,
    TestLikeness,
)
from recycling.tables import Schema

logger = logging.getLogger(__name__)

Table = TypeVar("Table")


class AnnotationsDataset(PathDataset[Annotations]):
    """Annotations as a folder of Parquet tables."""

    def read(self, path: Path) -> Annotations:  # noqa: D102
        return read_tables(path)

    def write(self, data: Annotations, path: Path) -> None:  # noqa: D102
        write_tables(data, path)


class ImageFolderDataset(PathDataset[ImageFolder]):
    """A folder of photographs.

    Args:
        filepath: The folder.
        required: Whether a run stops where it is missing; if not, that is said once.
        metadata: For Kedro-Viz.
    """

    def __init__(
        self,
        *,
        filepath: str | Path,
        required: bool = True,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(filepath=filepath, metadata=metadata)
        self.required = required

    def load(self) -> ImageFolder:  # noqa: D102
        return super().load() if self.required else self.read(self.filepath)

    def read(self, path: Path) -> ImageFolder:  # noqa: D102
        return ImageFolder(path)

    def _exists(self) -> bool:
        return self.filepath.is_dir() or not self.required


class TableDataset(PathDataset[Table], Generic[Table]):
    """A table with a schema, as Parquet; its form is checked on reading and on writing."""

    schema: Schema

    def read(self, path: Path) -> Table:  # noqa: D102
        frame = pd.read_parquet(path)
        return cast(Table, self.schema.conform(frame, where=str(path)))

    def write(self, data: Table, path: Path) -> None:  # noqa: D102
        frame = self.schema.conform(cast(pd.DataFrame, data), where=str(self.filepath))
        frame.to_parquet(path, index=False)

    def preview(self, nrows: int = 20) -> TablePreview:
        """The first rows, for Kedro-Viz, which knows what to draw by the name of the type."""
        frame = cast(pd.DataFrame, self.load()).head(nrows)
        return TablePreview(json.loads(frame.to_json(orient="split")))


class DetectionsDataset(TableDataset[Detections]):
    """Detections as Parquet."""

    schema = DETECTIONS


class ClassProbabilitiesDataset(TableDataset[ClassProbabilities]):
    """Class probabilities as Parquet."""

    schema = CLASS_PROBABILITIES


class FoldsDataset(TableDataset[Folds]):
    """Folds as Parquet."""

    schema = FOLDS


class AuditDataset(TableDataset[Audit]):
    """The audit of a cleaning as Parquet."""

    schema = AUDIT


class ImageChecksDataset(TableDataset[ImageChecks]):
    """What the checks of the image files found, as Parquet."""

    schema = IMAGE_CHECKS


class RuleReportDataset(TableDataset[RuleReport]):
    """What each rule of cleaning does or would do, as Parquet."""

    schema = RULE_REPORT


class RankingDataset(TableDataset[Ranking]):
    """The members of an ensemble by their validation score, as Parquet."""

    schema = RANKING


class AgreementDataset(TableDataset[Agreement]):
    """How alike the members of an ensemble are, as Parquet."""

    schema = AGREEMENT


class ChoicesDataset(TableDataset[Choices]):
    """Ways of choosing an ensemble side by side, as Parquet."""

    schema = CHOICES


class HistoryDataset(TableDataset[History]):
    """The trials of a search, as Parquet."""

    schema = HISTORY


class ContributionsDataset(TableDataset[Contributions]):
    """What each member adds to an ensemble, as Parquet."""

    schema = CONTRIBUTIONS


class ErrorCorrelationDataset(TableDataset[ErrorCorrelation]):
    """How far members err on the same, as Parquet."""

    schema = ERROR_CORRELATION


class ClassGainsDataset(TableDataset[ClassGains]):
    """What an ensemble gains class by class, as Parquet."""

    schema = CLASS_GAINS


class ScoreThresholdsDataset(TableDataset[ScoreThresholds]):
    """What score thresholds do, as Parquet."""

    schema = SCORE_THRESHOLDS


class BalanceDataset(TableDataset[Balance]):
    """The balance of folds as Parquet."""

    schema = BALANCE


class DeviationsDataset(TableDataset[Deviations]):
    """How far folds are from the whole set on every axis, as Parquet."""

    schema = MAX_DEVIATION


class ShiftDataset(TableDataset[ShiftFeatures]):
    """By which features train and test images differ, as Parquet."""

    schema = SHIFT


class LikenessDataset(TableDataset[TestLikeness]):
    """How much each image looks like a test image, as Parquet."""

    schema = TEST_LIKENESS


class PseudoAuditDataset(TableDataset[PseudoAudit]):
    """How many predictions became annotations, as Parquet."""

    schema = PSEUDO_AUDIT


class LabelMapsDataset(PathDataset[LabelMaps]):
    """Label maps as a folder of PNG files, one an image, read when they are asked for."""

    def read(self, path: Path) -> LabelMaps:  # noqa: D102
        return LabelMaps.from_folder(path)

    def write(self, data: LabelMaps, path: Path) -> None:  # noqa: D102
        path.mkdir(parents=True)
        data.write(path)


class ProbabilityMapsDataset(PathDataset[ProbabilityMaps]):
    """Probability planes as a folder of npz files, one an image, read when they are asked for."""

    def read(self, path: Path) -> ProbabilityMaps:  # noqa: D102
        return ProbabilityMaps.from_folder(path)

    def write(self, data: ProbabilityMaps, path: Path) -> None:  # noqa: D102
        path.mkdir(parents=True)
        data.write(path)


class CheckpointDataset(PathDataset[Checkpoint]):
    """A trained model as a folder."""

    def read(self, path: Path) -> Checkpoint:  # noqa: D102
        return Checkpoint(path)

    def write(self, data: Checkpoint, path: Path) -> None:  # noqa: D102
        # With times of its own, not the original's: what follows from it is made after now.
        shutil.copytree(data.folder, path, copy_function=shutil.copy)


class RunFolderDataset(PathDataset[RunFolder]):
    """The folder of the trainings' logs, which they make themselves."""

    def load(self) -> RunFolder:  # noqa: D102
        return self.read(self.filepath)

    def read(self, path: Path) -> RunFolder:  # noqa: D102
        return RunFolder(path)

    def _exists(self) -> bool:
        return True


class ImageCacheDataset(PathDataset[ImageCache]):
    """What was found out about image files, kept from run to run; checking them writes it."""

    def load(self) -> ImageCache:  # noqa: D102
        return self.read(self.filepath)

    def read(self, path: Path) -> ImageCache:  # noqa: D102
        return ImageCache(path)

    def _exists(self) -> bool:
        return True


class RecipesDataset(PathDataset[Recipes]):
    """The folder of model configs."""

    def read(self, path: Path) -> Recipes:  # noqa: D102
        return Recipes(path)


class MetricsDataset(PathDataset[Metrics]):
    """The metrics of one set of predictions, as JSON."""

    def read(self, path: Path) -> Metrics:  # noqa: D102
        return Metrics.from_dict(json.loads(path.read_text()))

    def write(self, data: Metrics, path: Path) -> None:  # noqa: D102
        path.write_text(json.dumps(data.to_dict(), indent=2) + "\n")


class PictureDataset(PathDataset[NDArray[Any]]):
    """A picture, (H, W, 3) RGB uint8, as PNG."""

    def read(self, path: Path) -> NDArray[Any]:  # noqa: D102
        import cv2

        picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if picture is None:
            raise DatasetError(f"{path}: not a picture")
        return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)

    def write(self, data: NDArray[Any], path: Path) -> None:  # noqa: D102
        import cv2

        try:
            written = cv2.imwrite(str(path), cv2.cvtColor(data, cv2.COLOR_RGB2BGR))
        except cv2.error:  # of an ending that it does not know
            written = False
        if not written:
            raise DatasetError(f"{self.filepath}: could not be written; does it end in .png?")

    def preview(self) -> ImagePreview:
        """The picture, for Kedro-Viz."""
        return ImagePreview(base64.b64encode(self.filepath.read_bytes()).decode())
