"""The built-in page in Debian's Chromium, for `page`: as people see it, with its streams blocked, or out of sight; and
what comes to it over the wire.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from playwright.sync_api import Browser, Page, sync_playwright
from playwright.sync_api import Error as BrowserError

from tests.bench.processes import StartError

PATIENCE_MS = 20_000

LIVE, POLLING, PAUSED = "live", "polling", "paused"
NO_SOCKET = "WebSocket = class { constructor() { setTimeout(() => this.onclose?.()); } close() {} };"
"""A way to the sidecar that lets no WebSocket through."""
EVENTS = "**/metrics/active-requests/stream"
HIDE = """() => {
  Object.defineProperty(document, "hidden", { get: () => true });
  Object.defineProperty(document, "visibilityState", { get: () => "hidden" });
  document.dispatchEvent(new Event("visibilitychange"));
}"""
"""A headless browser shows all its pages: this one is told that it is not seen."""


@dataclass(slots=True)
class Wire:
    """What came over the wire: answers with their heads as the browser counted them, and messages of streams."""

    answers: float = 0
    answer_bytes: float = 0
    messages: float = 0
    message_bytes: float = 0

    def clear(self) -> None:
        """Count anew."""
        self.answers = self.answer_bytes = self.messages = self.message_bytes = 0

    def over(self, amount: float) -> Wire:
        """Of one page and second, where `amount` is pages times seconds."""
        counts = (self.answers, self.answer_bytes, self.messages, self.message_bytes)
        return Wire(*(count / amount if amount else 0.0 for count in counts))


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Chromium, without a head. Raises StartError."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        raise StartError("Chromium is not installed (Debian package chromium)")
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        except BrowserError as error:
            raise StartError(f"Chromium: {error.message.splitlines()[0]}") from error
        yield browser
        browser.close()


def wait(pages: Sequence[Page], seconds: float) -> None:
    """What is aborted on its way is so by this process: it has to listen to the browser meanwhile."""
    if pages:
        pages[0].wait_for_timeout(seconds * 1000)
    else:
        time.sleep(seconds)


def visit(stack: ExitStack, browser: Browser, address: str, state: str, wire: Wire) -> Page:
    """Open one that comes to that state. Each is in a context of its own, like those of several people: a browser has
    six connections to one host."""
    context = browser.new_context()
    stack.callback(context.close)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    if state == POLLING:
        page.add_init_script(NO_SOCKET)
        page.route(EVENTS, lambda route: route.abort())
    listen(page, wire)
    page.goto(address)
    if state == PAUSED:
        page.evaluate(HIDE)
    return page


def state_of(page: Page) -> str:
    """What it says of its connection."""
    return page.locator("#connection").get_attribute("data-state") or "without a state"


def listen(page: Page, wire: Wire) -> None:
    """Count what comes in from now on."""

    def add_answer(event: dict[str, float]) -> None:
        wire.answers += 1
        wire.answer_bytes += event["encodedDataLength"]

    def add_message(text: str) -> None:
        wire.messages += 1
        wire.message_bytes += len(text.encode())

    session = page.context.new_cdp_session(page)
    session.on("Network.loadingFinished", add_answer)
    session.on("Network.eventSourceMessageReceived", lambda event: add_message(event["data"]))
    session.on("Network.webSocketFrameReceived", lambda event: add_message(event["response"]["payloadData"]))
    session.send("Network.enable")
