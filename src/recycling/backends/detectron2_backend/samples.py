"""The stream of batches: what it holds depends on the seed and the position in the stream alone.

So a training goes on after a stop with the batch that was next, and has the same images with any
number of loader processes. Nothing may import this before detectron2 is asked for.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from detectron2.data import DatasetMapper
from detectron2.data import transforms as T
from detectron2.data.common import AspectRatioGroupedDataset
from detectron2.data.samplers import RepeatFactorTrainingSampler, TrainingSampler
from detectron2.structures import BitMasks, Boxes, Instances
from torch.utils.data import DataLoader, Dataset

from recycling.backends.detectron2_backend.records import naming_the_file, read_record
from recycling.backends.shared.albumentations_list import AlbumentationsList
from recycling.backends.shared.copies import check_sampled, copies_by_class, repeats_of
from recycling.backends.shared.epochs import first_labeled_epoch, no_labeled
from recycling.backends.shared.image_cache import ImageCache
from recycling.backends.shared.model import Model

Record = dict[str, Any]

LABELED = 2**40
"""Where positions begin again in the last part of a stream; no first part is as long."""


@dataclass(frozen=True)
class Labeled:
    """The last part of a stream, without what models have labelled.

    Attributes:
        numbers: Of the images.
        sampler: Gives their places in `numbers` without end.
        first_epoch: From 1.
    """

    numbers: list[int]
    sampler: Any
    first_epoch: int

    def __iter__(self) -> Iterator[int]:
        return (self.numbers[place] for place in self.sampler)


@dataclass(frozen=True)
class Stream:
    """An endless stream of samples.

    Attributes:
        records: All images.
        sampler: Gives their numbers without end.
        per_epoch: How many of them an epoch holds, on average.
        labeled: What takes the sampler's place in the last epochs, if anything does.
    """

    records: list[Record]
    sampler: Any
    per_epoch: float
    labeled: Labeled | None = None


def stream_of(
    model: Model, records: list[Record], names: list[str], images_an_epoch: int | None = None
) -> Stream:
    """The stream that `sampler` and `pseudo_until` ask for.

    Args:
        model: The settings.
        records: All images, with annotations.
        names: The categories, in the order of class indices.
        images_an_epoch: How many images an epoch takes; None leaves it to the sampler.

    Raises:
        BackendError: Copies are asked for of a category that is unknown or in no image, or no image
            is labelled by people where only those are to be learnt from.
    """
    stream = _sampled(model, records, names)
    if images_an_epoch is not None:
        stream = replace(stream, per_epoch=images_an_epoch)
    numbers = [number for number, record in enumerate(records) if not record.get("pseudo")]
    labeled_from = first_labeled_epoch(model)
    if labeled_from is None or len(numbers) == len(records):
        return stream
    if not numbers:
        raise no_labeled(model)
    sampler = _sampled(model, [records[number] for number in numbers], names).sampler
    return replace(stream, labeled=Labeled(numbers, sampler, labeled_from + 1))


def _sampled(model: Model, records: list[Record], names: list[str]) -> Stream:
    """The stream that `sampler` asks for."""
    asked = model.sampler
    if asked.name == "shuffle":
        sampler = TrainingSampler(len(records), seed=model.seed)
        return Stream(records, sampler, len(records))
    held = [_classes(record) for record in records]
    if asked.name in ("class_balanced", "oversample"):
        check_sampled(model, names, {names[index] for index in set().union(*held)}, "image")
    if asked.name == "class_balanced":
        return Stream(records, ClassBalanced(records, model.seed), len(records))
    if asked.name == "repeat_factor":
        # The library would count ignore regions as objects.
        objects = [{"annotations": [{"category_id": index} for index in own]} for own in held]
        repeats = RepeatFactorTrainingSampler.repeat_factors_from_category_frequency(
            objects, asked.threshold
        )
    else:
        repeats = torch.tensor(repeats_of(held, copies_by_class(model, names))).float()
    sampler = RepeatFactorTrainingSampler(repeats, seed=model.seed)
    return Stream(records, sampler, float(repeats.sum()))


def _classes(record: Record) -> set[int]:
    return {
        annotation["category_id"]
        for annotation in record["annotations"]
        if not annotation["iscrowd"]
    }


class ClassBalanced:
    """Draws a class, each as likely, then one of the images that hold it, without end.

    Args:
        records: All images.
        seed: Of the draws.
    """

    def __init__(self, records: list[Record], seed: int) -> None:
        held: dict[int, list[int]] = {}
        for number, record in enumerate(records):
            for index in _classes(record):
                held.setdefault(index, []).append(number)
        self.images = [np.array(held[index]) for index in sorted(held)]
        self.seed = seed

    def __iter__(self) -> Iterator[int]:
        generator = np.random.default_rng(self.seed)
        while True:
            images = self.images[generator.integers(len(self.images))]
            yield int(generator.choice(images))


@dataclass(frozen=True)
class Batches:
    """Batches of a stream, as ``(number, position)`` each, from one on.

    Attributes:
        stream: Where the samples come from.
        size: Of a batch.
        first: The first batch that is wanted; those before are drawn, but no image is read.
        by_shape: Whether upright and lying images come in batches of their own, so that less is
            padded.
    """

    stream: Stream
    size: int
    first: int
    by_shape: bool

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        batches = self._batches(self.stream.sampler, 0)
        labeled = self.stream.labeled
        if labeled is not None:
            before = batches_until(labeled.first_epoch - 1, self.size, self.stream)
            # Whole batches, so that no image waits for others of its shape until the last part.
            batches = itertools.chain(
                itertools.islice(batches, before), self._batches(labeled, LABELED)
            )
        yield from itertools.islice(batches, self.first, None)

    def _batches(self, sampler: Any, first: int) -> Iterator[list[tuple[int, int]]]:
        samples = (
            {
                "number": number,
                "position": position,
                # All of one shape where they are not grouped.
                "width": self.stream.records[number]["width"] if self.by_shape else 0,
                "height": self.stream.records[number]["height"],
            }
            for position, number in enumerate(sampler, first)
        )
        for batch in AspectRatioGroupedDataset(samples, self.size):
            yield [(sample["number"], sample["position"]) for sample in batch]


class Samples(Dataset[Record]):
    """What the network takes, by a record's number and its position in the stream.

    Args:
        records: All images.
        mapper: From a record to what the network takes.
        seed: Of the training.
    """

    def __init__(self, records: list[Record], mapper: Any, seed: int) -> None:
        self.records = records
        self.mapper = mapper
        self.seed = seed

    def __getitem__(self, sample: tuple[int, int]) -> Record:
        number, position = sample
        seed = int(np.random.SeedSequence((self.seed, position)).generate_state(1)[0])
        np.random.seed(seed)  # what the library's augmentations draw from
        with naming_the_file(self.records[number]):
            return self.mapper(self.records[number], seed)  # type: ignore[no-any-return]


class RandomSide(T.Augmentation):  # type: ignore[misc]
    """Resizes an image so that its longer side is one of some.

    Args:
        sides: Pixels.
    """

    def __init__(self, sides: Sequence[int]) -> None:
        super().__init__()
        self.sides = list(sides)

    def get_transform(self, image: Any) -> Any:
        """Draw one of them."""
        side = int(np.random.choice(self.sides))
        return T.ResizeShortestEdge(side, side).get_transform(image)


class TrainingMapper(DatasetMapper):  # type: ignore[misc]
    """The library's mapper, with images in memory, Albumentations and ignore regions.

    What ``iscrowd`` marks is no object; a sample has the boxes as ``ignore_regions``, (K, 4).

    Args:
        config: The resolved ``CfgNode``.
        model: The settings.
    """

    def __init__(self, config: Any, model: Model) -> None:
        super().__init__(config, is_train=True)
        self.images = ImageCache()
        self.cache_bytes = model.cache_megabytes * 2**20 // max(1, model.workers)
        self.resize: Any = None
        # A crop of the recipe's comes before the resizing.
        if model.augmentation == "published":
            self.augmentations.augs[:] = [
                RandomSide(config.INPUT.MIN_SIZE_TRAIN)
                if isinstance(step, T.ResizeShortestEdge)
                else step
                for step in self.augmentations.augs
            ]
        elif not config.INPUT.CROP.ENABLED or model.augmentation is not None:
            self.resize = T.ResizeShortestEdge(model.image_size, model.image_size)
        self.list: AlbumentationsList | None = None
        if not isinstance(model.augmentation, str) and model.augmentation is not None:
            self.list = AlbumentationsList(model.augmentation, "det")

    def __call__(self, record: Record, seed: int) -> Record:
        """What the network takes of one record; the seed is the list's."""
        path = record["file_name"]
        image = self.images.of_file(path, (), self.cache_bytes, lambda: self._read(record)).copy()
        transforms: list[Any] = []
        if self.resize is not None:
            size = (record["height"], record["width"])
            transforms.append(T.ResizeTransform(*size, *image.shape[:2]))
        if self.list is None:
            steps = [
                step
                for step in self.augmentations.augs
                if self.resize is None or not isinstance(step, T.ResizeShortestEdge)
            ]
            augmented = T.AugInput(image)
            transforms.append(T.AugmentationList(steps)(augmented))
            image = augmented.image
        sample = {key: value for key, value in record.items() if key != "annotations"}
        sample["annotations"] = [dict(annotation) for annotation in record["annotations"]]
        self._transform_annotations(sample, T.TransformList(transforms), image.shape[:2])
        if self.list is not None:
            image = self._augment(image, sample, seed)
        sample["image"] = torch.as_tensor(np.ascontiguousarray(image.transpose(2, 0, 1)))
        return sample

    def _read(self, record: Record) -> Any:
        image = read_record(record, self.image_format)
        if self.resize is None:
            return image
        return self.resize.get_transform(image).apply_image(image)

    def _transform_annotations(self, sample: Record, transforms: Any, shape: Any) -> None:
        marked = [each["bbox"] for each in sample["annotations"] if each["iscrowd"]]
        super()._transform_annotations(sample, transforms, shape)
        moved = transforms.apply_box(np.array(marked, np.float64).reshape(-1, 4))
        regions = Boxes(torch.as_tensor(moved, dtype=torch.float32))
        regions.clip(shape)
        sample["ignore_regions"] = regions[regions.nonempty()].tensor

    def _augment(self, image: Any, sample: Record, seed: int) -> Any:
        """An image after the list of Albumentations, which takes BGR; boxes move with it."""
        flipped = self.image_format == "RGB"
        instances, regions = sample["instances"], sample["ignore_regions"].numpy()
        boxes = np.concatenate([instances.gt_boxes.tensor.numpy(), regions])
        masks = None
        if instances.has("gt_masks"):
            # Those of regions are not looked at.
            of_regions = np.zeros((len(regions), *image.shape[:2]), np.uint8)
            of_objects = instances.gt_masks.tensor.numpy().astype(np.uint8)
            masks = np.concatenate([of_objects, of_regions])
        assert self.list is not None
        made = self.list(
            np.ascontiguousarray(image[..., ::-1] if flipped else image),
            seed,
            boxes=boxes,
            masks=masks,
        )
        objects = made.rows < len(instances)
        found = Instances(made.image.shape[:2])
        found.gt_boxes = Boxes(torch.as_tensor(made.boxes[objects]))
        found.gt_classes = instances.gt_classes[torch.as_tensor(made.rows[objects])]
        if made.masks is not None:
            found.gt_masks = BitMasks(torch.as_tensor(made.masks[objects] > 0))
        sample["instances"] = found
        sample["ignore_regions"] = torch.as_tensor(made.boxes[~objects])
        return made.image[..., ::-1] if flipped else made.image


def build_loader(model: Model, config: Any, stream: Stream, first: int) -> Any:
    """The loader of a training's batches.

    Args:
        model: The settings.
        config: The resolved ``CfgNode``.
        stream: Which samples.
        first: The batch to begin with.
    """
    by_shape = config.DATALOADER.ASPECT_RATIO_GROUPING
    return DataLoader(
        Samples(stream.records, TrainingMapper(config, model), model.seed),
        batch_sampler=Batches(stream, model.batch_size, first, by_shape),
        num_workers=model.workers,
        collate_fn=list,
        # Its own, so that making it draws nothing from the training's random numbers.
        generator=torch.Generator().manual_seed(model.seed),
        pin_memory=False,
    )


def iterations_until(epoch: int, model: Model, stream: Stream) -> int:
    """How many batches the first epochs hold."""
    return batches_until(epoch, model.batch_size, stream)


def batches_until(epoch: int, size: int, stream: Stream) -> int:
    """How many batches of a size the first epochs hold."""
    return math.ceil(round(epoch * stream.per_epoch, 6) / size)
