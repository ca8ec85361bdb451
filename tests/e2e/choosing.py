"""Choices among items in forms of the console."""

from __future__ import annotations

from playwright.sync_api import Locator, Page


def choose(page: Page, label: str, name: str, *, within: Locator | None = None) -> None:
    """Finds an item by its name in the choice with this label, and takes it."""
    (within or page).get_by_role("combobox", name=label, exact=True).fill(name)
    page.get_by_role("option").filter(has_text=name).first.click()
