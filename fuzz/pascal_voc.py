"""Pascal VOC: what is read fits its schemas, and its boxes come back."""

from __future__ import annotations

from fuzz.core import Target, refusal
from fuzz.mutations import mutated
from fuzz.sample_files import annotations, folder
from recycling.annotations import AnnotationError, label_maps, read_pascal_voc, write_pascal_voc


def target() -> Target:
    labels = folder() / "voc"
    write_pascal_voc(annotations(), labels)
    files = sorted(labels.rglob("*.xml"))
    examples = [path.read_bytes() for path in files]
    declared = [b'<?xml version="1.0" encoding="utf-16"?>\n' + text for text in examples]

    def read(content: bytes) -> None:
        files[0].write_bytes(content)
        found = read_pascal_voc(labels, folder() / "images")
        found.conform()
        if (found.images["width"] * found.images["height"] < 10**7).all():
            assert len(list(label_maps(found).values())) == len(found.images)

    return Target("pascal_voc", mutated([*examples, *declared[:1]]), read, refusal(AnnotationError))
