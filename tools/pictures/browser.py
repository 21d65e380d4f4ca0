"""The built page (`npm run build`) in Chromium; `__main__` has it draw scenes. There is no server: what the browser
asks for is read from the folder."""

from __future__ import annotations

import importlib.util
import io
import json
import mimetypes
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, Route, sync_playwright

BUILT = Path(__file__).parent / "dist"
ADDRESS = "http://pictures.invalid"
WAIT_MILLISECONDS = 60_000
COLORS = 256
HEAD_PIXELS = 300
LINE_PIXELS = 38
"""A line of Grafana's grid, with the gap below it."""


class DrawingError(Exception):
    """The page could not be drawn."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """A picture (PNG) and what the page complained about."""

    png: bytes
    complaints: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Easel:
    """A browser that draws pages of a width in pixels."""

    browser: Browser
    width: int

    def draw(self, data: dict[str, Any]) -> Drawing:
        """The whole page for a scene. Raises DrawingError with what the page says."""
        # Grafana leaves out what is out of sight, so all of the page is in sight.
        page = self.browser.new_page(viewport={"width": self.width, "height": _tall_enough(data)})
        try:
            complaints = listen(page)
            page.route("**/*", lambda route: _serve(route, data))
            page.goto(f"{ADDRESS}/index.html")
            page.wait_for_selector("body[data-state]", state="attached", timeout=WAIT_MILLISECONDS)
            state = page.evaluate("document.body.dataset.state")
            if state != "ready":
                raise DrawingError(f"{state}\n" + "\n".join(complaints))
            return Drawing(shrink(page.locator(".board").screenshot()), tuple(complaints))
        finally:
            page.close()


@contextmanager
def easel(width: int) -> Iterator[Easel]:
    """Chromium of the system. Raises DrawingError when there is none, or the page is not built."""
    program = find_chromium()
    if not (BUILT / "index.html").exists():
        raise DrawingError(f"the page is not built: npm ci && npm run build in {BUILT.parent}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield Easel(browser, width)
        browser.close()


def find_chromium() -> str:
    """Where it is. Raises DrawingError when it is nowhere."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        raise DrawingError("needs chromium (Debian package chromium)")
    return program


def _tall_enough(data: dict[str, Any]) -> int:
    lines: int = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in data["panels"])
    return HEAD_PIXELS + lines * LINE_PIXELS


def listen(page: Page) -> list[str]:
    """What the page complains about, from now on."""
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("requestfailed", lambda request: complaints.append(f"failed: {request.url}"))
    return complaints


def _serve(route: Route, data: dict[str, Any]) -> None:
    path = urlsplit(route.request.url).path.lstrip("/")
    file = BUILT / path
    if path == "data.json":
        route.fulfill(body=json.dumps(data, allow_nan=False), content_type="application/json")
    elif file.is_file():
        route.fulfill(path=file, content_type=mimetypes.guess_type(file.name)[0] or "application/octet-stream")
    else:
        route.fulfill(status=404, body="")


def shrink(png: bytes) -> bytes:
    """The picture with a palette, a third of the size, where Pillow is installed."""
    if importlib.util.find_spec("PIL") is None:
        return png
    image: Any = importlib.import_module("PIL.Image")
    made = io.BytesIO()
    picture = image.open(io.BytesIO(png)).convert("RGB")
    picture.quantize(colors=COLORS, dither=image.Dither.NONE).save(made, "PNG", optimize=True)
    return made.getvalue()
