"""COCO: what is read fits its schemas, and comes back when it is written and read again."""

from __future__ import annotations

from pandas.testing import assert_frame_equal

from fuzz.core import Target, refusal
from fuzz.mutations import mutated
from fuzz.sample_files import annotations, folder
from recycling.annotations import AnnotationError, label_maps, read_coco, write_coco

LARGEST = 10**7
"""Pixels of a label map that is painted, so that many are."""


def target() -> Target:
    path, again = folder() / "a.json", folder() / "again.json"
    write_coco(annotations(), path)
    plain = path.read_bytes()
    crowd = plain.replace(b'"iscrowd":0', b'"iscrowd":1', 1)
    small = (
        b'{"images": [{"id": 1, "file_name": "a.png", "width": 9, "height": 8, "group": "x"}], '
        b'"categories": [{"id": 0, "name": "Paper", "supercategory": "waste"}], "annotations": ['
        b'{"id": 1, "image_id": 1, "category_id": 0, "bbox": [1, 1, 4.5, 4], "area": 18, '
        b'"segmentation": [[1, 1, 5, 1, 5, 5]], "iscrowd": 0, "score": 0.5, "source": "pseudo"}, '
        b'{"id": 2, "image_id": 1, "category_id": 0, "bbox": [0, 0, 2, 2], '
        b'"segmentation": {"size": [8, 9], "counts": [0, 2, 70]}, "iscrowd": 1}], "info": {}}'
    )

    def read(content: bytes) -> None:
        path.write_bytes(content)
        found = read_coco(path)
        found.conform()
        sizes = found.images[["height", "width"]].astype(float).prod(axis=1)
        drawable = found.of_images(found.images["image_id"][sizes < LARGEST])
        for image_id, drawn in label_maps(drawable).items():
            row = drawable.images.set_index("image_id").loc[image_id]
            assert drawn.shape == (row["height"], row["width"])
        write_coco(found, again)
        back = read_coco(again)
        for name in ("images", "annotations", "categories"):
            assert_frame_equal(getattr(found, name), getattr(back, name))

    return Target("coco", mutated([small, small, plain, crowd]), read, refusal(AnnotationError))
