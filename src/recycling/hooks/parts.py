"""Nodes that work on some images at a time are given tables that are read so."""

from __future__ import annotations

from kedro.framework.hooks import hook_impl
from kedro.pipeline.node import Node

from recycling.stored_tables import GIVEN_PARTS, is_by_parts


class PartsHooks:
    """Tells the datasets of boxes whether a node takes them whole or by parts."""

    @hook_impl
    def before_dataset_loaded(self, node: Node) -> None:
        """Note who asks; the dataset is loaded next, in the same thread."""
        GIVEN_PARTS.set(is_by_parts(node.func))

    @hook_impl
    def after_dataset_loaded(self) -> None:
        """Whoever asks next is given the whole."""
        GIVEN_PARTS.set(False)

    @hook_impl
    def on_node_error(self) -> None:
        """The same, where it could not be loaded."""
        GIVEN_PARTS.set(False)
