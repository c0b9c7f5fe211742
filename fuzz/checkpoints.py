"""Checkpoints: what they say of their network is built, or refused in one line."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from fuzz.core import Target, refusal
from fuzz.mutations import mutated
from fuzz.sample_files import IMAGES, annotations, folder
from recycling.annotations import ImageFolder, LabeledImages
from recycling.backends import BackendError, Checkpoint, Model, TrainingData, backend_for
from recycling.backends.mmengine_backend import session
from recycling.backends.mmengine_backend.config_file import CONFIG
from recycling.backends.mmengine_backend.network import load_network
from recycling.backends.shared.checkpoint_folder import FACTS, read_facts
from recycling.backends.shared.failing_step import enough_memory

RECIPE = """
_base_ = "mmpretrain::resnet/resnet18_8xb32_in1k.py"
model = dict(backbone=dict(base_channels=8, stem_channels=8), head=dict(in_channels=64))
"""


def target() -> Target:
    checkpoint = _trained()
    paths = [checkpoint.folder / name for name in (FACTS, CONFIG)]
    right = [path.read_bytes() for path in paths]

    def read(content: tuple[bytes, bytes]) -> None:
        for path, text in zip(paths, content, strict=True):
            path.write_bytes(text)
        assert isinstance(checkpoint.facts, dict)
        assert all(isinstance(name, str) for name in checkpoint.category_names)
        trained = read_facts(checkpoint, CONFIG)
        with session.library("mmpretrain"), enough_memory(checkpoint.folder):
            network = load_network(checkpoint, trained, "mmpretrain")
        assert network.views

    inputs = st.tuples(mutated(right[:1]), st.just(right[1])) | st.tuples(
        st.just(right[0]), mutated(right[1:])
    )
    return Target("checkpoints", inputs, read, refusal(BackendError))


def _trained() -> Checkpoint:
    """What a training of one step leaves."""
    recipe = folder() / "small.py"
    recipe.write_text(RECIPE)
    tables = annotations()
    labelled = LabeledImages(
        replace(tables, annotations=tables.annotations.head(4)), ImageFolder(IMAGES)
    )
    model = Model(
        task="cls", backend="mmpretrain", recipe="small", image_size=32, epochs=1, batch_size=4,
        optimizer={"learning_rate": 0.001},
    )  # fmt: skip
    data = TrainingData([labelled], labelled, tables.categories)
    return backend_for("mmpretrain").train(model, recipe, data, folder() / "run")
