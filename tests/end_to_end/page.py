"""The built-in page in a browser, and what it shows as a person sees it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from playwright.sync_api import Browser, Locator, expect

from tests.end_to_end.browser import Visit
from tests.end_to_end.page_expected import Documents, figures
from tests.end_to_end.page_reader import complaints

SECTIONS = ("overview", "requests", "models", "routing", "resources")
THEMES = ("light", "dark")
PATIENCE_SECONDS = 20.0
FIGURES = """(section) => [...document.querySelectorAll(`#${section} [data-figure]`)].map(
  (node) => [node.dataset.figure, node.checkVisibility() ? node.innerText.trim() : "hidden"])"""
ROWS = """(table) => [...table.tBodies[0].rows].filter((row) => row.className !== "free").map(
  (row) => [...row.cells].map((cell) => cell.innerText.replaceAll("\\u00a0", " ").trim()))"""


class Monitor(Visit):
    """The page."""

    def __init__(self, browser: Browser, admin: str, **options: Any) -> None:
        super().__init__(browser, **{"timezone_id": "UTC", "locale": "en-GB", **options})
        self.admin = admin
        self.state = self.page.locator("#connection-state")
        self.detail = self.page.locator("#connection-detail")
        self.health = self.page.locator("#health")

    def open(self, **query: str) -> Monitor:
        """Load it, and wait until it lives."""
        self.page.goto(f"{self.admin}/monitoring?{urlencode(query)}")
        expect(self.state).to_have_text(re.compile("^(Live|Live by polling)$"))
        return self

    def go(self, section: str) -> Locator:
        """To a section, as people go there."""
        self.page.locator(f"nav a[data-section={section}]").click()
        found = self.page.locator(f"section#{section}")
        expect(found).to_be_visible()
        return found

    def show(self, size: tuple[int, int], theme: str = THEMES[0]) -> None:
        """On another screen."""
        self.page.set_viewport_size({"width": size[0], "height": size[1]})
        self.page.emulate_media(color_scheme="dark" if theme == "dark" else "light")

    def figures(self, section: str) -> list[tuple[str, str]]:
        """Names and texts."""
        return [(name, text) for name, text in self.page.evaluate(FIGURES, section)]

    def wrong_figures(self, documents: Documents, section: str) -> list[str]:
        """Those that are not as the documents say, when there was time enough."""
        return self.settle(lambda: complaints(figures(documents)[section], self.figures(section)))

    def rows(self, table: str) -> list[list[str]]:
        """The cells of a table as they read; those that are not shown are empty."""
        rows: list[list[str]] = self.page.locator(f"#{table}").evaluate(ROWS)
        return rows

    def row(self, request_id: str) -> Locator:
        """Of the finished requests."""
        return self.page.locator(f'#finished tr[data-request="{request_id}"]')

    def detail_of(self, request_id: str) -> Locator:
        """The opened row."""
        return self.page.locator(f'tr[data-detail="{request_id}"]')

    def settle(self, check: Callable[[], list[str]]) -> list[str]:
        """What a check finds fault with: nothing as soon as it finds nothing, else what is left at the end."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (found := check()) and time.monotonic() < deadline:
            self.page.wait_for_timeout(50)
        return found

    def hurry(self) -> None:
        """Let the page's clock (`page.clock`, which is installed) run ahead, to the next poll."""
        self.page.clock.fast_forward(2000)

    def hurry_to(self, wanted: Locator) -> None:
        """Let it run ahead until this is seen."""

        def look() -> list[str]:
            if not wanted.is_visible():
                self.page.clock.fast_forward(5000)
            return [] if wanted.is_visible() else [str(wanted)]

        assert self.settle(look) == []

    def hurry_to_life(self) -> None:
        """Let it run ahead until figures come over streams."""
        self.hurry_to(self.page.locator("#connection").get_by_text("Live", exact=True))
