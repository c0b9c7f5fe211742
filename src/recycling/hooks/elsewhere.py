"""Sends what a run writes into folders that mirror those at an address."""

from __future__ import annotations

import logging

from kedro.framework.hooks import hook_impl

from recycling.mirrors import MirrorError, send

logger = logging.getLogger(__name__)


class MirrorHooks:
    """Sends records, manifests and states of trainings where `data` is at an address.

    What a node is to make is noted there before it begins, and what it has made after its value is
    there: another machine goes on as this one would.
    """

    @hook_impl(trylast=True)
    def before_node_run(self) -> None:
        """Note there that a node begins."""
        send()

    @hook_impl(trylast=True)
    def after_dataset_saved(self) -> None:
        """Send the record of an output, and the manifest."""
        send()

    @hook_impl(trylast=True)
    def after_pipeline_run(self) -> None:
        """Send how a run ended."""
        send()

    @hook_impl(trylast=True)
    def on_pipeline_error(self) -> None:
        """The same; what failed first is what is to be seen."""
        try:
            send()
        except MirrorError as error:
            logger.warning("%s", error)
