"""CutMix and copy-paste: labels are those of the pixels; mosaic is off in the last epochs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from backends.loaded_trainings import samples_of, sha256
from backends.tiny_trainings import model_of, train
from recycling.annotations import LabeledImages
from recycling.backends.mmengine_backend import session

torch = pytest.importorskip("torch")

BLUE, YELLOW = (250, 40, 40), (40, 250, 250)  # BGR of boxes and discs


def painted(image: Any) -> Any:
    """A label map of a picture, read off its colours: 1 boxes, 2 discs."""
    found = np.zeros(image.shape[:2], np.uint8)
    for value, colour in ((1, BLUE), (2, YELLOW)):
        found[(np.abs(image.astype(int) - colour) < 30).all(axis=2)] = value
    return found


@pytest.mark.parametrize("name", ["cutmix", "copy_paste"])
def test_labels_of_mixed_masks_are_those_of_the_pixels(
    name: str, pictures: LabeledImages, tmp_path: Path
) -> None:
    """The images are trained at the size that they have, so that no colour is mixed by scaling."""
    _, data = samples_of("mmseg", pictures, tmp_path, augmentation=[name], image_size=80)
    mixed = 0
    with session.library("mmseg"):
        np.random.seed(0)
        alone = {int(painted(one).sum()) for one in (
            cv2.imread(str(pictures.folder.path / f"{n}.png")) for n in range(1, 9))}  # fmt: skip
        for index in [n % 8 for n in range(32)]:
            sample = data[index]
            image = sample["inputs"].numpy().transpose(1, 2, 0)
            labels = sample["data_samples"].gt_sem_seg.data.numpy()[0]
            seen = painted(image)
            # Discs are annotated by the square around them: what is a disc is labelled as one, and
            # all that is labelled as a box is one.
            assert (labels[seen == 2] == 2).mean() > 0.99
            assert (seen[labels == 1] == 1).mean() > 0.95
            mixed += int(seen.sum()) not in alone
    assert mixed > 10


@pytest.mark.parametrize(("most", "drawn"), [(1, {0, 1}), (2, {0, 1, 2}), (100, {0, 1, 2, 3})])
def test_none_to_the_most_regions_are_pasted(most: int, drawn: set[int]) -> None:
    from recycling.backends.mmengine_backend.augmentations.copy_paste_maps import PasteRegions

    pasted = np.zeros((4, 12), np.uint8)
    pasted[1:3, [1, 5, 9]] = 1
    empty = {"img": np.zeros((4, 12, 3), np.uint8), "gt_seg_map": np.zeros((4, 12), np.uint8)}
    other = {**empty, "gt_seg_map": pasted}
    np.random.seed(0)
    paste = PasteRegions(most)
    found = {
        int(paste.transform({**empty, "mix_results": [other]})["gt_seg_map"].sum()) // 2
        for _ in range(60)
    }
    assert found == drawn


@pytest.mark.parametrize("masks", [False, True])
def test_boxes_of_a_cut_mix_are_those_of_the_pixels(masks: bool) -> None:
    from mmdet.structures.bbox import HorizontalBoxes
    from mmdet.structures.mask import BitmapMasks

    from recycling.backends.mmengine_backend.augmentations.cut_mix import CutMixBoxes

    rng = np.random.default_rng(0)
    np.random.seed(1)
    dropped = shrunk = 0

    def drawn(label: int, height: int, width: int) -> tuple[dict[str, Any], Any]:
        """An image whose pixels say which object is there; objects do not overlap."""
        owner = np.zeros((height, width), np.uint8)
        boxes = []
        for column in range(3):
            x, y = column * width // 3 + 2, int(rng.integers(0, height - 22))
            w, h = int(rng.integers(8, 18)), int(rng.integers(8, 20))
            owner[y : y + h, x : x + w] = 10 * label + column
            boxes.append([x, y, x + w, y + h])
        sample = {
            "img": np.repeat(owner[..., None], 3, axis=2),
            "gt_bboxes": HorizontalBoxes(np.array(boxes, np.float32)),
            "gt_bboxes_labels": np.array([10 * label + column for column in range(3)]),
            "gt_ignore_flags": np.array([False, True, False]),
        }
        if masks:
            of_objects = np.stack([(owner == each) for each in sample["gt_bboxes_labels"]])
            sample["gt_masks"] = BitmapMasks(of_objects.astype(np.uint8), height, width)
        return sample, owner

    mix = CutMixBoxes(min_visibility=0.25)
    for _ in range(60):
        own, before = drawn(1, 64, 80)
        other, others = drawn(2, 70, 72)
        whole = {label: int((each == label).sum()) for each in (before, others)
                 for label in np.unique(each) if label}  # fmt: skip
        made = mix.transform({**own, "mix_results": [other]})
        owner = made["img"][..., 0]
        assert owner.shape == (64, 80)
        kept = {label for label, n in whole.items() if (owner == label).sum() >= 0.25 * n}
        assert set(made["gt_bboxes_labels"].tolist()) == kept
        dropped += len(whole) - len(kept)
        for label, box, flag in zip(
            made["gt_bboxes_labels"].tolist(),
            made["gt_bboxes"].tensor.numpy(),
            made["gt_ignore_flags"],
            strict=True,
        ):
            ys, xs = np.nonzero(owner == label)
            assert box.tolist() == [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
            assert flag == (label % 10 == 1)
            shrunk += (owner == label).sum() < whole[label]
        if masks:
            for label, mask in zip(made["gt_bboxes_labels"], made["gt_masks"].masks, strict=True):
                np.testing.assert_array_equal(mask > 0, owner == label)
    assert dropped > 20
    assert shrunk > 20


def test_a_cut_mix_of_a_training_keeps_boxes_within_the_image(
    pictures: LabeledImages, tmp_path: Path
) -> None:
    entries = [{"cutmix": {"alpha": 2.0, "min_visibility": 0.5, "p": 1.0}}]
    _, data = samples_of("mmdet", pictures, tmp_path, augmentation=entries)
    with session.library("mmdet"):
        samples = [data[index] for index in range(8)]
    counts = set()
    for sample in samples:
        boxes = sample["data_samples"].gt_instances.bboxes
        counts.add(len(boxes))
        tensor = boxes.tensor if hasattr(boxes, "tensor") else boxes
        assert (tensor[:, 2:] - tensor[:, :2] >= 1).all()
        assert tensor.min() >= 0
    assert len(counts) > 1


@pytest.mark.parametrize(
    ("backend", "workers"),
    [("mmdet", 0), ("mmseg", 0), pytest.param("mmdet", 2, marks=pytest.mark.slow)],
)
def test_mosaic_is_off_in_the_last_epochs(
    backend: str, workers: int, pictures: LabeledImages, tmp_path: Path
) -> None:
    """As the loader of a training asks: the epoch is that of all loader processes."""
    from mmengine.registry import DATASETS

    mixes = ["mosaic", {"mixup": {"p": 1.0}}] if backend == "mmdet" else ["mosaic"]
    settings = {"epochs": 5, "mosaic_off_epochs": 2}
    (tmp_path / "off").mkdir()
    config, _ = samples_of(
        backend, pictures, tmp_path / "off", augmentation=[*mixes, "HorizontalFlip"], **settings
    )
    _, plain = samples_of(backend, pictures, tmp_path / "plain", augmentation=[])
    with session.library(backend):
        seeded = DATASETS.build(
            {"type": "SeededByEpoch", "dataset": config.train_dataloader.dataset, "seed": 0}
        )
        originals = [plain[n]["inputs"].numpy() for n in range(8)]
        loader = torch.utils.data.DataLoader(
            seeded,
            num_workers=workers,
            persistent_workers=workers > 0,
            sampler=range(8),
            collate_fn=list,
        )
        for epoch in range(5):
            seeded.epoch.fill_(epoch)
            same = []
            for n, (sample,) in enumerate(loader):
                image = sample["inputs"].numpy()
                either = (originals[n], originals[n][:, :, ::-1])
                same.append(any(np.array_equal(image, one) for one in either))
            assert all(same) if epoch >= 3 else not any(same)


def test_yolox_learns_with_its_l1_loss_in_the_last_epochs_only_also_after_a_stop(
    pictures: LabeledImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mmdet.models.dense_heads import YOLOXHead

    seen: list[bool] = []
    losses = YOLOXHead.loss_by_feat

    def noted(self: Any, *arguments: Any, **settings: Any) -> Any:
        found = losses(self, *arguments, **settings)
        seen.append("loss_l1" in found)
        assert ("loss_l1" in found) == self.use_l1
        return found

    monkeypatch.setattr(YOLOXHead, "loss_by_feat", noted)
    settings: dict[str, Any] = {
        "augmentation": ["mosaic"], "epochs": 4, "mosaic_off_epochs": 2, "batch_size": 8
    }  # fmt: skip
    whole = train("mmdet", pictures, tmp_path / "whole", **settings)
    # Sixteen pictures, eight a step.
    assert seen == [False] * 4 + [True] * 4
    stopped = []

    def stop(self: Any, *arguments: Any, **more: Any) -> Any:
        stopped.append(1)
        if len(stopped) == 7:  # in the last epoch
            raise KeyboardInterrupt
        return noted(self, *arguments, **more)

    monkeypatch.setattr(YOLOXHead, "loss_by_feat", stop)
    with pytest.raises(KeyboardInterrupt):
        train("mmdet", pictures, tmp_path / "again", **settings)
    monkeypatch.setattr(YOLOXHead, "loss_by_feat", noted)
    seen.clear()
    again = train("mmdet", pictures, tmp_path / "again", **settings)
    assert seen == [True, True]
    assert sha256(again) == sha256(whole)


@pytest.mark.parametrize(
    ("backend", "settings", "said"),
    [
        ("mmdet", {"mosaic_off_epochs": 1}, "augmentation has no mosaic and no mixup"),
        ("mmdet", {"mosaic_off_epochs": 3, "augmentation": ["mosaic"]}, "there are 3 epochs"),
        ("mmpretrain", {"mosaic_off_epochs": 1, "augmentation": ["mixup"]}, "no mosaic"),
        ("mmdet", {"mosaic_off_epochs": 1, "augmentation": ["mosaic"],
                   "early_stopping": {"patience": 1}}, "leave one of them out"),
        ("mmdet", {"dropout": 0.1}, "no detector has a layer of it"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_meant_are_refused(
    backend: str, settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        model_of(backend, **{"epochs": 3, **settings})
