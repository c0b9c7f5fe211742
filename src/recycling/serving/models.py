"""The models of a service, by name and version."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from recycling.inference import Predictor
from recycling.serving.batching import Batcher
from recycling.serving.core import Refused, ServingError


@dataclass(frozen=True)
class Served:
    """A model that is served.

    Attributes:
        predictor: Predicts.
        batcher: Collects what it predicts on.
    """

    predictor: Predictor
    batcher: Batcher

    @property
    def version(self) -> str:
        """Tells it from other models of its name: the beginning of a hash."""
        return self.predictor.identity[:12]

    def described(self) -> dict[str, Any]:
        """What `/models` says of it."""
        return {
            "name": self.predictor.name,
            "version": self.version,
            "task": self.predictor.task,
            "categories": self.predictor.categories["name"].tolist(),
        }


class ServedModels:
    """The models of a service; the first is taken where none is asked for.

    Args:
        predictors: The models; of one name the first is taken where no version is asked for.
        batch_size: Images that are predicted together at most.
        tell: Is told the name and version of a model and the images of a batch.

    Raises:
        ServingError: There is none, or one is there twice.
    """

    def __init__(
        self,
        predictors: Sequence[Predictor],
        *,
        batch_size: int,
        tell: Callable[[str, str, int], None] = lambda *_: None,
    ) -> None:
        if not predictors:
            raise ServingError("no model to serve; name one: --with det.final")
        identities = [(each.name, each.identity[:12]) for each in predictors]
        if len(set(identities)) < len(identities):
            raise ServingError("--with: the same model twice; name each once")

        self.models = [
            Served(
                each,
                Batcher(each, batch_size=batch_size, tell=partial(tell, name, version)),
            )
            for each, (name, version) in zip(predictors, identities, strict=True)
        ]

    def find(self, name: str | None, version: str | None) -> Served:
        """The model that is meant.

        Raises:
            Refused: There is no such model (404).
        """
        name = name or self.models[0].predictor.name
        own = [each for each in self.models if each.predictor.name == name]
        if not own:
            names = ", ".join(dict.fromkeys(each.predictor.name for each in self.models))
            raise Refused(404, f"no model of that name; there are {names}")
        if version is None:
            return own[0]
        for each in own:
            if each.version == version:
                return each
        raise Refused(
            404, f"{name} has no such version; there are {', '.join(e.version for e in own)}"
        )

    def close(self) -> None:
        """End their threads."""
        for each in self.models:
            each.batcher.close()
