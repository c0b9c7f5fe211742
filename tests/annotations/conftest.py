"""A small COCO document with every form that an annotation can have."""

import copy

import pytest

DOCUMENT = {
    "info": {"year": 2021, "note": None},
    "licenses": [{"id": 1, "name": "CC BY 4.0"}],
    "images": [
        {"id": 1, "file_name": "train/a.png", "width": 8, "height": 6, "license": 1},
        {"id": 2, "file_name": "b.png", "width": 8, "height": 6, "group": "shot"},
        {"id": 3, "file_name": "c.png", "width": 8, "height": 6, "group": 3},
    ],
    "annotations": [
        {
            "id": 1,
            "image_id": 1,
            "category_id": 0,
            "bbox": [1, 1, 4, 3],
            "area": 12.0,
            "iscrowd": 0,
            "segmentation": [[1, 1, 5, 1, 5, 4, 1, 4]],
            "attributes": {"occluded": True},
        },
        {
            "id": 2,
            "image_id": 1,
            "category_id": 1,
            "bbox": [0.1, 0.2, 0.7, 0.3],
            "segmentation": None,
            "area": None,
        },
        {
            "id": 3,
            "image_id": 2,
            "category_id": 1,
            "bbox": [0, 0, 8, 6],
            "area": 6,
            "iscrowd": 1,
            "segmentation": {"size": [6, 8], "counts": [0, 6, 42]},
            "source": "pseudo",
            "score": 0.25,
        },
        {
            "id": 4,
            "image_id": 2,
            "category_id": 0,
            "bbox": [1, 0, 1, 6],
            "iscrowd": False,
            "segmentation": {"size": [6, 8], "counts": "66T1"},
            "source": "human",
            "score": 1,
        },
        {"id": 5, "image_id": 3, "category_id": 0, "bbox": [2, 2, 0, 5], "segmentation": []},
    ],
    "categories": [
        {"id": 0, "name": "Glass", "supercategory": "Waste"},
        {"id": 1, "name": "Paper", "keypoints": ["corner"]},
        {"id": 2, "name": "Metal", "supercategory": None},
        {"id": 3, "name": "Battery", "supercategory": ""},
    ],
    "scene_annotations": [{"image_id": 1, "background_ids": [1]}],
}


@pytest.fixture
def document():
    return copy.deepcopy(DOCUMENT)
