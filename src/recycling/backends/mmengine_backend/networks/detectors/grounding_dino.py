"""Grounding DINO (Liu et al., 2023), asked for the classes of a training by their names.

mmdet's takes BERT and its vocabulary from a hub each time that it is built, also to predict. Here
the pieces of words that the names consist of are in the config: a checkpoint is all that it takes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmdet.models.detectors import GroundingDINO
from mmdet.models.detectors.grounding_dino import clean_label_name
from mmdet.models.language_models.bert import (
    generate_masks_with_special_tokens_and_transfer_map as masks_and_positions,
)
from mmdet.registry import MODELS
from mmengine.model import BaseModel
from torch import Tensor, nn

from recycling.backends.core import BackendError
from recycling.backends.libraries import how_to_install
from recycling.backends.mmengine_backend.networks.detectors.small_images import (
    _AsPublished,
    _EnoughPlaces,
)

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", ".", "?")
"""Pieces that are no words; the last four part what is asked for."""

MOST_PIECES = 256
"""Of all names together: what the published weights were trained with."""


@MODELS.register_module()
class GroundingDINOOfClasses(_EnoughPlaces, _AsPublished, GroundingDINO):  # type: ignore[misc]
    """mmdet's ``GroundingDINO`` with the classes as its text.

    Args:
        arguments: mmdet's.
        class_names: The classes, in the order of their indices.
        settings: mmdet's.
    """

    def __init__(self, *arguments: Any, class_names: Sequence[str], **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.class_names = tuple(class_names)

    def loss(self, batch_inputs: Tensor, batch_data_samples: list[Any]) -> dict[str, Tensor]:
        """The losses of a batch; see mmdet."""
        losses: dict[str, Tensor] = super().loss(batch_inputs, self._asked(batch_data_samples))
        return losses

    def predict(
        self, batch_inputs: Tensor, batch_data_samples: list[Any], rescale: bool = True
    ) -> list[Any]:
        """Add ``pred_instances`` to each sample; see mmdet."""
        asked = self._asked(batch_data_samples)
        samples: list[Any] = super().predict(batch_inputs, asked, rescale)
        return samples

    def _asked(self, samples: list[Any]) -> list[Any]:
        for sample in samples:
            sample.set_metainfo({"text": self.class_names, "custom_entities": True})
        return samples


@MODELS.register_module()
class BertOfNames(BaseModel):  # type: ignore[misc]
    """BERT (Devlin et al., 2018) for a few words, named as mmdet names its weights.

    Args:
        pieces: Of words, all that occur; see `pieces_of`.
        ids: Their numbers in BERT's vocabulary.
        network: Arguments of transformers' ``BertConfig``.

    Raises:
        BackendError: transformers is not installed, or there are no pieces.
    """

    pad_to_max = False

    def __init__(
        self, pieces: Sequence[str], ids: Sequence[int], network: dict[str, Any] | None = None
    ) -> None:
        super().__init__()
        transformers = _transformers()
        vocabulary = dict(zip(pieces, ids, strict=True))
        self.tokenizer = transformers.PreTrainedTokenizerFast(
            tokenizer_object=_word_pieces(vocabulary), pad_token="[PAD]", unk_token="[UNK]",
            cls_token="[CLS]", sep_token="[SEP]",
            model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        )  # fmt: skip
        self.separators = [vocabulary[piece] for piece in SPECIAL[2:]]
        config = transformers.BertConfig(**network or {})
        model = transformers.BertModel(config, add_pooling_layer=False)
        self.language_backbone = nn.Sequential(OrderedDict(body=_Body(model, config.hidden_size)))

    def forward(self, captions: Sequence[str], **_: Any) -> dict[str, Tensor]:
        """What is said of each piece of each caption, as mmdet's ``BertModel`` gives it.

        Args:
            captions: ``paper. metal. `` each.

        Returns:
            ``embedded`` and ``hidden`` (captions, pieces, channels), ``masks`` (captions, pieces,
            pieces), ``position_ids`` and ``text_token_mask`` (captions, pieces).
        """
        model: Any = self.language_backbone.get_submodule("body.model")
        tokens = self.tokenizer(list(captions), padding="longest", return_tensors="pt")
        tokens = tokens.to(model.device)
        # A name sees its own pieces only.
        seen, positions = masks_and_positions(tokens, self.separators)
        hidden = model(
            input_ids=tokens["input_ids"],
            attention_mask=seen[:, None],
            position_ids=positions,
            token_type_ids=tokens["token_type_ids"],
        ).last_hidden_state
        return {
            "embedded": hidden,
            "masks": seen,
            "hidden": hidden,
            "position_ids": positions,
            "text_token_mask": tokens["attention_mask"].bool(),
        }


class _Body(nn.Module):
    """Where mmdet looks for the network and its width."""

    def __init__(self, model: nn.Module, language_dim: int) -> None:
        super().__init__()
        self.model = model
        self.language_dim = language_dim


def pieces_of(class_names: Sequence[str], vocabulary: str, recipe: str) -> dict[str, list[Any]]:
    """The arguments of `BertOfNames` that depend on the classes.

    With the pieces of these names alone they are parted as with all: the longest piece that fits is
    taken each time, and it is among them.

    Args:
        class_names: The classes.
        vocabulary: BERT's ``vocab.txt``, a piece a line.
        recipe: Who asks, for errors.

    Raises:
        BackendError: There is no vocabulary, or the names are too long.
    """
    if not vocabulary:
        raise BackendError(
            f"{recipe} reads the names of classes, and needs the vocabulary of BERT: get vocab.txt "
            "of google-bert/bert-base-uncased from huggingface.co, and set options: "
            "{model.language_model.vocabulary: path/to/vocab.txt}"
        )
    try:
        lines = Path(vocabulary).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BackendError(
            f"{vocabulary}: cannot be read ({error}); options, model.language_model.vocabulary: "
            "name BERT's vocab.txt"
        ) from error
    every = {piece: number for number, piece in enumerate(lines)}
    if lacking := [piece for piece in SPECIAL if piece not in every]:
        raise BackendError(
            f"{vocabulary}: is no vocabulary of BERT (no {', '.join(lacking)}); name its vocab.txt"
        )
    _transformers()
    caption = "".join(f"{clean_label_name(name)}. " for name in class_names)
    found = _word_pieces(every).encode(caption).tokens
    if len(found) > MOST_PIECES:
        raise BackendError(
            f"{recipe}: the names of {len(class_names)} classes have {len(found)} pieces, and it "
            f"reads {MOST_PIECES}; shorten them"
        )
    pieces = sorted({*SPECIAL, *found}, key=every.__getitem__)
    return {"pieces": pieces, "ids": [every[piece] for piece in pieces]}


def _word_pieces(vocabulary: dict[str, int]) -> Any:
    from tokenizers import BertWordPieceTokenizer

    return BertWordPieceTokenizer(vocabulary, lowercase=True)._tokenizer


def _transformers() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise BackendError(
            "Grounding DINO needs transformers, which is not installed; "
            f"{how_to_install('transformers')}"
        ) from error
    return transformers
