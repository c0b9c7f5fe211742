"""A training's config as a file of data: what a checkpoint says is built, and never run.

JSON; a tuple, which JSON has not, is ``{"__tuple__": [...]}``. Classes are named by strings, as in
the library's own configs. A config that so names what is no network, such as a function of the
system, is not built.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from recycling.backends.core import BackendError
from recycling.backends.mmengine_backend.config_tree import mappings_in
from recycling.backends.mmengine_backend.replaced import replaced
from recycling.errors import cut, visible
from recycling.limits import LARGEST_FACTS, check_bytes

CONFIG = "config.json"

_TUPLE = "__tuple__"

_LIBRARIES = frozenset({"mmcv", "mmdet", "mmengine", "mmpretrain", "mmseg", "torch", "torchvision"})
"""Packages that a config may name before they are in use."""

EVALUATING = (
    "mmdet.models.dense_heads.atss_vlfusion_head",
    "mmdet.models.language_models",
    "mmdet.models.task_modules.tracking",
    "mmpretrain.models.backbones.timm_backbone",
    "mmpretrain.models.classifiers.hugging_face",
    "mmpretrain.models.classifiers.timm",
    "mmpretrain.models.multimodal",
    "mmpretrain.models.retrievers",
    "mmpretrain.models.utils.huggingface",
    "mmpretrain.models.utils.tokenizer",
    "mmseg.models.backbones.timm_backbone",
    "mmseg.models.backbones.vpd",
)
"""Modules of the libraries that evaluate text, or fetch what others have published and run it.

Retrievers build a data set, of any class, when they predict.
"""

SUPPRESSIONS = ("nms", "nms_match", "nms_quadri", "nms_rotated", "soft_nms")
"""Functions that may suppress boxes: mmcv evaluates what a config calls its one."""

STEPS = ("PackDetInputs", "PackInputs", "PackSegInputs", "ReadCrop", "ReadImage")
"""What a config's test pipeline may consist of: what `resolve` puts there."""


def text_of(config: Any, name: str) -> str:
    """A config as the text of `CONFIG`.

    Args:
        config: A mapping of strings, numbers, truth values, None, lists, tuples and mappings.
        name: What the model is called in a message.

    Raises:
        BackendError: Something else is in it; the message says where.

    >>> print(text_of({"strides": (8, 16)}, "small"))
    {
      "strides": {
        "__tuple__": [
          8,
          16
        ]
      }
    }
    """
    return json.dumps(_data(config, name, ""), indent=2)


def read_config(path: Path) -> Any:
    """The ``mmengine.Config`` in a file that `text_of` made.

    Raises:
        BackendError: The file is none, or its images would go through other steps than `STEPS`, or
            its boxes through another function than `SUPPRESSIONS`.
    """
    from mmengine.config import Config

    try:
        check_bytes(path.stat().st_size, LARGEST_FACTS)
        data = json.loads(path.read_text(encoding="utf-8"), object_hook=_with_tuples)
        config = Config(data)
        kinds = [step["type"] for step in config.test_pipeline]
        suppressions = list(_suppressions(data))
    except (OSError, AttributeError, LookupError, TypeError, ValueError, RecursionError) as error:
        raise BackendError(f"{path}: not a checkpoint's config; train the model again") from error
    if others := [kind for kind in kinds if kind not in STEPS]:
        raise BackendError(
            f"{path}: a step of its test_pipeline is {cut(repr(others[0]))}; a checkpoint's are of "
            f"{', '.join(STEPS)}: train the model again"
        )
    if others := [kind for kind in suppressions if kind not in SUPPRESSIONS]:
        raise BackendError(
            f"{path}: boxes are suppressed by {cut(repr(others[0]))}; a checkpoint's are by one of "
            f"{', '.join(SUPPRESSIONS)}: train the model again"
        )
    return config


