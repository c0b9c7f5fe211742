"""Label errors that are known: planted in drawn labels, and what of them a ranking finds."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from clone import copy_project
from recycling.annotations import BOX, Cleaning
from recycling.diagnostics.label_errors.core import KINDS, iou
from recycling.evaluation.bootstrap import draw_images
from recycling.sample import SampleSettings, generate_sample

NAMES = ("Glass", "Metal", "Paper", "Plastic")
FOUND_AT = 0.5
"""The intersection over union from which on a candidate is where a label is missing."""

_LEAST_AREA = 0.02  # of the image: large enough for a person to see the mistake
_SHIFTS = (0.2, 0.4)  # of the box's width and height
_MOST_OVERLAP = 0.6  # intersection over union of a box with where it is moved to
_TRIES = 200


def drawn_labels(n_images: int, seed: int) -> dict[str, Any]:
    """A COCO dictionary of three objects of some category on each image, apart from one another."""
    rng = np.random.default_rng(seed)
    images, annotations = [], []
    for image_id in range(1, n_images + 1):
        images.append({"id": image_id, "file_name": f"{image_id}.png", "width": 120, "height": 100})
        for column in range(3):
            x, y = 40 * column + rng.uniform(0, 8), rng.uniform(0, 60)
            width, height = rng.uniform(20, 30, 2).tolist()
            corners = [x, y, x + width, y, x + width, y + height, x, y + height]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": int(rng.integers(len(NAMES))) + 1,
                    "bbox": [x, y, width, height],
                    "area": width * height,
                    "segmentation": [corners],
                    "iscrowd": 0,
                }
            )
    categories = [{"id": number, "name": name} for number, name in enumerate(NAMES, 1)]
    return {"images": images, "annotations": annotations, "categories": categories}


def planted(document: dict[str, Any], seed: int, n_each: int) -> tuple[dict[str, Any], list[Any]]:
    """A copy of right labels with errors, as many of each of four kinds, and the list of these.

    ``wrong_class``: another category. ``missed``: a label is gone. ``badly_placed``: box and mask
    are moved by a fifth to two fifths of the box's sides. ``spurious``: a box where nothing
    is. No image has two; objects that are changed cover 2 % of their image or more.

    They are drawn in another way than `label_errors.planting` does, so that scores are not tested
    on what weighs them.

    Returns:
        The labels, and one entry an error: `kind`, `image_id`, `annotation_id`, `bbox` (COCO's, as
        it was or, of a spurious one, is) and `right_category`, where there is one.
    """
    wrong = copy.deepcopy(document)
    planting = _Planting(wrong, np.random.default_rng(seed))
    plants = (planting.wrong_class, planting.missed, planting.badly_placed, planting.spurious)
    return wrong, [plant() for plant in plants for _ in range(n_each)]


def found_ranks(errors: pd.DataFrame, planted: list[dict[str, Any]]) -> pd.DataFrame:
    """The rank of each planted error among the candidates, from 1, and whether its kind is right.

    An error of a label is found where the label is; a missing one, where a missing one is at its
    place. NaN where it is nowhere.
    """
    rows = []
    missed = errors["kind"] == "missed"
    for error in planted:
        if error["kind"] == "missed":
            x, y, width, height = error["bbox"]
            box = np.array([[x, y, x + width, y + height]])
            overlap = iou(box, errors[BOX].to_numpy(dtype=np.float64))[0]
            here = missed & (errors["image_id"] == error["image_id"]) & (overlap >= FOUND_AT)
        else:
            here = (errors["annotation_id"] == error["annotation_id"]).fillna(False)
        places = np.flatnonzero(here.to_numpy(dtype=bool))
        rows.append(
            {
                "kind": error["kind"],
                "image_id": error["image_id"],
                "rank": places[0] + 1 if len(places) else np.nan,
                "right_kind": bool(len(places)) and errors["kind"].iloc[places[0]] == error["kind"],
            }
        )
    return pd.DataFrame(rows)


def report(
    errors: pd.DataFrame, planted: list[dict[str, Any]], images: list[int], first: int
) -> pd.DataFrame:
    """Recall by kind, and precision by the kind that is said, of the first candidates.

    With intervals of 95 % over images, which are drawn with replacement 1,000 times; the
    candidates that are looked at stay the same.
    """
    ranks = found_ranks(errors, planted)
    ranks["found"] = ranks["rank"] <= first
    head = errors.head(first).reset_index(drop=True)
    hits = set(ranks.loc[ranks["found"], "rank"].astype(int))
    shown = pd.DataFrame(
        {"kind": head["kind"], "image_id": head["image_id"],
         "found": [place + 1 in hits for place in range(len(head))]}
    )  # fmt: skip
    draws = draw_images(len(images), n_draws=1000)
    rows = []
    for kind in (*KINDS, "all"):
        row: dict[str, Any] = {"kind": kind}
        for name, table in (("recall", ranks), ("precision", shown)):
            own = table if kind == "all" else table[table["kind"] == kind]
            row |= {f"{name}_of": len(own), name: own["found"].mean()}
            counts = [
                own.groupby("image_id")["found"].agg(how).reindex(images, fill_value=0).to_numpy()
                for how in ("sum", "size")
            ]
            with np.errstate(invalid="ignore", divide="ignore"):
                drawn = (draws @ counts[0]) / (draws @ counts[1])
            if np.isfinite(drawn).any():
                row[f"{name}_low"], row[f"{name}_high"] = np.nanquantile(drawn, [0.025, 0.975])
        rows.append(row)
    return pd.DataFrame(rows).set_index("kind")


def planted_project(
    target: Path, *, n_images: int, n_each: int, n_splits: int, models: dict[str, Any]
) -> Path:
    """A project with a sample whose only defects are planted label errors, and no cleaning.

    Its list of errors is ``planted.json``.
    """
    project = copy_project(target)
    folder = project / "data/01_raw/sample"
    settings = SampleSettings(train_images=n_images, pool_images=12, test_images=12)
    generate_sample(folder, settings)
    train = json.loads((folder / "train.json").read_text())
    right = _without_defects(train, json.loads((folder / "defects.json").read_text()))
    wrong, errors = planted(right, seed=7, n_each=n_each)
    (folder / "train.json").write_text(json.dumps(wrong))
    (project / "planted.json").write_text(json.dumps(errors))
    path = project / "conf/base/models.yml"
    known = yaml.safe_load(path.read_text())["models"]
    chosen = {
        name: {**known[name], **further, "folds": list(range(n_splits))}
        for name, further in models.items()
    }
    path.write_text(yaml.safe_dump({"models": chosen}))
    off = {rule: {"enabled": False} for rule in Cleaning().order}
    rules = {"cleaning": dict.fromkeys(("train", "pool", "test"), off)}
    splitting = yaml.safe_load((project / "conf/base/parameters_splitting.yml").read_text())
    splitting["splitting"]["n_splits"] = n_splits
    (project / "conf/local").mkdir(exist_ok=True)
    for name, parameters in (("cleaning", rules), ("splitting", splitting)):
        path = project / f"conf/local/parameters_{name}.yml"
        path.write_text(yaml.safe_dump(parameters))
    return project


def _without_defects(train: dict[str, Any], defects: list[dict[str, Any]]) -> dict[str, Any]:
    """The images of the sample's training part that have no planted defect."""
    of_annotation = {own["id"]: own["image_id"] for own in train["annotations"]}
    bad = {defect["image_id"] for defect in defects if "image_id" in defect}
    bad |= {of_annotation[own] for defect in defects for own in defect.get("annotation_ids", ())}
    used = {own["category_id"] for own in train["annotations"] if own["image_id"] not in bad}
    return {
        **train,
        "images": [own for own in train["images"] if own["id"] not in bad],
        "annotations": [own for own in train["annotations"] if own["image_id"] not in bad],
        "categories": [own for own in train["categories"] if own["id"] in used],
    }


