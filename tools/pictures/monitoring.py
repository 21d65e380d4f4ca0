"""`python -m tools.pictures.monitoring`: pictures of the built-in page, of the demo and of a sidecar that has had no
request. They are for README and docs."""

from __future__ import annotations

import argparse
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, NamedTuple

import httpx
from playwright.sync_api import Browser, Page, sync_playwright

from exporter.demo.engine import Engine, EngineOptions
from exporter.demo.model import write_model
from exporter.demo.process import Child, http_status
from exporter.errors import StartupError
from tests.ports import free_ports
from tools.pictures.browser import DrawingError, find_chromium, listen, shrink

ROOT = Path(__file__).parent.parent.parent
PORTS = free_ports()
SETTLE_SECONDS = 5.0
PATIENCE_SECONDS = 120.0
IN_FLIGHT = "#active tbody tr:not(.free, .gone)"
PLACED = re.compile("Q[234]")
"""Pictures wait for two of which it is known where they are."""
Theme = Literal["light", "dark"]


class View(NamedTuple):
    """One picture."""

    name: str
    width: int
    height: int
    theme: Theme = "light"
    section: str = "overview"


TRAFFIC = (
    View("monitoring-overview", 1280, 1040),
    View("monitoring-dark", 1280, 1040, "dark"),
    View("monitoring-phone", 390, 844),
    View("monitoring-requests", 1280, 760, section="requests"),
    View("monitoring-routing", 1280, 560, "dark", "routing"),
)
DOWN = View("monitoring-down", 1280, 520, section="models")
EMPTY = View("monitoring-empty", 1280, 620)


class Ours(Child):
    """`llama-exporter` with these arguments, on free ports."""

    start_limit_seconds = 120.0
    stop_limit_seconds = 10.0

    def __init__(self, *arguments: str) -> None:
        proxy, admin = (f"127.0.0.1:{next(PORTS)}" for _ in range(2))
        listen = ["--proxy-listen", proxy, "--admin-listen", admin]
        super().__init__(arguments[0], ["-m", "exporter.demo.sidecar", *arguments, *listen])
        self.proxy, self.admin = f"http://{proxy}", f"http://{admin}"

    def ready(self) -> bool:
        """Whether it takes requests."""
        return http_status(f"{self.admin}/-/ready") == 200


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when no page has complained."""
    options = _options(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    with _browser() as browser:
        complaints = _draw_demo(browser, options) + _draw_empty(browser, options)
    return 1 if complaints else 0


def _draw_demo(browser: Browser, options: argparse.Namespace) -> int:
    with Ours("demo") as demo:
        _say(f"the demo plays for {options.demo:.0f} s")
        time.sleep(options.demo)
        with _talking(demo.proxy):
            complaints = sum(_draw(browser, demo.admin, view, options.out) for view in TRAFFIC)
        _wait(lambda: any(each["up"] is False for each in _now(demo.admin)["upstreams"]))
        return complaints + _draw(browser, demo.admin, DOWN, options.out)


@contextmanager
def _talking(proxy: str) -> Iterator[None]:
    """Some people ask for long answers, one after the other: the demo's own are over before one can look."""
    over = threading.Event()
    talks = [threading.Thread(target=_talk, args=(proxy, model, over)) for model in ("auto", "tiny-q3", "tiny-q4")]
    for talk in talks:
        talk.start()
    try:
        yield
    finally:
        over.set()
        for talk in talks:
            talk.join()


def _talk(proxy: str, model: str, over: threading.Event) -> None:
    messages = [{"role": "user", "content": "Analyze step by step whether a prompt cache pays off."}]
    body = {"model": model, "messages": messages, "max_tokens": 1200, "ignore_eos": True, "stream": True}
    while not over.is_set():
        with suppress(httpx.HTTPError), httpx.stream("POST", f"{proxy}/v1/chat/completions", json=body) as answer:
            answer.read()


def _draw_empty(browser: Browser, options: argparse.Namespace) -> int:
    with TemporaryDirectory() as folder:
        model = Path(folder) / "tiny.gguf"
        write_model(model)
        with Engine(EngineOptions(model=model, alias="tiny")) as engine:
            store = f"sqlite:///{folder}/history.db"
            with Ours("serve", "--upstream", engine.url, "--store", store) as sidecar:
                _wait(lambda: _now(sidecar.admin)["upstreams"][0]["up"] is True)
                return _draw(browser, sidecar.admin, EMPTY, options.out)


def _draw(browser: Browser, admin: str, view: View, folder: Path) -> int:
    """How many complaints the page had."""
    size: Any = {"width": view.width, "height": view.height}
    page = browser.new_page(
        viewport=size,
        color_scheme=view.theme,
        reduced_motion="reduce",
        device_scale_factor=2 if view.width < 500 else 1,
    )
    complaints = listen(page)
    page.goto(f"{admin}/monitoring?section={view.section}")
    page.get_by_text("Live", exact=True).wait_for()
    page.wait_for_timeout(SETTLE_SECONDS * 1000)
    if view.section == "requests":
        _open_streamed(page)
    if view in TRAFFIC and view.section == "overview":
        page.locator(IN_FLIGHT).filter(has_text=PLACED).nth(1).wait_for(timeout=PATIENCE_SECONDS * 1000)
    picture = folder / f"{view.name}.png"
    picture.write_bytes(shrink(page.screenshot()))
    _say(f"{picture}  {picture.stat().st_size / 1024:.0f} KiB")
    for complaint in complaints:
        _say(f"  page: {complaint[:300]}")
    page.close()
    return len(complaints)


def _open_streamed(page: Page) -> None:
    """Open a request with a first token, which is seen by its time."""
    row = page.locator("#finished tbody tr", has=page.locator("td:nth-child(6)", has_text="ms")).first
    row.locator(".opener").click()
    page.mouse.move(0, 0)


def _now(admin: str) -> Any:
    return httpx.get(f"{admin}/monitoring/now", timeout=10).json()


def _wait(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > end:
            raise DrawingError("what was to be drawn did not happen")
        time.sleep(0.2)


@contextmanager
def _browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox"])
        yield browser
        browser.close()


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.pictures.monitoring", description=__doc__)
    parser.add_argument("--demo", type=float, default=420, metavar="SECONDS", help="let the demo play for so long")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "pictures")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (DrawingError, StartupError, httpx.HTTPError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
