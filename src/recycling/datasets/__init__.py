"""Kedro datasets for the values that flow through the pipelines."""

from recycling.datasets.annotation_files import (
    CocoDataset,
    LabelStudioDataset,
    PascalVocDataset,
    YoloDataset,
)
from recycling.datasets.class_labels import (
    ClassCsvDataset,
    ClassFoldersDataset,
)
from recycling.datasets.core import (
    PathDataset,
)
from recycling.datasets.external_members import ExternalMembersDataset
from recycling.datasets.folders import (
    AugmentedSetDataset,
    AugmentedSetsDataset,
    CorrectionsDataset,
    ImageCacheDataset,
    ImageFolderDataset,
    RecipesDataset,
    RunFolderDataset,
    RunsDataset,
    ThumbnailsDataset,
)
from recycling.datasets.reports import (
    CsvDataset,
    FigureDataset,
    ImageDataset,
    JsonDataset,
    TextDataset,
)
from recycling.datasets.unlabelled_images import UnlabelledImagesDataset
from recycling.datasets.values import (
    AnnotationsDataset,
    CheckpointDataset,
    LabelMapsDataset,
    MetricsDataset,
    ProbabilityMapsDataset,
    TableDataset,
)

__all__ = [
    "AnnotationsDataset",
    "AugmentedSetDataset",
    "AugmentedSetsDataset",
    "CheckpointDataset",
    "ClassCsvDataset",
    "ClassFoldersDataset",
    "CocoDataset",
    "CorrectionsDataset",
    "CsvDataset",
    "ExternalMembersDataset",
    "FigureDataset",
    "ImageCacheDataset",
    "ImageDataset",
    "ImageFolderDataset",
    "JsonDataset",
    "LabelMapsDataset",
    "LabelStudioDataset",
    "MetricsDataset",
    "PascalVocDataset",
    "PathDataset",
    "ProbabilityMapsDataset",
    "RecipesDataset",
    "RunFolderDataset",
    "RunsDataset",
    "TableDataset",
    "TextDataset",
    "ThumbnailsDataset",
    "UnlabelledImagesDataset",
    "YoloDataset",
]
