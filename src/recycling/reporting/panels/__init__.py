"""The panels of the report on an ensemble, a file each.

Every file of this folder is read. A panel is a function with the decorator `panel`; its arguments
name the values that it needs, and it returns the pieces that `recycling.reporting.pages` makes.
"""

from importlib import import_module
from pkgutil import iter_modules

from recycling.reporting.panels.core import PANELS, Panel, panel

for _module in iter_modules(__path__, f"{__name__}."):
    import_module(_module.name)

__all__ = ["PANELS", "Panel", "panel"]
