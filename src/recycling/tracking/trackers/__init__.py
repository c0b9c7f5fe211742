"""The trackers, by name: a file each."""

from recycling.registry import import_modules

import_modules(__name__, __path__)
