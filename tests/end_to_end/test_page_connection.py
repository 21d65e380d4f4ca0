"""How the built-in page stands with its sidecar: signed in or not, over streams or by polling, away and back again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, WebSocketRoute, expect

from exporter.demo.engine import Engine
from tests.end_to_end.accessible import violations
from tests.end_to_end.page import THEMES, Monitor
from tests.end_to_end.page_world import PageWorld
from tests.end_to_end.sidecar import Sidecar
from tests.end_to_end.traced import CHAT, HELLO, ask
from tests.ports import free_ports

KEY = "a-key-for-the-tests"
SOCKET, EVENTS = "**/api/metrics/ws", "**/metrics/active-requests/stream"
HIDE = """(hidden) => {
  Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


class Restartable:
    """A sidecar with a key whose next one has the same ports and the same store."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        proxy, admin = (f"127.0.0.1:{port}" for _, port in zip(range(2), free_ports(), strict=False))
        store = f"sqlite:///{folder}/history.db"
        self._command = ["--upstream", engine.url, "--store", store, "--proxy-listen", proxy, "--admin-listen", admin]
        self.admin = f"http://{admin}"
        self.proxy = f"http://{proxy}"
        self._headers = {"authorization": f"Bearer {KEY}"}
        self._stack = ExitStack()

    def start(self) -> None:
        self._sidecar = self._stack.enter_context(Sidecar(*self._command, environment={"PROXY_API_KEY": KEY}))

    def stop(self) -> None:
        assert self._sidecar.stop() == 0
        self._stack.close()

    def close(self) -> None:
        self._stack.close()

    def document(self, path: str) -> Any:
        return httpx.get(f"{self.admin}{path}", headers=self._headers, trust_env=False).json()

    def freeze(self) -> None:
        """Figures stand still from now on."""
        body = {"interval": 3600}
        answer = httpx.post(f"{self.admin}/api/metrics", json=body, headers=self._headers, trust_env=False)
        assert answer.status_code == 200

    def ask(self) -> None:
        seen = ask(self.proxy, CHAT, {"messages": HELLO, "max_tokens": 4}, authorization=f"Bearer {KEY}")
        assert seen.status == 200


@pytest.fixture
def restartable(engine: Engine, tmp_path: Path) -> Iterator[Restartable]:
    sidecar = Restartable(engine, tmp_path)
    sidecar.start()
    yield sidecar
    sidecar.close()


def sign_in(visit: Monitor, key: str = KEY) -> None:
    visit.page.get_by_label("Key").fill(key)
    visit.page.get_by_role("button", name="Sign in").click()


def test_signing_in_away_and_out(browser: Browser, restartable: Restartable) -> None:
    """One session, through a restart, to its end."""
    visit = Monitor(browser, restartable.admin)
    visit.page.clock.install()
    check_signing_in(visit)
    requests = visit.page.locator("[data-figure='figures.requests']")
    restartable.ask()
    visit.hurry()
    expect(requests).to_have_text("1")
    check_untraced(visit)
    restartable.stop()
    expect(visit.state).to_have_text("No connection")
    expect(visit.detail).to_have_text(re.compile(r"since [\d:]+: the sidecar does not answer\. Next try in \d+ s\.$"))
    expect(visit.page.get_by_role("button", name="Try now")).to_be_visible()
    assert violations(visit.page) == []
    restartable.start()
    visit.hurry_to_life()
    expect(visit.detail).to_be_empty()
    restartable.ask()
    visit.hurry()
    expect(visit.page.locator("[data-figure='metrics.totalRequests']")).to_have_text("1")
    restartable.freeze()
    assert visit.wrong_figures(restartable, "overview") == []
    check_end_of_session(visit)
    expected = ("401", "ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING", "WebSocket")
    assert [each for each in visit.complaints if not any(part in each for part in expected)] == []
    visit.close()


def check_signing_in(visit: Monitor) -> None:
    """With a form, which leads to what was asked for."""
    page = visit.page
    page.goto(f"{visit.admin}/monitoring?section=requests&tier=Q4")
    for theme in THEMES:
        visit.show((360, 740), theme)
        assert violations(page) == []
    sign_in(visit, "another")
    expect(page.get_by_role("alert")).to_contain_text("not one of the keys")
    sign_in(visit)
    expect(visit.state).to_have_text("Live")
    expect(page.locator("section#requests")).to_be_visible()
    expect(page.get_by_label("Tier")).to_have_value("Q4")
    page.get_by_role("button", name="Clear").click()
    visit.go("overview")


def check_untraced(visit: Monitor) -> None:
    """Without OpenTelemetry, a request is part of no trace."""
    visit.go("requests")
    opener = visit.page.locator("#finished .opener").first
    visit.hurry_to(opener)
    opener.click()
    expect(visit.page.locator("[data-fact='Trace id']")).to_have_text("none: it was not traced")
    visit.go("overview")


def check_end_of_session(visit: Monitor) -> None:
    """Signed out by oneself, and by losing the cookie."""
    visit.page.get_by_role("button", name="Sign out").click()
    expect(visit.page.get_by_label("Key")).to_be_visible()
    sign_in(visit)
    expect(visit.state).to_have_text("Live")
    visit.context.clear_cookies()
    visit.hurry()
    expect(visit.state).to_have_text("Signed out")
    visit.page.locator("#connection").get_by_role("button", name="Sign in").click()
    expect(visit.page.get_by_label("Key")).to_be_visible()


def test_blocked_streams_are_polled_instead(browser: Browser, page_world: PageWorld) -> None:
    visit = Monitor(browser, page_world.sidecar.admin)
    blocked = [True]

    def connect(route: WebSocketRoute) -> None:
        if blocked:
            route.close()
        else:
            route.connect_to_server()

    visit.page.clock.install()
    visit.page.route_web_socket(SOCKET, connect)
    visit.page.route(EVENTS, lambda route: route.abort() if blocked else route.continue_())
    visit.open()
    expect(visit.state).to_have_text("Live by polling")
    with page_world.slow_stream() as stream:
        row = visit.page.locator("#active tr[data-request]")
        visit.hurry_to(row)
        stream.grow()
        visit.hurry()
        expect(row.locator(".tokens")).to_have_text("21")
    for section in ("overview", "routing", "resources"):
        visit.go(section)
        visit.hurry()
        assert visit.wrong_figures(page_world, section) == []
    blocked.clear()
    visit.hurry_to_life()
    assert {each for each in visit.complaints if "ERR_FAILED" not in each} == set()
    visit.close()


def test_a_hidden_page_costs_nothing(browser: Browser, page_world: PageWorld) -> None:
    visit = Monitor(browser, page_world.sidecar.admin)
    page = visit.page
    page.clock.install()
    with page.expect_websocket() as opened:
        visit.open()
    expect(visit.state).to_have_text("Live")
    socket = opened.value
    with socket.expect_event("close"):
        page.evaluate(HIDE, True)
    expect(visit.state).to_have_text("Paused")
    assert visit.settle(lambda: ["a stream"] if connections(page_world) else []) == []
    asked = len(visit.requests)
    page.clock.run_for(60_000)
    assert len(visit.requests) == asked
    page.evaluate(HIDE, False)
    expect(visit.state).to_have_text("Live")
    visit.check(visit.admin)
    visit.close()


def connections(world: PageWorld) -> int:
    """Live streams of the sidecar."""
    return int(world.sidecar.metrics().sum("llm_sidecar_open_connections", listener="admin"))
