"""Ignore regions, a first part with pseudo-labels, and epochs of a given length, in detectron2."""

from __future__ import annotations

import itertools
import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backends.rectangles import RECIPE, RECIPES, data_of, rectangles, settings_of, train, weights_of
from recycling.annotations import LabeledImages
from recycling.backends import BackendError, TrainingData, is_installed

if not is_installed("detectron2"):
    pytest.skip("detectron2 is not installed", allow_module_level=True)

import torch

SIDE = 128
OBJECT = [8.0, 8.0, 40.0, 44.0]
REGION = [62.0, 54.0, 122.0, 122.0]


@pytest.fixture(scope="module")
def part(tmp_path_factory: pytest.TempPathFactory) -> LabeledImages:
    return rectangles(tmp_path_factory.mktemp("pictures") / "a", seed=0)


def with_rows(part: LabeledImages, **columns: Any) -> LabeledImages:
    rows = part.annotations.annotations.assign(**columns)
    return replace(part, annotations=replace(part.annotations, annotations=rows))


def metal_is_ignored(part: LabeledImages) -> LabeledImages:
    return with_rows(part, iscrowd=part.annotations.annotations["category_id"] == 7)


# Ignore regions ---------------------------------------------------------------------------------


def batch(*, marked: bool) -> list[dict[str, Any]]:
    """Two images: one with an object, one without; a region in both, or in none."""
    from detectron2.structures import Boxes, Instances

    torch.manual_seed(2)
    made = []
    for boxes, classes in (([OBJECT], [1]), ([], [])):
        instances = Instances((SIDE, SIDE))
        instances.gt_boxes = Boxes(torch.tensor(boxes).reshape(-1, 4))
        instances.gt_classes = torch.tensor(classes).long()
        regions = torch.tensor([REGION] if marked else []).reshape(-1, 4)
        image = torch.randint(0, 255, (3, SIDE, SIDE), dtype=torch.uint8)
        made.append({"image": image, "instances": instances, "ignore_regions": regions})
    return made


@pytest.fixture(
    scope="module", params=["faster_rcnn_r50_narrow", "cascade_rcnn_r50", "retinanet_r50"]
)
def network(request: pytest.FixtureRequest) -> Any:
    from detectron2.modeling import build_model

    from recycling.backends.detectron2_backend import session
    from recycling.backends.detectron2_backend.ignore_regions import leave_out_ignore_regions
    from recycling.backends.detectron2_backend.resolve import resolve

    with session.library():
        recipe = RECIPES.find("detectron2", request.param)
        torch.manual_seed(0)
        made = build_model(resolve(settings_of(recipe=request.param), recipe, n_classes=2))
        leave_out_ignore_regions(made)
        yield made.train()


def test_nothing_is_labelled_background_in_an_ignore_region(network: Any) -> None:
    """What is labelled outside of the region does not change, for anchors and proposals alike."""
    from detectron2.structures import Boxes, Instances
    from detectron2.utils.events import EventStorage

    outside = torch.tensor([[10.0, 10, 42, 44], [60, 4, 90, 30], [4, 70, 40, 120]])
    inside = torch.tensor([[70.0, 60, 100, 90], [66, 60, 126, 124]])

    def proposals() -> list[Any]:
        made = []
        for _ in range(2):
            instances = Instances((SIDE, SIDE))
            instances.proposal_boxes = Boxes(torch.cat([outside, inside]))
            instances.objectness_logits = torch.zeros(5)
            made.append(instances)
        return made

    def labels(*, marked: bool) -> list[list[tuple[float, ...]]]:
        """Of each image the boxes that are learnt as background."""
        given = batch(marked=marked)
        network._forward_pre_hooks[next(iter(network._forward_pre_hooks))](network, (given,))
        objects = [sample["instances"] for sample in given]
        torch.manual_seed(0)
        found: list[Any] = []
        if hasattr(network, "roi_heads"):
            heads = network.roi_heads
            sampled = heads.label_and_sample_proposals(proposals(), objects)
            if hasattr(heads, "_match_and_label_boxes"):
                found += heads._match_and_label_boxes(proposals(), 1, objects)
            found = [
                each.proposal_boxes.tensor[each.gt_classes == heads.num_classes]
                for each in (*sampled, *found)
            ]
        grid = torch.cartesian_prod(torch.arange(0.0, SIDE, 8), torch.arange(0.0, SIDE, 8))
        anchors = Boxes(torch.cat([grid - 12, grid + 12], dim=1))
        if hasattr(network, "proposal_generator"):
            network.proposal_generator.batch_size_per_image = 2 * len(anchors)
            of_anchors, _ = network.proposal_generator.label_and_sample_anchors([anchors], objects)
            found += [anchors.tensor[of_image == 0] for of_image in of_anchors]
        else:
            of_anchors, _ = network.label_anchors([anchors], objects)
            found += [anchors.tensor[of_image == network.num_classes] for of_image in of_anchors]
        return [sorted(tuple(box) for box in boxes.tolist()) for boxes in found]

    def lies_in(box: tuple[float, ...]) -> bool:
        """By plain arithmetic: the centre, or more than half of the box."""
        x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        width = min(box[2], REGION[2]) - max(box[0], REGION[0])
        height = min(box[3], REGION[3]) - max(box[1], REGION[1])
        share = max(width, 0) * max(height, 0) / ((box[2] - box[0]) * (box[3] - box[1]))
        centred = REGION[0] <= x <= REGION[2] and REGION[1] <= y <= REGION[3]
        return centred or share > 0.5

    with EventStorage():
        marked, unmarked = labels(marked=True), labels(marked=False)
    assert len(marked) == len(unmarked) >= 2
    for with_region, without in zip(marked, unmarked, strict=True):
        assert with_region == [box for box in without if not lies_in(box)]
        assert len(with_region) < len(without)


