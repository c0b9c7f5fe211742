"""What a user does with the controls of a page."""

from __future__ import annotations

from playwright.sync_api import Page


def choose(page: Page, label: str, option: str) -> None:
    """Choose from a list as a user does: open it, click."""
    page.get_by_role("combobox", name=label, exact=True).click()
    page.get_by_role("option", name=option, exact=True).click()
