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
from recycling.backends.mmengine_backend.settings.backbone import timm_networks
from recycling.backends.shared.model import Model
from recycling.backends.shared.weights import find_weights, own_weights
from recycling.files import sha256_of

TORCHVISION = "torchvision://"
TIMM = "timm://"


def check_weights(model: Model, config: Mapping[str, Any]) -> Path | None:
    """Find all weights that a training starts from, before its first step.

    Args:
        model: The settings.
        config: The resolved config.

    Returns:
        The file that the settings name, or that timm has for the recipe's backbone.

    Raises:
        BackendError: Some are not there, or are others than their sha256 says.
    """
    if model.pretrained == "none":
        return None
    if model.pretrained != "default":
        return find_official(model.pretrained, model.pretrained_sha256)
    official = official_weights(config)
    of_timm = [name for name in official if name.startswith(TIMM)]
    if of_timm:
        return find_official(of_timm[0], model.pretrained_sha256)
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
    """The file of weights that a config names: as `find_weights`, for libraries' names too."""
    if where.startswith(TORCHVISION):
        where = _url_of_torchvision(where.removeprefix(TORCHVISION))
    elif where.startswith(TIMM):
        where = url_of_timm(where.removeprefix(TIMM))
    return find_weights(where, sha256)


def url_of_timm(name: str) -> str:
    """Where timm's own weights of a network are; a name that says its sha256 goes before others.

    Args:
        name: The network's name in timm.

    Raises:
        BackendError: timm has none.
    """
    from huggingface_hub import hf_hub_url
    from timm import get_pretrained_cfg

    published = get_pretrained_cfg(name)
    if published is not None and str(published.url).endswith(".pth"):
        return str(published.url)
    if published is None or not published.hf_hub_id:
        raise BackendError(
            f"pretrained: timm has no weights of {name!r}; choose another backbone, or set "
            "pretrained: none"
        )
    return str(hf_hub_url(published.hf_hub_id, published.hf_hub_filename or "model.safetensors"))


def _url_of_torchvision(name: str) -> str:
    from mmengine.runner.checkpoint import get_torchvision_models

    urls: dict[str, str] = get_torchvision_models()
    if name not in urls:
        raise BackendError(f"pretrained: torchvision has no weights {name!r}; check the recipe")
    return urls[name]


def official_weights(config: Mapping[str, Any]) -> list[str]:
    """The weights that a recipe's own config names: ``load_from``, ``Pretrained`` parts, timm's.

    Args:
        config: The recipe, read.

    >>> initial = {"type": "Pretrained", "checkpoint": "torchvision://resnet50"}
    >>> official_weights({"model": {"backbone": {"init_cfg": initial}}})
    ['torchvision://resnet50']
    """
    named = [config.get("load_from"), *(TIMM + name for name in timm_networks(config.get("model")))]
    for node in mappings_in(config.get("model")):
        if node.get("type") == "Pretrained":
            named.append(node.get("checkpoint"))
        named.append(node.get("pretrained"))
    return list(dict.fromkeys(name for name in named if isinstance(name, str)))


def facts_of_own_weights(config: Mapping[str, Any]) -> dict[str, str]:
    """What files of this machine hold that a config names: their names tell nothing of it.

    Args:
        config: The resolved config; its weights are checked.
    """
    files = {name: own_weights(name) for name in official_weights(config)}
    return {
        f"weights {name}": f"sha256 {sha256_of(file)}"
        for name, file in files.items()
        if file is not None and file.is_file()
    }


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
