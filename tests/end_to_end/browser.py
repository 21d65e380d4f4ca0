"""A browser, Debian's Chromium, and what one of its pages asked for and complained about. The fixture holds for a
module, and no longer: while there is one, no event loop can be run in this thread."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Request, expect, sync_playwright

from tests.programs import program

PATIENCE_MS = 20_000
TELL = """addEventListener("securitypolicyviolation", (event) =>
  console.error(`policy: ${event.violatedDirective} forbids ${event.blockedURI}`))"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """It, without a head."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome") or program("chromium")
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


class Visit:
    """A page, what it asked for, and what it complained about. `options` are those of a browser context."""

    def __init__(self, browser: Browser, **options: Any) -> None:
        self.context = browser.new_context(**options)
        self.context.set_default_timeout(PATIENCE_MS)
        self.page: Page = self.context.new_page()
        self.requests: list[Request] = []
        self.complaints: list[str] = []
        self.page.on("request", self._note)
        self.page.on("console", lambda message: self.complaints.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.add_init_script(TELL)

    def _note(self, request: Request) -> None:
        self.requests.append(request)

    def close(self) -> None:
        """Away with its context."""
        self.context.close()

    def check(self, *bases: str) -> None:
        """Nobody else was asked than who is at these addresses, and nothing went wrong."""
        assert {urlsplit(request.url).netloc for request in self.requests} == {urlsplit(base).netloc for base in bases}
        assert self.complaints == []
