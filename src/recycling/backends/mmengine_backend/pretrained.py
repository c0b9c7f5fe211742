"""The weights that a training starts from: checked before its first step, never run as code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from recycling.backends.core import BackendError
from recycling.backends.mmengine_backend.checkpoint import read_weights
from recycling.backends.mmengine_backend.config_tree import mappings_in
from recycling.backends.mmengine_backend.replaced import replaced
from recycling.backends.shared.model import Model
from recycling.backends.shared.weights import find_weights

TORCHVISION = "torchvision://"


def check_weights(model: Model, config: Mapping[str, Any]) -> Path | None:
    """Find all weights that a training starts from, before its first step.

    Args:
        model: The settings.
        config: The resolved config.

    Returns:
        The file that the settings name, if they name one.

    Raises:
        BackendError: Some are not there, or are others than their sha256 says.
    """
    if model.pretrained == "none":
        return None
    if model.pretrained != "default":
        return find_official(model.pretrained, model.pretrained_sha256)
    official = official_weights(config)
    if model.pretrained_sha256 is not None and len(official) > 1:
        raise BackendError(
            f"model {model.recipe!r}: pretrained_sha256 is of one file, but the recipe names "
            f"{len(official)}: {', '.join(official)}; remove it"
        )
    for name in official:
        if not name.startswith("open-mmlab://"):  # mmengine's own names, from before URLs
            find_official(name, model.pretrained_sha256)
    return None


def find_official(where: str, sha256: str | None = None) -> Path:
    """The file of weights that a config names: as `find_weights`, for ``torchvision://`` too."""
    if where.startswith(TORCHVISION):
        where = _url_of_torchvision(where.removeprefix(TORCHVISION))
    return find_weights(where, sha256)


def _url_of_torchvision(name: str) -> str:
    from mmengine.runner.checkpoint import get_torchvision_models

    urls: dict[str, str] = get_torchvision_models()
    if name not in urls:
        raise BackendError(f"pretrained: torchvision has no weights {name!r}; check the recipe")
    return urls[name]


def official_weights(config: Mapping[str, Any]) -> list[str]:
    """The weights that a recipe's own config names: ``load_from`` and ``Pretrained`` parts.

    Args:
        config: The recipe, read.

    >>> initial = {"type": "Pretrained", "checkpoint": "torchvision://resnet50"}
    >>> official_weights({"model": {"backbone": {"init_cfg": initial}}})
    ['torchvision://resnet50']
    """
    named = [config.get("load_from")]
    for node in mappings_in(config.get("model")):
        if node.get("type") == "Pretrained":
            named.append(node.get("checkpoint"))
        named.append(node.get("pretrained"))
    return list(dict.fromkeys(name for name in named if isinstance(name, str)))


@contextmanager
def checked_loading() -> Iterator[None]:
    """Inside, the library too checks sha256s and runs no code where it loads weights."""
    from mmengine.runner.checkpoint import CheckpointLoader

    def load(filename: str, map_location: Any = None, **_: Any) -> Any:
        return {"state_dict": read_weights(find_official(filename), map_location)}

    with replaced(CheckpointLoader, "_schemes", dict(CheckpointLoader._schemes)):
        CheckpointLoader.register_scheme(
            ["http://", "https://", "file://", "torchvision://"], loader=load, force=True
        )
        yield
