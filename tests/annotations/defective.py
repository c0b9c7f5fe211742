"""Random annotations with every kind of defect, and random rules to clean them with."""

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from recycling.annotations import IMAGE_CHECKS, from_coco
from recycling.annotations.cleaning.core import Cleaning

RULES = list(Cleaning().order)
HEIGHT, WIDTH = 9, 12
NAMES = ["Glass", "Plastc bag", "Plastic bag", "Bottle"]

_edges = st.sampled_from([-2, 0, 0.1, 1, 2, 3, 5, 5.5, 8, 12, 14])
_sides = st.sampled_from([0, 0.7, 1, 2, 4, 4, 8, 12])
boxes = st.tuples(_edges, _edges, _sides, _sides).map(list)
polygons = st.lists(
    st.sampled_from(
        [
            [1, 1, 6, 1, 6, 5, 1, 5],
            [2, 2, 5, 2, 5, 4, 2, 4],
            [0, 0, 12, 0, 12, 9, 0, 9],
            [3, 0, 15, 0, 15, 4],
            [1, 1, 8, 8, 8, 1, 1, 8],  # crosses itself
            [4, 1, 4, 7, 4, 3],  # a line
            [16, 10, 18, 10, 18, 12],  # outside
            [1, 1, 2, 2],  # no area
        ]
    ),
    min_size=1,
    max_size=2,
)
rles = st.lists(st.integers(0, HEIGHT * WIDTH), max_size=6).map(
    lambda cuts: {
        "size": [HEIGHT, WIDTH],
        "counts": np.diff([0, *sorted(cuts), HEIGHT * WIDTH]).tolist(),
    }
)
segmentations = st.one_of(st.none(), polygons, rles)

_annotations = st.fixed_dictionaries(
    {
        "image_id": st.integers(1, 5),
        "category_id": st.integers(1, len(NAMES)),
        "bbox": boxes,
        "segmentation": segmentations,
    },
    optional={
        "area": st.sampled_from([0, 4, 16.5, 40, 108]),
        "iscrowd": st.sampled_from([0, 0, 0, 1]),
        "source": st.sampled_from(["human", "pseudo", "TACO"]),
        "score": st.sampled_from([0.25, 1]),
        "attributes": st.just({"occluded": True}),
    },
)


@st.composite
def defective(draw, max_annotations=14):
    """Annotations of five images, some of them twice, and what their check has found."""
    entries = draw(st.lists(_annotations, min_size=1, max_size=max_annotations))
    again = draw(st.lists(st.integers(0, len(entries) - 1), max_size=3))
    entries += [entries[place] for place in again]
    ids = draw(st.permutations(range(1, len(entries) + 1)))
    image_ids = draw(st.permutations(range(1, 6)))
    document = {
        "info": {"year": 2021},
        "images": [
            {
                "id": one,
                "file_name": f"{one}.png",
                "width": WIDTH,
                "height": HEIGHT,
                **({"group": draw(st.sampled_from(["a", "b"]))} if draw(st.booleans()) else {}),
            }
            for one in image_ids
        ],
        "categories": [{"id": one + 1, "name": name} for one, name in enumerate(NAMES)],
        "annotations": [{"id": one, **entry} for one, entry in zip(ids, entries, strict=True)],
    }
    problems = [None, None, None, "truncated"]
    looks = {
        "problem": problems,
        "sha256": [None, "a", "b", "c", "d"],
        "phash": [None, "00" * 8, "00" * 7 + "01", "ff" * 8, "f0" * 8],
    }
    checks = pd.DataFrame(
        {
            "image_id": image_ids,
            "file_name": [f"{one}.png" for one in image_ids],
            **{
                name: draw(st.lists(st.sampled_from(values), min_size=5, max_size=5))
                for name, values in looks.items()
            },
        }
    ).reindex(columns=IMAGE_CHECKS.names)
    sizes = st.sampled_from(
        [(None, None), (WIDTH, HEIGHT), (2 * WIDTH, 2 * HEIGHT), (HEIGHT, WIDTH)]
    )
    # Files of the same bytes are of one size.
    size_of = {digest: draw(sizes) for digest in looks["sha256"] if digest}
    seen = [size_of[digest] if pd.notna(digest) else draw(sizes) for digest in checks["sha256"]]
    checks = checks.assign(
        width=[width for width, _ in seen],
        height=[height for _, height in seen],
        orientation=6,
        found_as=[draw(st.sampled_from([None, f"B/{one}.PNG"])) for one in image_ids],
    )
    return from_coco(document, where="test"), IMAGE_CHECKS.conform(checks, where="test")


@st.composite
def cleanings(draw):
    """Rules in a random order, some of them switched on, all with settings that do something."""
    categories = draw(
        st.sampled_from(
            [
                {},
                {"names": {"Plastc bag": "Plastic bag"}},
                {"order": ["Bottle", "Plastic bag"]},
                {"categories": {"Bottle": ["Glass"], "Glass": ["Bottle"]}, "unmapped": "keep"},
                {
                    "categories": {"Plastic bag": ["Plastc bag"], "Metal": ["Bottle"], "Glass": []},
                    "unmapped": "drop",
                },
            ]
        )
    )
    settings = {
        "fix_categories": categories,
        "relabel": {
            "lists": [
                {"reason": "lids", "annotation_ids": [1], "category": "Glass"},
                {
                    "reason": "bags",
                    "annotation_ids": [1],
                    "category": draw(st.sampled_from(["Glass", "Plastic bag"])),
                },
            ]
        },
        "relabel_inside": {
            "rules": [
                {"reason": "in a bag", "container": "Plastic bag", "inside": 0.6},
                {
                    "reason": "in glass",
                    "container": "Glass",
                    "action": "drop",
                    "categories": ["Plastic bag"],
                },
            ]
        },
        "drop_area_range": {"min_area": 5, "max_area": 100},
        "image_size": {"action": draw(st.sampled_from(["drop", "rescale"]))},
        "drop_duplicate_images": {"labels": draw(st.sampled_from(["keep", "drop"]))},
    }
    order = draw(st.permutations(RULES))
    # These boxes are as odd as one that stops a run.
    on = draw(st.sets(st.sampled_from(sorted({*RULES} - {"check_boxes"})), min_size=1))
    switches = {rule: {**settings.get(rule, {}), "enabled": rule in on} for rule in RULES}
    return Cleaning.model_validate({"order": order, **switches})
