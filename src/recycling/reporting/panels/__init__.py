"""The panels of the report on an ensemble, a file each.

Every file of this folder is read; no other names it. A panel is a function with a decorator: its
arguments name the values that it needs (`recycling.reporting.report_page` lists them), and it
returns pieces that `recycling.reporting.pages` makes::

    @panel("How often members agree", order=35)
    def agreement(agreement: Agreement) -> list[Markup]:
        return [render_table(agreement, {"agreement": ".2f"})]
"""

from recycling.registry import import_modules
from recycling.reporting.panels.core import PANELS, Panel, panel

import_modules(__name__, __path__)

__all__ = ["PANELS", "Panel", "panel"]
