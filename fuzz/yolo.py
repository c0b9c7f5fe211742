"""YOLO: labels and the file that names the classes; what is read fits its schemas."""

from __future__ import annotations

from hypothesis import strategies as st

from fuzz.core import Target, refusal
from fuzz.mutations import mutated
from fuzz.sample_files import annotations, folder
from recycling.annotations import AnnotationError, label_maps, read_yolo, write_yolo


def target() -> Target:
    labels, names = folder() / "yolo", folder() / "data.yaml"
    write_yolo(annotations(), labels, names)
    files = sorted(labels.rglob("*.txt"))
    right, right_names = files[0].read_bytes(), names.read_bytes()
    boxes = b"0 0.5 0.5 0.2 0.2\n1 0.1 0.1 0.1 0.1 \n\n2 0.1 0.1 0.2 0.1 0.2 0.2\n"
    listed = b"nc: 2\nnames: [Paper, 'no']\n"

    def read(content: tuple[bytes, bytes, bool]) -> None:
        files[0].write_bytes(content[0])
        names.write_bytes(content[1])
        found = read_yolo(labels, folder() / "images", names, scores=content[2])
        found.conform()
        assert len(list(label_maps(found).values())) == len(found.images)

    texts, namings = st.just(right), st.just(right_names)
    inputs = st.tuples(mutated([right, boxes]), namings, st.booleans()) | st.tuples(
        texts, mutated([right_names, listed]), st.just(False)
    )
    return Target("yolo", inputs, read, refusal(AnnotationError))
