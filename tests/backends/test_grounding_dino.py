"""Grounding DINO: the names of classes are its text, and a checkpoint holds what reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from backends.tiny_trainings import WORDS, data_of, images_of, model_of
from recycling.annotations import LabeledImages
from recycling.backends import BackendError, backend_for
from recycling.backends.mmengine_backend import session
from recycling.backends.shared.model import Model

torch = pytest.importorskip("torch")
pytest.importorskip("mmdet")
pytest.importorskip("transformers")

RECIPE = Path(__file__).parents[2] / "conf/recipes/mmdet/grounding_dino_swin_tiny.py"
SMALL_BERT = {
    "num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 32,
}  # fmt: skip


def model(vocabulary: Path, **settings: Any) -> Model:
    small = {
        "model.language_model.vocabulary": str(vocabulary),
        "model.language_model.network": SMALL_BERT,
        "model.encoder.num_layers": 1,
        "model.decoder.num_layers": 1,
        "model.backbone.depths": [1, 1, 1, 1],
    }
    return model_of("mmdet", recipe=RECIPE.stem, options=small, **settings)


def bert(names: list[str], vocabulary: Path = WORDS) -> Any:
    from recycling.backends.mmengine_backend.networks.detectors.grounding_dino import (
        BertOfNames,
        pieces_of,
    )

    torch.manual_seed(0)
    with session.library("mmdet"):
        pieces = pieces_of(names, str(vocabulary), "own")
        # Of the whole vocabulary, so that a piece has the same number everywhere.
        return BertOfNames(**pieces, network={**SMALL_BERT, "vocab_size": 14}).eval()


def test_it_learns_and_what_it_has_learnt_predicts_without_the_vocabulary(
    pictures: LabeledImages, tmp_path: Path
) -> None:
    vocabulary = tmp_path / "vocab.txt"
    vocabulary.write_text(WORDS.read_text())
    backend = backend_for("mmdet")
    settings = model(vocabulary, score_threshold=0.0, batch_size=2)
    checkpoint = backend.train(settings, RECIPE, data_of(pictures), tmp_path / "run")
    vocabulary.unlink()
    found = backend.predict(checkpoint, images_of(pictures))
    categories = pictures.annotations.categories["category_id"]
    assert set(found["image_id"]) == set(pictures.annotations.images["image_id"])
    assert set(found["category_id"]) <= set(categories)


def test_names_are_parted_as_with_the_whole_vocabulary() -> None:
    read = bert(["Boxes", "paper bag"])
    tokens = read.tokenizer(["Boxes. paper bag. "])["input_ids"][0]
    words = WORDS.read_text().split()
    assert [words[token] for token in tokens] == [
        "[CLS]", "[UNK]", ".", "paper", "bag", ".", "[SEP]"
    ]  # fmt: skip
    parted = bert(["discs"]).tokenizer(["discs. "])["input_ids"][0]
    assert [words[token] for token in parted] == ["[CLS]", "disc", "##s", ".", "[SEP]"]


def test_what_is_said_of_a_name_does_not_depend_on_the_others() -> None:
    names = ["paper bag", "box"]
    read = bert(names)
    with torch.no_grad():
        both = read(["paper bag. box. "])["embedded"][0]
        alone = read(["box. "])["embedded"][0]
        first = read(["paper bag. "])["embedded"][0]
    assert torch.allclose(both[4:6], alone[1:3], atol=1e-6)  # box .
    assert torch.allclose(both[1:4], first[1:4], atol=1e-6)  # paper bag .
    assert not torch.allclose(both[1], both[4], atol=1e-3)


@pytest.mark.parametrize(
    ("vocabulary", "message"),
    [
        ("", "needs the vocabulary of BERT: get vocab.txt"),
        ("nowhere.txt", "nowhere.txt: cannot be read"),
        (__file__, r"is no vocabulary of BERT \(no \[PAD\], "),
    ],
)
def test_without_a_vocabulary_it_is_said_in_one_line_what_to_get(
    vocabulary: str, message: str, pictures: LabeledImages, tmp_path: Path
) -> None:
    settings = model(Path("x")).model_copy(
        update={"options": {"model.language_model.vocabulary": vocabulary}}
    )
    with pytest.raises(BackendError, match=message) as caught:
        backend_for("mmdet").train(settings, RECIPE, data_of(pictures), tmp_path / "run")
    assert "\n" not in str(caught.value)