def test_a_training_step_has_no_gradient_from_what_fires_in_a_region(network: Any) -> None:
    """The loss of anchors is the same whatever the network says of those in the region."""
    from detectron2.structures import Boxes
    from detectron2.utils.events import EventStorage

    losses = []
    for marked in (True, False):
        for score in (0.0, 4.0):
            given = batch(marked=marked)
            network._forward_pre_hooks[next(iter(network._forward_pre_hooks))](network, (given,))
            objects = [sample["instances"] for sample in given]
            grid = torch.cartesian_prod(torch.arange(0.0, SIDE, 8), torch.arange(0.0, SIDE, 8))
            anchors = [Boxes(torch.cat([grid - 12, grid + 12], dim=1))]
            middle = (grid >= 64).all(dim=1) & (grid <= 120).all(dim=1)
            deltas = [torch.zeros(2, len(grid), 4)]
            torch.manual_seed(0)
            with EventStorage():
                if hasattr(network, "proposal_generator"):
                    module = network.proposal_generator
                    labels, boxes = module.label_and_sample_anchors(anchors, objects)
                    scores = torch.zeros(2, len(grid))
                    scores[:, middle] = score
                    found = module.losses(anchors, [scores], labels, deltas, boxes)
                else:
                    network.loss_normalizer = 1.0
                    labels, boxes = network.label_anchors(anchors, objects)
                    scores = torch.zeros(2, len(grid), network.num_classes)
                    scores[:, middle] = score
                    found = network.losses(anchors, [scores], labels, deltas, boxes)
            losses.append(float(sum(found.values())))
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    assert losses[3] > losses[2] * 1.05


def test_samples_carry_ignore_regions_through_the_augmentation(part: LabeledImages) -> None:
    """Metal is to be ignored: it moves with the picture, and is no object."""
    from recycling.backends.detectron2_backend import session
    from recycling.backends.detectron2_backend.records import training_records
    from recycling.backends.detectron2_backend.resolve import resolve
    from recycling.backends.detectron2_backend.samples import TrainingMapper

    def mapped(data: TrainingData, augmentation: Any) -> tuple[list[Any], list[Any], list[int]]:
        model = settings_of(augmentation=augmentation)
        with session.library():
            config = resolve(model, RECIPE, n_classes=2)
            records = training_records(data, config, "x")
            sample = TrainingMapper(config, model)(records[0], 0)
        objects = sample["instances"]
        return (
            objects.gt_boxes.tensor.tolist(),
            sample["ignore_regions"].tolist(),
            objects.gt_classes.tolist(),
        )

    marked = data_of(metal_is_ignored(part))
    for augmentation in ([], [{"HorizontalFlip": {"p": 1.0}}]):
        (paper, metal), none, classes = mapped(data_of(part), augmentation)
        assert (none, classes) == ([], [0, 1])
        boxes, regions, classes = mapped(marked, augmentation)
        assert (boxes, classes) == ([paper], [0])
        assert regions == [pytest.approx(metal, abs=1e-3)]


