"""Label Studio: what is read fits its schemas, and lies on an image below the folder."""

from __future__ import annotations

import json

from fuzz.core import Target, refusal
from fuzz.mutations import mutated
from fuzz.sample_files import annotations, folder
from recycling.annotations import (
    AnnotationError,
    joined,
    label_maps,
    read_label_studio,
    write_label_studio,
)
from recycling.annotations.formats.label_studio import Control


def target() -> Target:
    path, there = folder() / "labelled.json", annotations()
    examples = [_answered("RectangleLabels"), _answered("PolygonLabels"), _answered("Choices")]

    def read(content: bytes) -> None:
        path.write_bytes(content)
        found = read_label_studio(path, folder() / "images")
        found.conform()
        assert set(found.images["file_name"]) <= set(there.images["file_name"])
        assert len(list(label_maps(found).values())) == len(found.images)
        both = joined(there, found)
        assert len(both.images) == len(there.images)

    return Target("label_studio", mutated(examples), read, refusal(AnnotationError))


def _answered(control: Control) -> bytes:
    """What is exported where a person has accepted what was proposed."""
    there = annotations()
    sure = dict.fromkeys(there.images["image_id"].tolist(), 0.5)
    write_label_studio(there, folder() / "tasks", control, sure, images="images")
    tasks = json.loads((folder() / "tasks/tasks.json").read_text())
    answers = [
        {"id": number, "data": task["data"], "annotations": [{"result": each["result"][:3]}]}
        for number, task in enumerate(tasks)
        for each in task["predictions"]
    ]
    return json.dumps(answers).encode()
