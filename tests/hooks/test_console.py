"""What the console shows."""

from __future__ import annotations

import io
import logging

from recycling.hooks import ConsoleHooks


def test_nothing_in_a_message_of_the_log_steers_the_terminal():
    shown = io.StringIO()
    console = logging.StreamHandler(shown)
    logging.getLogger().addHandler(console)
    try:
        ConsoleHooks()
        logging.getLogger("recycling.cleaning").warning("category %s\nis unknown", "Glass\x1b[2J")
    finally:
        logging.getLogger().removeHandler(console)
    assert shown.getvalue() == "category Glass<character U+001B>[2J\nis unknown\n"
