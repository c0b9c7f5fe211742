"""The splitting methods, a file each. A file that is put here is found; nothing else names it."""

from recycling.registry import import_modules

import_modules(__name__, __path__)
