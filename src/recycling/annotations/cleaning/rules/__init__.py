"""The rules of cleaning, a file each. A file that is put here is a rule; nothing else names it."""

from recycling.registry import import_modules

import_modules(__name__, __path__)
