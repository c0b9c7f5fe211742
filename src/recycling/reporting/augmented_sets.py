"""The sheet of an augmented set: what was made of what, counts by category, examples."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pandas as pd
from markupsafe import Markup

from recycling.annotations import Annotations, ImageFolder, LabeledImages, to_label_map
from recycling.augmented_sets import AugmentedSet
from recycling.reporting.grids import grid_with_legend, read_image
from recycling.reporting.layout import RgbImage, image_grid, scaled, titled
from recycling.reporting.overlays import label_map_panel, truth_panel
from recycling.reporting.pages import render_image, render_list, render_page, render_table

_EXAMPLES, _COPIES = 3, 3  # images that are shown, and copies of each
_WIDTH = 1200  # pixels; as wide as the page


def augmented_sheet(augmented_set: AugmentedSet, originals: LabeledImages) -> str:
    """The sheet of an augmented set.

    Args:
        augmented_set: The set.
        originals: What it was made of.

    Returns:
        A page of HTML in UTF-8 that loads nothing.
    """
    sheet = augmented_set.sheet
    settings = sheet["settings"]
    transforms = pd.DataFrame(
        [
            {"transform": name, "arguments": json.dumps(arguments) if arguments else ""}
            for entry in settings["transforms"]
            for name, arguments in entry.items()
        ]
    )
    sentences = [
        f"{settings['factor']} copies of each of {sheet['images']:,} training images: "
        f"{sheet['copies']:,} images, drawn with seed {settings['seed']}",
        f"they are in {augmented_set.folder.name}, which is named by the hash of images, "
        "annotations, settings and versions ("
        + ", ".join(f"{name} {version}" for name, version in sheet["versions"].items())
        + ")",
        "a model that holds a fold out learns from the copies of the other folds' images only, "
        "and is scored on originals",
        f"an object is dropped where a transform leaves less than {settings['min_visibility']:.0%} "
        "of its box in the image, a side of less than a pixel, or no pixel of its mask",
    ]
    panels = [
        ("What was made", [render_list(sentences)]),
        ("Transforms, in this order", [render_table(transforms, {})]),
        ("Objects", [_counts(sheet["categories"])]),
        ("Originals, and copies of them",
         [render_image(scaled(image, min(1.0, _WIDTH / image.shape[1])), heading)
          for heading, image in _examples(augmented_set, originals)]),
    ]  # fmt: skip
    return render_page("Augmented set", panels)


def _counts(categories: Sequence[dict[str, object]]) -> Markup:
    table = pd.DataFrame(categories)
    made = table["copies"] + table["dropped"]
    table["share dropped"] = (table["dropped"] / made.where(made > 0)).astype("float64")
    numbers = dict.fromkeys(("originals", "copies", "dropped"), ",")
    return render_table(table, {**numbers, "share dropped": ".1%"})


def _examples(augmented_set: AugmentedSet, originals: LabeledImages) -> list[tuple[str, RgbImage]]:
    """Some originals, each in a row with copies of it: their boxes and, if any, their masks."""
    images = originals.annotations.images
    shown = images.iloc[np.unique(np.linspace(0, len(images) - 1, _EXAMPLES).round().astype(int))]
    copies = augmented_set.copies_of(shown["image_id"].tolist(), made_up_regions=True)
    rows = [
        (part.folder, part.annotations.of_images([image_id]), title)
        for original in shown["image_id"].tolist()
        for part, image_id, title in [
            (originals, original, "original"),
            *((copies, copy, f"copy {number}") for number, copy in enumerate(
                _copies(augmented_set, original)[:_COPIES], 1)),
        ]
    ]  # fmt: skip
    width = 1 + min(_COPIES, augmented_set.sheet["settings"]["factor"])
    found = [("boxes", image_grid([_boxes(*row) for row in rows], width))]
    if originals.annotations.annotations["segmentation"].notna().any():
        maps = [(*row, to_label_map(row[1], _image_id(row[1]))) for row in rows]
        values = {value for *_, label_map in maps for value in np.unique(label_map).tolist()}
        panels = [
            label_map_panel(_image(folder, tables), label_map, tables.categories, title)
            for folder, tables, title, label_map in maps
        ]
        found.append(
            ("masks", grid_with_legend(panels, width, values, originals.annotations.categories))
        )
    return found


def _copies(augmented_set: AugmentedSet, image_id: int) -> list[int]:
    sources = augmented_set.sources
    return [int(copy) for copy in sources.index[sources == image_id]]


def _image_id(tables: Annotations) -> int:
    return int(tables.images["image_id"].iloc[0])


def _image(folder: ImageFolder, tables: Annotations) -> RgbImage:
    return read_image(folder, str(tables.images["file_name"].iloc[0]))


def _boxes(folder: ImageFolder, tables: Annotations, title: str) -> RgbImage:
    objects = tables.objects().annotations
    panel = truth_panel(_image(folder, tables), objects, tables.categories)
    return titled(panel, title)