class _Planting:
    """A set of labels, and which of its images have no error yet."""

    def __init__(self, train: dict[str, Any], rng: np.random.Generator) -> None:
        self.train, self.rng = train, rng
        images = train["images"]
        self.free = [images[place] for place in rng.permutation(len(images))]
        self.names = {own["id"]: own["name"] for own in train["categories"]}
        # Above all that there were: the id of a label that is gone is not given again.
        self.next_id = max(own["id"] for own in train["annotations"]) + 1

    def wrong_class(self) -> dict[str, Any]:
        image, label = self._take()
        error = self._error("wrong_class", image, label)
        others = [own for own in self.names if own != label["category_id"]]
        label["category_id"] = others[int(self.rng.integers(len(others)))]
        return error

    def missed(self) -> dict[str, Any]:
        image, label = self._take()
        self.train["annotations"].remove(label)
        return self._error("missed", image, label)

    def badly_placed(self) -> dict[str, Any]:
        image, label = self._take()
        x, y, width, height = label["bbox"]
        limits = (image["width"] - width, image["height"] - height)
        moves = [
            self._shift(start, side, limit)
            for start, side, limit in zip((x, y), (width, height), limits, strict=True)
        ]
        share = (1 - abs(moves[0]) / width) * (1 - abs(moves[1]) / height)
        if share / (2 - share) > _MOST_OVERLAP:  # there is no room: the next one
            return self.badly_placed()
        error = self._error("badly_placed", image, label)
        label["bbox"] = [x + moves[0], y + moves[1], width, height]
        label["segmentation"] = [
            [corner + moves[place % 2] for place, corner in enumerate(outline)]
            for outline in label["segmentation"]
        ]
        return error

    def _shift(self, start: float, side: float, limit: float) -> float:
        """By how much to move an edge: away from the nearer border of the image."""
        far = limit - start > start
        room = limit - start if far else start
        move = min(round(side * self.rng.uniform(*_SHIFTS)), room)
        return float(move if far else -move)

    def spurious(self) -> dict[str, Any]:
        image, like = self._take()
        width, height = like["bbox"][2:]
        boxes = np.array([own["bbox"] for own in self._on(image)])
        for _ in range(_TRIES):
            x = float(self.rng.integers(0, image["width"] - int(width) + 1))
            y = float(self.rng.integers(0, image["height"] - int(height) + 1))
            apart = (
                (boxes[:, 0] >= x + width) | (boxes[:, 0] + boxes[:, 2] <= x)
                | (boxes[:, 1] >= y + height) | (boxes[:, 1] + boxes[:, 3] <= y)
            )  # fmt: skip
            if apart.all():
                return self._add(image, [x, y, width, height])
        return self.spurious()  # this image is full: the next one

    def _add(self, image: dict[str, Any], box: list[float]) -> dict[str, Any]:
        x, y, width, height = box
        corners = [x, y, x + width, y, x + width, y + height, x, y + height]
        category = list(self.names)[int(self.rng.integers(len(self.names)))]
        label = {
            "id": self.next_id,
            "image_id": image["id"],
            "category_id": category,
            "bbox": box,
            "area": width * height,
            "segmentation": [corners],
            "iscrowd": 0,
        }
        self.next_id += 1
        self.train["annotations"].append(label)
        return {**self._error("spurious", image, label), "right_category": None}

    def _take(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The next image, and one of its objects that is large enough."""
        while self.free:
            image = self.free.pop()
            least = _LEAST_AREA * image["width"] * image["height"]
            large = [own for own in self._on(image) if own["area"] >= least]
            if large:
                return image, large[int(self.rng.integers(len(large)))]
        raise ValueError("too few images to plant label errors")

    def _on(self, image: dict[str, Any]) -> list[dict[str, Any]]:
        return [own for own in self.train["annotations"] if own["image_id"] == image["id"]]

    def _error(self, kind: str, image: dict[str, Any], label: dict[str, Any]) -> dict[str, Any]:
        return {
            "kind": kind,
            "image_id": image["id"],
            "annotation_id": label["id"],
            "bbox": list(label["bbox"]),
            "right_category": self.names[label["category_id"]],
        }
