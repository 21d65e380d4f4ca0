"""The built-in page shows what the API says: each figure, and nothing else."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Route, expect

from tests.end_to_end.page import SECTIONS, Monitor
from tests.end_to_end.page_expected import count, figures, notes
from tests.end_to_end.page_reader import complaints
from tests.end_to_end.page_tables import card_texts, finished_rows, model_rows, part_complaints, parts_of
from tests.end_to_end.page_world import PageWorld

NOTES = """[...document.querySelectorAll("#panels .card, #tiles .tile")].flatMap((card) => {
  const name = `${card.closest("section").id} ${card.querySelector("h3").textContent}`;
  const parts = card.querySelector(".note").textContent.split(", ");
  return parts.map((part, place) => [`${name} ${place}`, part.replace("memory ", "")]);
})"""
DOCUMENTS = (
    *("/api/metrics?envelope=0", "/api/metrics/tiers", "/api/metrics/queries", "/api/metrics/resources"),
    *("/api/metrics/routing", "/monitoring/now"),
)
FALSE = 4_711


@pytest.fixture(scope="module")
def monitor(browser: Browser, page_world: PageWorld) -> Iterator[Monitor]:
    visit = Monitor(browser, page_world.sidecar.admin)
    yield visit.open()
    visit.check(page_world.sidecar.admin)
    visit.close()


@pytest.mark.parametrize("section", SECTIONS)
def test_figures_are_those_of_the_documents(monitor: Monitor, page_world: PageWorld, section: str) -> None:
    monitor.go(section)
    assert monitor.wrong_figures(page_world, section) == []


def test_notes_are_those_of_the_documents(monitor: Monitor, page_world: PageWorld) -> None:
    """What stands beneath figures."""
    expected = notes(page_world)
    shown = monitor.page.evaluate(NOTES)
    assert complaints(expected, [(name, text) for name, text in shown if name in expected]) == []


def test_tables_are_those_of_the_documents(monitor: Monitor, page_world: PageWorld) -> None:
    now = page_world.document("/monitoring/now")
    expect(monitor.page.locator("#instance")).to_have_text(now["instance"])
    expect(monitor.page.locator("#version")).to_contain_text(now["version"])
    expect(monitor.health).to_have_text("All 2 llama-servers answer")
    monitor.go("models")
    for upstream in now["upstreams"]:
        for text in card_texts(upstream):
            expect(monitor.page.locator(f"[data-upstream={upstream['name']}]")).to_contain_text(text)
    assert monitor.settle(lambda: model_rows(page_world, monitor.rows("model-list"))) == []
    monitor.go("requests")
    assert monitor.settle(lambda: finished_rows(page_world, monitor.rows("finished"))) == []


def test_timelines_are_those_of_the_requests(monitor: Monitor, page_world: PageWorld) -> None:
    """One of each operation and outcome."""
    some = {(each["operation"], each["outcome"], each["streamed"]): each for each in page_world.finished()}
    assert len(some) > 5
    monitor.go("requests")
    for request in some.values():
        monitor.row(request["request_id"]).locator(".opener").click()
        shown = parts_of(monitor.detail_of(request["request_id"]))
        assert part_complaints(request, shown) == [], request


class Distinct:
    """The same documents with other numbers, each only once: real ones are often 0, and look alike."""

    def __init__(self, world: PageWorld) -> None:
        self._numbers = itertools.count(1)
        self._documents = {path: self._change(world.document(path)) for path in DOCUMENTS}

    def document(self, path: str) -> Any:
        return self._documents[path]

    def answer(self, route: Route) -> None:
        """What the page gets."""
        address = urlsplit(route.request.url)
        route.fulfill(json=self.document(address.path + (f"?{address.query}" if address.query else "")))

    def _change(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self._change(each) for key, each in value.items()}
        if isinstance(value, list):
            return [self._change(each) for each in value]
        if isinstance(value, bool) or not isinstance(value, int | float):
            return value
        number = next(self._numbers)
        return 100 + number if isinstance(value, int) else number * 1.37


def test_no_figure_is_mistaken_for_another(browser: Browser, page_world: PageWorld) -> None:
    told = Distinct(page_world)
    visit = Monitor(browser, page_world.sidecar.admin)
    visit.page.route_web_socket("**/api/metrics/ws", lambda route: route.close())
    visit.page.route(lambda url: url.endswith(DOCUMENTS), told.answer)
    visit.open()
    for section in SECTIONS:
        visit.go(section)
        assert visit.wrong_figures(told, section) == []
    assert visit.complaints == []
    visit.close()


def test_a_wrong_figure_is_noticed(browser: Browser, page_world: PageWorld) -> None:
    """By these tests, if the page shows one."""

    def lie(route: Route) -> None:
        document = route.fetch().json()
        document["metrics"]["totalRequests"] = FALSE
        route.fulfill(json=document)

    visit = Monitor(browser, page_world.sidecar.admin)
    visit.page.route("**/api/metrics?envelope=0", lie)
    visit.open()
    wrong = [f"metrics.totalRequests: '{FALSE:,}', not {figures(page_world)['overview']['metrics.totalRequests']}"]

    def others() -> list[str]:
        found = complaints(figures(page_world)["overview"], visit.figures("overview"))
        return [] if found == wrong else found or ["nothing was noticed"]

    assert visit.settle(others) == []
    visit.close()


def test_missing_and_unknown_figures_are_noticed() -> None:
    expected = {"there": count(3), "gone": count(None)}
    assert complaints(expected, [("there", "3"), ("gone", "–")]) == []
    assert complaints(expected, [("there", "3")]) == ["gone: missing"]
    assert len(complaints(expected, [("there", "3 ms"), ("gone", "0"), ("new", "1")])) == 3