def test_ignore_regions_make_another_training_and_are_said_on_one_line(
    part: LabeledImages, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        train(tmp_path / "marked", data_of(metal_is_ignored(part)), epochs=1)
    said = [record.getMessage() for record in caplog.records if "ignore" in record.getMessage()]
    assert said == [
        "marked: nothing is learnt as background in 4 ignore regions (crowds, or what is unsure) "
        "on 4 images: 1.png, 2.png, 3.png, 4.png"
    ]
    facts = json.loads((tmp_path / "marked" / "training.json").read_text())
    assert facts["ignore regions"] == "4, left out of the background"


# Epochs -----------------------------------------------------------------------------------------


def records_of(*pseudo: bool) -> list[dict[str, Any]]:
    """Images that lie and stand in turn, with a class each."""
    return [
        {
            "width": 100 if number % 2 else 60,
            "height": 80,
            "pseudo": is_pseudo,
            "annotations": [{"category_id": number % 2, "iscrowd": 0}],
        }
        for number, is_pseudo in enumerate(pseudo)
    ]


@pytest.mark.parametrize("sampler", ["shuffle", "class_balanced", "oversample", "repeat_factor"])
def test_the_last_epochs_have_labelled_images_only(sampler: str) -> None:
    from recycling.backends.detectron2_backend.samples import Batches, iterations_until, stream_of

    model = settings_of(sampler={"name": sampler}, epochs=6, pseudo_until=0.5, batch_size=2)
    records = records_of(True, True, False, False, True, False, False, True, False)
    stream = stream_of(model, records, ["a", "b"])
    first, all_of_it = (iterations_until(epoch, model, stream) for epoch in (3, 6))
    assert all_of_it == 2 * first or all_of_it == 2 * first - 1, "epochs are as long as ever"
    batches = list(itertools.islice(Batches(stream, 2, 0, by_shape=True), all_of_it))
    early = {number for batch in batches[:first] for number, _ in batch}
    late = {number for batch in batches[first:] for number, _ in batch}
    assert early & {0, 1, 4, 7}
    assert late <= {2, 3, 5, 6, 8}
    positions = [position for batch in batches for _, position in batch]
    assert len(set(positions)) == len(positions), "random numbers of its own for each sample"
    for begin in (first - 1, first, first + 2):
        again = itertools.islice(Batches(stream, 2, begin, by_shape=True), all_of_it - begin)
        assert list(again) == batches[begin:], "a training goes on with the batch that was next"
    with pytest.raises(BackendError, match=r"pseudo_until is 0.5, but there is no labelled image"):
        stream_of(model, records_of(True, True), ["a", "b"])


def test_a_twin_has_the_same_steps_and_learning_rates(part: LabeledImages, tmp_path: Path) -> None:
    pseudo = with_rows(part, source="pseudo")
    student = train(tmp_path / "student", data_of(part, pseudo), epochs=2)
    twin = train(tmp_path / "twin", replace(data_of(part), images_an_epoch=8), epochs=2)
    found = []
    for checkpoint in (student, twin):
        facts = json.loads((checkpoint.folder / "checkpoint.json").read_text())
        lines = (checkpoint.folder.parent / "metrics.jsonl").read_text().splitlines()
        found.append((facts["iterations"], [json.loads(line)["learning_rate"] for line in lines]))
    assert found[0] == found[1]
    assert found[0][0] == 8
    identity = json.loads((tmp_path / "twin" / "training.json").read_text())
    assert identity["images_an_epoch"] == "8"


def test_a_stopped_training_with_a_first_part_ends_as_it_would_have(
    part: LabeledImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from recycling.backends.detectron2_backend.trainer import Trainer

    data = replace(data_of(part, with_rows(part, source="pseudo")), images_an_epoch=4)
    settings: dict[str, Any] = {"epochs": 3, "pseudo_until": 0.4}
    whole = train(tmp_path / "whole", data, **settings)
    run_step = Trainer.run_step

    def stop_in_the_third(trainer: Any) -> None:
        if trainer.iter == 5:
            raise KeyboardInterrupt
        run_step(trainer)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "run_step", stop_in_the_third)
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "parts", data, **settings)
    again = weights_of(train(tmp_path / "parts", data, **settings))
    assert all(torch.equal(tensor, again[name]) for name, tensor in weights_of(whole).items())