@contextmanager
def only_networks(path: Path) -> Iterator[None]:
    """Let configs name, inside, what is registered and the networks of packages in use.

    mmengine itself would import and call whatever a config names, and some classes of its libraries
    evaluate what they are given.

    Args:
        path: The config's file, for messages.

    Raises:
        BackendError: A config names something else.
    """
    loader = import_module("mmengine.runner.checkpoint").CheckpointLoader
    http = import_module("mmengine.fileio.backends").HTTPBackend
    registry = import_module("mmengine.registry.registry")
    config = import_module("mmengine.config").Config
    handlers = import_module("mmengine.fileio.handlers")
    refused: list[str] = []

    def refuse(name: str) -> Any:
        refused.append(name)
        raise ImportError(name)

    def imported(name: str) -> Any:
        return import_module(name) if _in_use(name) else refuse(name)

    def named(name: str) -> Any:
        found = find(name) if _in_use(name) else None
        if _is_network(found):
            return found
        # Without a dot it is a name that no registry knows, of which the library says more.
        return refuse(name) if "." in name else None

    def registered(self: Any, key: str) -> Any:
        found = get(self, key)
        where = getattr(found, "__module__", None) or ""
        return refuse(key) if where.startswith(EVALUATING) else found

    find, get = registry.get_object_from_string, registry.Registry.get
    with ExitStack() as stack:
        for owner, name, value in (
            (registry, "import_module", imported),
            (registry, "get_object_from_string", named),
            (registry.Registry, "get", registered),
            # Losses read weights of classes, and distilled networks their teacher's config.
            (handlers.PickleHandler, "load_from_fileobj", lambda *_, **__: refuse("a pickle")),
            (handlers.YamlHandler, "load_from_fileobj", lambda *_, **__: refuse("a YAML file")),
            (config, "fromfile", staticmethod(lambda *_, **__: refuse("a config of Python"))),
            (http, "get", lambda *_, **__: refuse("an address")),
            (http, "get_text", lambda *_, **__: refuse("an address")),
            # Distilled networks fetch those of their teacher. A checkpoint has all weights itself.
            (loader, "load_checkpoint", staticmethod(lambda *_, **__: {})),
        ):
            stack.enter_context(replaced(owner, name, value))
        try:
            yield
        except Exception as error:
            if not refused:
                raise
            raise BackendError(
                f"{path}: it names {visible(refused[-1])}, and a checkpoint may name networks of "
                "packages in use alone; if it is yours, name its package in custom_imports of "
                "conf/base/parameters.yml"
            ) from error


def _suppressions(config: Any) -> Iterator[Any]:
    """What a config calls the functions by which its boxes are suppressed."""
    for node in mappings_in(config):
        for key, value in node.items():
            if isinstance(value, dict) and ("nms" in key or key == "dqs_cfg"):
                yield value.get("type", "nms")


def _in_use(name: str) -> bool:
    package = name.split(".")[0]
    return package in sys.modules or package in _LIBRARIES


def _is_network(found: Any) -> bool:
    from torch import nn

    return isinstance(found, type) and issubclass(found, nn.Module)


def _data(node: Any, name: str, where: str) -> Any:
    """What JSON writes of a part of a config."""
    if node is None or isinstance(node, (bool, int, float, str)):
        return node
    if isinstance(node, dict):
        for key in node:
            if not isinstance(key, str) or key == _TUPLE:
                raise _no_data(name, where, f"the key {key!r}")
        return {
            key: _data(child, name, f"{where}.{key}" if where else key)
            for key, child in node.items()
        }
    if isinstance(node, (list, tuple)):
        items = [_data(child, name, f"{where}.{n}") for n, child in enumerate(node)]
        return {_TUPLE: items} if isinstance(node, tuple) else items
    raise _no_data(name, where, f"a {type(node).__name__}")


def _no_data(name: str, where: str, what: str) -> BackendError:
    return BackendError(
        f"{name}: the config holds {what} at {where or 'its top'}, and a checkpoint keeps data "
        "alone: give a class by its name, a number or a text as such"
    )


def _with_tuples(node: dict[str, Any]) -> Any:
    return tuple(node[_TUPLE]) if _TUPLE in node else node
