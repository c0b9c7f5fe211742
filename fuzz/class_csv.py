"""CSV files of labels: what is read fits its schemas, and names files that are there."""

from __future__ import annotations

from fuzz.core import Target, refusal
from fuzz.mutations import mutated
from fuzz.sample_files import annotations, folder
from recycling.annotations import AnnotationError
from recycling.annotations.formats.class_labels import read_class_csv
from recycling.annotations.formats.unlabelled_images import read_unlabelled_images


def target() -> Target:
    path, images = folder() / "labels.csv", folder() / "images"
    first, second = annotations().images["file_name"]
    plain = f"file_name,label\n{first},Paper\n{second},Metal\n".encode()
    quoted = f'"label","file_name","score"\r\n"a ""b""","{first}",1\r\n'.encode()

    def read(content: bytes) -> None:
        path.write_bytes(content)
        found = read_class_csv(path, images)
        found.conform()
        assert len(found.annotations) == len(found.images)
        assert all((images / name).is_file() for name in found.images["file_name"])
        named = read_unlabelled_images(images, names=path)
        assert set(named.images["file_name"]) == set(found.images["file_name"])

    return Target("class_csv", mutated([plain, quoted]), read, refusal(AnnotationError))
