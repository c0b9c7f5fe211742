"""The settings of a model, honoured by detectron2 or refused."""

from __future__ import annotations

import itertools
import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from backends.rectangles import (
    RECIPE,
    RECIPES,
    changed,
    data_of,
    images_of,
    rectangles,
    settings_of,
    train,
    weights_of,
)
from recycling.annotations import Annotations, LabeledImages
from recycling.backends import BackendError, Checkpoint, backend_for, is_installed

if not is_installed("detectron2"):
    pytest.skip("detectron2 is not installed", allow_module_level=True)

import torch

RETINANET = RECIPES.find("detectron2", "retinanet_r50")
STILL = {"name": "SGD", "learning_rate": 1e-12, "weight_decay": 0.0}


@pytest.fixture(scope="module")
def part(tmp_path_factory: pytest.TempPathFactory) -> LabeledImages:
    return rectangles(tmp_path_factory.mktemp("pictures") / "a", seed=0)


@pytest.fixture(scope="module")
def trained(part: LabeledImages, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return train(tmp_path_factory.mktemp("work") / "model", data_of(part), epochs=1)


def config_of(part: LabeledImages, recipe: Path = RECIPE, **changes: Any) -> Any:
    from recycling.backends.detectron2_backend import session
    from recycling.backends.detectron2_backend.anchors import set_anchors
    from recycling.backends.detectron2_backend.resolve import resolve

    model = settings_of(**changes)
    with session.library():
        config = resolve(model, recipe, n_classes=2)
        set_anchors(config, model, data_of(part))
        return config


def without_one_class(part: LabeledImages, image_ids: set[int]) -> LabeledImages:
    """The part, with boxes of category 7 on these images only."""
    whole, table = part.annotations, part.annotations.annotations
    kept = (table["category_id"] == 5) | table["image_id"].isin(image_ids)
    rare = Annotations(whole.images, table[kept].reset_index(drop=True), whole.categories)
    return LabeledImages(rare, part.folder)


def facts_of(checkpoint: Checkpoint) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((checkpoint.folder / "checkpoint.json").read_text())
    return facts


# Anchors and freezing


@pytest.mark.parametrize(("recipe", "n_levels"), [(RECIPE, 3), (RETINANET, 5)])
def test_anchors_double_from_level_to_level(
    part: LabeledImages, recipe: Path, n_levels: int
) -> None:
    config = config_of(part, recipe, anchors={"sizes": [10, 14], "ratios": [1.0, 3.0]})
    generator = config.MODEL.ANCHOR_GENERATOR
    expected = [[10.0 * 2**level, 14.0 * 2**level] for level in range(n_levels)]
    assert list(map(list, generator.SIZES)) == expected
    assert list(map(list, generator.ASPECT_RATIOS)) == [[1.0, 3.0]]


def test_proposed_anchors_fit_the_boxes_that_the_network_sees(part: LabeledImages) -> None:
    # Boxes of 28 x 24 pixels in pictures of 96, which the network sees at 64.
    generator = config_of(part, anchors="proposed").MODEL.ANCHOR_GENERATOR
    sizes, ratios = np.array(generator.SIZES).ravel(), np.array(generator.ASPECT_RATIOS).ravel()
    size = (28 * 24) ** 0.5 * 64 / 96
    assert np.abs(sizes / size - 1).min() < 0.1
    assert np.abs(ratios / (24 / 28) - 1).min() < 0.1


def test_frozen_stages_do_not_learn_and_the_next_one_does(
    part: LabeledImages, tmp_path: Path
) -> None:
    checkpoints = [train(tmp_path / str(n), data_of(part), epochs=n, freeze=1) for n in (1, 2)]
    one, two = map(weights_of, checkpoints)
    same = {key for key in one if torch.equal(one[key], two[key])}
    learnt = [key for key in one if key.endswith("conv1.weight") and key not in same]
    assert {key for key in one if ".stem." in key or ".res2." in key} <= same
    assert any(".res3." in key for key in learnt)


# Losses


def losses_of(part: LabeledImages, recipe: Path = RECIPE, **changes: Any) -> dict[str, float]:
    """The losses of one batch before the first step."""
    from detectron2.modeling import build_model
    from detectron2.utils.events import EventStorage

    from recycling.backends.detectron2_backend import session
    from recycling.backends.detectron2_backend.losses import class_weights, use_loss
    from recycling.backends.detectron2_backend.records import training_records
    from recycling.backends.detectron2_backend.samples import build_loader, stream_of

    model, data = settings_of(recipe=recipe.stem, **changes), data_of(part)
    config = config_of(part, recipe, **changes)
    with session.library():
        session.seed_epoch(0, 0)
        network = build_model(config)
        use_loss(network, model, class_weights(model, data))
        stream = stream_of(model, training_records(data, config, "x"), ["Paper", "Metal"])
        (batch,) = itertools.islice(build_loader(model, config, stream, 0), 1)
        session.seed_epoch(0, 1)
        with EventStorage():
            return {name: float(loss.detach()) for name, loss in network.train()(batch).items()}


def test_a_backbone_without_a_pyramid_learns_at_its_share_of_the_rate(part: LabeledImages) -> None:
    """As of the recipes called C4 and DC5."""
    from recycling.backends.detectron2_backend.schedule import build_optimizer

    half = settings_of(optimizer={**STILL, "learning_rate": 0.1, "backbone_rate": 0.5})
    config = config_of(part)
    plain = torch.nn.ModuleDict({"res2": torch.nn.Linear(1, 1)})
    network = torch.nn.ModuleDict({"backbone": plain, "roi_heads": torch.nn.Linear(1, 1)})
    groups = build_optimizer(half, config, network).param_groups
    rates = {id(parameter): group["lr"] for group in groups for parameter in group["params"]}
    assert {rates[id(parameter)] for parameter in plain.parameters()} == {0.05}
    assert {rates[id(parameter)] for parameter in network["roi_heads"].parameters()} == {0.1}
    with pytest.raises(BackendError, match="has no backbone of its own; remove backbone_rate"):
        build_optimizer(half, config, plain)


def test_the_losss_own_words_give_the_librarys_own_loss(part: LabeledImages) -> None:
    assert losses_of(part, loss="cross_entropy") == pytest.approx(losses_of(part))
    focal = losses_of(part, RETINANET, loss={"name": "focal", "gamma": 2.0, "alpha": 0.25})
    assert focal == pytest.approx(losses_of(part, RETINANET))


@pytest.mark.parametrize("recipe", [RECIPE, RETINANET])
def test_a_weight_scales_the_loss_of_the_classes_alone(part: LabeledImages, recipe: Path) -> None:
    once = losses_of(part, recipe, loss={"name": "focal"})
    twice = losses_of(part, recipe, loss={"name": "focal", "weight": 2.0})
    assert twice.pop("loss_cls") == pytest.approx(2 * once.pop("loss_cls"))
    assert twice == pytest.approx(once)


@pytest.mark.parametrize("recipe", [RECIPE, RETINANET])
def test_without_focus_and_balance_focal_loss_is_cross_entropy(
    part: LabeledImages, recipe: Path
) -> None:
    focal = losses_of(part, recipe, loss={"name": "focal", "gamma": 0.0, "alpha": 0.5})
    if recipe is RECIPE:
        proposals = losses_of(part, options={"MODEL.DEVICE": "cpu", SIGMOID: True})
        assert 2 * focal["loss_cls"] == pytest.approx(proposals["loss_cls"])
    else:
        plain = losses_of(part, recipe, loss="cross_entropy")
        assert 2 * focal["loss_cls"] == pytest.approx(plain["loss_cls"])


SIGMOID = "MODEL.ROI_BOX_HEAD.USE_SIGMOID_CE"


def test_the_loss_of_proposals_follows_its_formula() -> None:
    from recycling.backends.losses.cross_entropy import CrossEntropy, fast_rcnn

    scores = torch.tensor([[2.0, 0.5, -1.0], [0.1, 0.2, 0.3]])
    classes, weights = torch.tensor([0, 2]), torch.tensor([3.0, 0.5])
    chances = scores.softmax(1).double()
    expected = (-3 * chances[0, 0].log() - chances[1, 2].log()) / 2  # the background weighs 1
    assert fast_rcnn(CrossEntropy(), scores, classes, weights).item() == pytest.approx(
        expected.item()
    )
    smooth = CrossEntropy(label_smoothing=0.3)
    targets = torch.tensor([[0.8, 0.1, 0.1], [0.1, 0.1, 0.8]])
    expected = -(targets * chances.log()).sum(1).mean()
    found = fast_rcnn(smooth, scores, classes, torch.ones(2))
    assert found.item() == pytest.approx(expected.item())


def test_balanced_weights_are_the_inverse_of_the_frequency_and_1_on_average(
    part: LabeledImages,
) -> None:
    from recycling.backends.detectron2_backend.losses import class_weights

    model = settings_of(loss={"name": "cross_entropy", "class_weights": "balanced"})
    rare = without_one_class(part, {1})  # 4 boxes of Paper, 1 of Metal
    assert class_weights(model, data_of(rare)) == pytest.approx([0.4, 1.6])
    with pytest.raises(
        BackendError, match="no annotation to learn from is of 'Metal'; give weights"
    ):
        class_weights(model, data_of(without_one_class(part, set())))


def test_a_focal_loss_trains_and_predicts_from_the_folder(
    part: LabeledImages, tmp_path: Path
) -> None:
    loss = {"name": "focal", "class_weights": {"Metal": 2.0, "Paper": 1.0}}
    checkpoint = train(tmp_path / "work", data_of(part), epochs=1, loss=loss, score_threshold=0.0)
    found = backend_for("detectron2").predict(checkpoint, images_of(part))
    assert isinstance(found, pd.DataFrame)
    # Of an untrained sigmoid; a softmax over three would be near a third.
    assert found["score"].max() > 0.4


# Samplers


def first_images(part: LabeledImages, n: int, **sampler: Any) -> list[int]:
    from recycling.backends.detectron2_backend import session
    from recycling.backends.detectron2_backend.records import training_records
    from recycling.backends.detectron2_backend.samples import stream_of

    model = settings_of(sampler=sampler)
    with session.library():
        records = training_records(data_of(part), config_of(part, sampler=sampler), "x")
        stream = stream_of(model, records, ["Paper", "Metal"])
        return [int(number) for number in itertools.islice(stream.sampler, n)]


def test_a_class_balanced_sampler_draws_each_class_as_often(part: LabeledImages) -> None:
    drawn = first_images(without_one_class(part, {1}), 600, name="class_balanced")
    # Image 0 alone holds Metal: half of the draws, and a quarter of the other half.
    assert drawn.count(0) / 600 == pytest.approx(0.625, abs=0.06)
    assert set(drawn) == {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("sampler", "counts"),
    [
        ({"name": "oversample"}, [4, 1, 1, 1]),
        ({"name": "oversample", "copies": {"Metal": 3}}, [3, 1, 1, 1]),
        ({"name": "repeat_factor", "threshold": 1.0}, [2, 1, 1, 1]),
    ],
)
def test_rare_images_come_more_often_and_the_epoch_grows(
    part: LabeledImages, tmp_path: Path, sampler: dict[str, Any], counts: list[int]
) -> None:
    rare = without_one_class(part, {1})
    drawn = first_images(rare, sum(counts), **sampler)
    assert [drawn.count(number) for number in range(4)] == counts
    checkpoint = train(tmp_path / "work", data_of(rare), epochs=1, sampler=sampler)
    assert facts_of(checkpoint)["iterations"] == -(-sum(counts) // 2)


def test_an_ignore_region_is_no_object_that_an_image_comes_more_often_for(
    part: LabeledImages,
) -> None:
    rare = without_one_class(part, {1, 2})
    table = rare.annotations.annotations
    # On the second image, Metal is a region.
    marked = table.assign(iscrowd=(table["category_id"] == 7) & (table["image_id"] == 2))
    crowded = replace(rare, annotations=replace(rare.annotations, annotations=marked))
    drawn = first_images(crowded, 5, name="repeat_factor", threshold=1.0)
    assert [drawn.count(number) for number in range(4)] == [2, 1, 1, 1]


# Augmentation and the cache


def samples_of(part: LabeledImages, n: int, **changes: Any) -> list[dict[str, Any]]:
    from recycling.backends.detectron2_backend import session
    from recycling.backends.detectron2_backend.records import training_records
    from recycling.backends.detectron2_backend.samples import build_loader, stream_of

    model, config = settings_of(**changes), config_of(part, **changes)
    with session.library():
        stream = stream_of(model, training_records(data_of(part), config, "x"), ["Paper", "Metal"])
        batches = itertools.islice(build_loader(model, config, stream, 0), n)
        return [sample for batch in batches for sample in batch]


def test_boxes_and_masks_move_with_the_picture(part: LabeledImages) -> None:
    options = {"MODEL.DEVICE": "cpu", "MODEL.MASK_ON": True}
    flip = [{"HorizontalFlip": {"p": 1.0}}]
    upright = samples_of(part, 2, augmentation=[{"NoOp": {}}], options=options)
    mirrored = samples_of(part, 2, augmentation=flip, options=options)
    for one, other in zip(upright, mirrored, strict=True):
        assert torch.equal(one["image"].flip(-1), other["image"])
        boxes, moved = (sample["instances"].gt_boxes.tensor for sample in (one, other))
        width = one["image"].shape[-1]
        torch.testing.assert_close(moved[:, [2, 1, 0, 3]], boxes * SIGNS + width * OFFSETS)
        masks = (sample["instances"].gt_masks.tensor for sample in (one, other))
        assert torch.equal(next(masks).flip(-1), next(masks))


def test_what_is_published_resizes_to_shares_of_the_models_size(
    part: LabeledImages, tmp_path: Path
) -> None:
    """Published: sides of 640 to 800, of 800 that are predicted at; and a flip."""
    config = config_of(part, augmentation="published")
    sides = (51, 54, 56, 59, 61, 64)
    assert tuple(config.INPUT.MIN_SIZE_TRAIN) == sides
    assert config.INPUT.MIN_SIZE_TEST == 64
    samples = samples_of(part, 40, augmentation="published")
    assert {max(sample["image"].shape[1:]) for sample in samples} == set(sides)
    for sample in samples:
        height, width = sample["image"].shape[1:]
        assert abs(height / width - 64 / 96) < 0.02
        boxes = sample["instances"].gt_boxes.tensor
        middles = (boxes[:, :2] + boxes[:, 2:]).mul(0.5).long()
        grey = sample["image"][0, middles[:, 1], middles[:, 0]]
        # Metal is drawn last, over what there is.
        assert (grey[sample["instances"].gt_classes == 1] > 190).all()
    train(tmp_path / "work", data_of(part), augmentation="published", epochs=1)


def test_augmented_copies_make_no_epoch_longer(part: LabeledImages, tmp_path: Path) -> None:
    """Also where the library leaves out images: here one has no objects."""
    whole = part.annotations
    kept = whole.annotations[whole.annotations["image_id"] != 2].reset_index(drop=True)
    fewer = LabeledImages(Annotations(whole.images, kept, whole.categories), part.folder)
    iterations = []
    for number, data in enumerate(
        (data_of(fewer), replace(data_of(fewer, part, part), epoch_parts=1))
    ):
        checkpoint = train(tmp_path / str(number), data, epochs=2, batch_size=1)
        iterations.append(facts_of(checkpoint)["iterations"])
    assert iterations == [6, 6]


SIGNS, OFFSETS = torch.tensor([-1.0, 1, -1, 1]), torch.tensor([1.0, 0, 1, 0])


def test_colours_reach_albumentations_as_red_green_blue(part: LabeledImages) -> None:
    (plain, *_) = samples_of(part, 1, augmentation=[{"NoOp": {}}])
    red = [
        {"RGBShift": {"r_shift_limit": [99, 99], "g_shift_limit": 0, "b_shift_limit": 0, "p": 1}}
    ]
    (shifted, *_) = samples_of(part, 1, augmentation=red)
    # The network takes blue, green, red.
    assert torch.equal(plain["image"][:2], shifted["image"][:2])
    assert not torch.equal(plain["image"][2], shifted["image"][2])


def test_samples_are_the_same_with_any_number_of_workers_and_any_cache(
    part: LabeledImages,
) -> None:
    noise = [{"RandomBrightnessContrast": {"p": 1.0}}, {"HorizontalFlip": {}}]
    for augmentation in (None, noise):
        (first, *others) = [
            samples_of(part, 5, augmentation=augmentation, workers=workers, cache_megabytes=cache)
            for workers, cache in ((0, 0), (0, 64), (2, 64))
        ]
        for other in others:
            for one, again in zip(first, other, strict=True):
                assert torch.equal(one["image"], again["image"])
                assert torch.equal(
                    one["instances"].gt_boxes.tensor, again["instances"].gt_boxes.tensor
                )


def test_what_a_training_does_to_a_picture_is_not_kept(part: LabeledImages) -> None:
    from recycling.backends.detectron2_backend import session
    from recycling.backends.detectron2_backend.records import training_records
    from recycling.backends.detectron2_backend.resolve import resolve

    model = settings_of(augmentation=[{"InvertImg": {"p": 1.0}}])
    with session.library():
        from recycling.backends.detectron2_backend.samples import TrainingMapper

        config = resolve(model, RECIPE, n_classes=2)
        record = training_records(data_of(part), config, "x")[0]
        mapper = TrainingMapper(config, model)
        first, again = (mapper(record, seed=0)["image"] for _ in range(2))
    assert len(mapper.images.arrays) == 1
    assert torch.equal(first, again)


# How a training runs


def test_two_half_batches_added_up_are_one_batch(part: LabeledImages, tmp_path: Path) -> None:
    # Without batch normalisation, whose statistics are a batch's.
    options = {"MODEL.DEVICE": "cpu", "MODEL.RESNETS.NORM": "FrozenBN", "MODEL.FPN.NORM": ""}
    options |= {"DATALOADER.ASPECT_RATIO_GROUPING": False, "MODEL.RPN.BATCH_SIZE_PER_IMAGE": 8000}
    options |= {"MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE": 8000}
    optimizer = {"name": "SGD", "learning_rate": 1e-3}
    whole, halves = (
        weights_of(
            train(
                tmp_path / str(accumulate),
                data_of(part),
                epochs=1,
                batch_size=4 // accumulate,
                accumulate=accumulate,
                optimizer=optimizer,
                options=options,
                schedule={"name": "constant", "warmup": 0.0},
                augmentation=[],
            )
        )
        for accumulate in (1, 2)
    )
    name = "proposal_generator.rpn_head.conv.weight"
    torch.testing.assert_close(whole[name], halves[name], rtol=1e-4, atol=1e-6)


def test_averaged_weights_are_the_ones_that_are_kept(part: LabeledImages, tmp_path: Path) -> None:
    plain = weights_of(train(tmp_path / "plain", data_of(part), epochs=1))
    slow = weights_of(train(tmp_path / "slow", data_of(part), epochs=1, ema=0.999999))
    fast = weights_of(train(tmp_path / "fast", data_of(part), epochs=1, ema=0.000001))
    assert plain.keys() == slow.keys()
    name = "roi_heads.box_predictor.cls_score.weight"
    assert not torch.allclose(plain[name], slow[name])
    torch.testing.assert_close(plain[name], fast[name], rtol=1e-4, atol=1e-6)


def test_early_stopping_keeps_the_best_epoch(part: LabeledImages, tmp_path: Path) -> None:
    from dataclasses import replace

    given = iter([0.1, 0.4, 0.4, 0.2, 0.9])
    seen: list[int] = []

    def score(detections: Any) -> float:
        seen.append(len(detections))
        return next(given)

    data = replace(data_of(part), score=score)
    stop = {"patience": 2, "min_gain": 0.05}
    checkpoint = train(tmp_path / "work", data, epochs=5, early_stopping=stop)
    facts = facts_of(checkpoint)
    assert (facts["best_epoch"], facts["best_score"], facts["iterations"]) == (2, 0.4, 8)
    lines = (tmp_path / "work" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["score"] for line in lines] == [0.1, 0.4, 0.4, 0.2]
    with pytest.raises(BackendError, match=r"early_stopping needs TrainingData\.score"):
        train(tmp_path / "none", data_of(part), early_stopping=stop)


@pytest.mark.slow
def test_views_find_the_same_things_in_the_same_places(part: LabeledImages, tmp_path: Path) -> None:
    from recycling.backends.detectron2_backend import prediction, session
    from recycling.backends.detectron2_backend.checkpoint import Network, load_trained

    optimizer = {"name": "AdamW", "learning_rate": 3e-3, "clip_grad_norm": 5.0}
    trained = train(tmp_path / "work", data_of(part), epochs=30, batch_size=4, optimizer=optimizer)
    views = {"scales": [0.9, 1.0, 1.2], "flip": True}
    with session.library():
        network = load_trained(trained)
        settings = network.trained.model.model_copy(
            update={
                "test_time_augmentation": settings_of(
                    test_time_augmentation=views
                ).test_time_augmentation
            }
        )
        from dataclasses import replace

        several = Network(network.module, network.config, replace(network.trained, model=settings))
        one = prediction.predict(network, images_of(part))
        fused = prediction.predict(several, images_of(part))
    assert not one.equals(fused)
    truth = part.annotations.annotations.set_index(["image_id", "category_id"])
    box = ["x_min", "y_min", "x_max", "y_max"]
    for found in (one, fused):
        surest = found.sort_values("score").groupby(["image_id", "category_id"]).last()
        distance = (surest[box] - truth.loc[surest.index, box]).abs().to_numpy()
        assert np.median(distance) < 5
    assert (
        fused.groupby("image_id")["score"]
        .apply(lambda scores: scores.is_monotonic_decreasing)
        .all()
    )


def test_boxes_of_a_mirrored_view_come_back_and_the_weaker_of_two_is_left_out(
    part: LabeledImages,
) -> None:
    from detectron2.structures import Boxes, Instances

    from recycling.backends.detectron2_backend.views import fused

    def found(boxes: list[list[float]], scores: list[float]) -> Any:
        fields = {"pred_boxes": Boxes(torch.tensor(boxes)), "scores": torch.tensor(scores)}
        return Instances((64, 96), **fields, pred_classes=torch.zeros(len(scores)).long())

    upright = found([[10.0, 5, 30, 25]], [0.6])
    mirrored = found([[66.0, 5, 86, 25], [0.0, 0, 8, 8]], [0.9, 0.3])
    both = fused([{"flipped": False}, {"flipped": True}], [upright, mirrored], config_of(part))
    assert both.pred_boxes.tensor.tolist() == [[10, 5, 30, 25], [88, 0, 96, 8]]
    assert both.scores.tolist() == pytest.approx([0.9, 0.3])


# Weights to start from


class Bomb:
    def __reduce__(self) -> Any:
        return (eval, ("__import__('pathlib').Path('exploded').touch()",))


def test_a_file_of_the_zoo_is_read_without_running_code(
    part: LabeledImages, trained: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arrays = {name: value.numpy() for name, value in weights_of(trained).items()}
    zoo = tmp_path / "model_final_123456.pkl"
    zoo.write_bytes(pickle.dumps({"model": arrays, "__author__": "us"}))
    further = train(
        tmp_path / "work", data_of(part), pretrained=str(zoo), epochs=1, optimizer=STILL
    )
    name = "roi_heads.box_predictor.cls_score.weight"
    np.testing.assert_allclose(weights_of(further)[name].numpy(), arrays[name], atol=1e-8)
    zoo.write_bytes(pickle.dumps({"model": {"a": Bomb()}, "__author__": "us"}))
    with pytest.raises(BackendError, match="not a file of plain arrays; it is not loaded"):
        train(tmp_path / "other", data_of(part), pretrained=str(zoo), epochs=1)
    assert not (tmp_path / "exploded").exists()


def test_another_files_sha256_is_an_error(
    part: LabeledImages, trained: Checkpoint, tmp_path: Path
) -> None:
    with pytest.raises(BackendError, match="but pretrained_sha256 says 00000000"):
        train(
            tmp_path / "work",
            data_of(part),
            pretrained=str(trained.weights),
            pretrained_sha256="00000000",
        )


def test_weights_of_another_model_are_refused(part: LabeledImages, tmp_path: Path) -> None:
    other = tmp_path / "other.pth"
    torch.save({"some.weight": torch.ones(3)}, other)
    with pytest.raises(
        BackendError, match=r"other\.pth: it belongs to another model: 0 of the network's 309"
    ):
        train(tmp_path / "work", data_of(part), pretrained=str(other))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"devices": 2}, "cannot honour 'devices'; remove it"),
        ({"freeze": 5}, "a ResNet has 4 stages; set it to 4 or less"),
        ({"loss": {"cross_entropy": 1, "focal": 2}}, "cannot honour a sum of losses"),
        ({"loss": {"name": "focal", "class_weights": {"Glass": 2}}}, "no class 'Glass'; there"),
        ({"sampler": {"name": "oversample", "copies": {"Glass": 2}}}, "no category 'Glass'; there"),
        (
            {"augmentation": ["mosaic"]},
            "detectron2 cannot honour augmentation 'mosaic'; use classes",
        ),
        ({"augmentation": ["HorizontalFlop"]}, "no 'HorizontalFlop'; did you mean HorizontalFlip"),
        (
            {"augmentation": [{"HorizontalFlip": {"q": 1}}]},
            "augmentation: HorizontalFlip takes no 'q'; did",
        ),
        (
            {"anchors": {"sizes": [8]}, "options": {"MODEL.ANCHOR_GENERATOR.SIZES": [[8]]}},
            "'MODEL.ANCHOR_GENERATOR.SIZES' is decided by anchors; remove one",
        ),
    ],
)
def test_a_setting_that_cannot_be_honoured_is_named_before_the_first_step(
    part: LabeledImages, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(BackendError, match=message) as caught:
        train(tmp_path / "work", data_of(part), **changes)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "work" / "metrics.jsonl").exists()


def test_retinanet_refuses_weights_of_classes(part: LabeledImages) -> None:
    with pytest.raises(BackendError, match=r"RetinaNet cannot honour class_weights"):
        config_of(part, RETINANET, loss={"name": "focal", "class_weights": "balanced"})


def test_boxes_that_leave_the_picture_are_left_out(part: LabeledImages) -> None:
    narrow = changed(part, x_min=0.0, x_max=20.0)
    crop = [{"Crop": {"x_min": 32, "y_min": 0, "x_max": 64, "y_max": 40, "p": 1.0}}]
    for sample in samples_of(narrow, 2, augmentation=crop):
        boxes = sample["instances"].gt_boxes.tensor
        assert sample["image"].shape == (3, 40, 32)
        assert len(sample["instances"].gt_classes) == len(boxes) <= 2
        assert bool((boxes[:, 0] >= 0).all())
        assert bool((boxes[:, 2] <= 32).all())
