"""The page beside the demo, with traffic that never stops: it lives, its counters run with the API's, and requests
come and go in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, expect

from tests.end_to_end.accessible import violations
from tests.end_to_end.page import SECTIONS, Monitor
from tests.end_to_end.stage import Stage

Counters = dict[str, int]


@pytest.fixture
def visit(browser: Browser, first_day: Stage) -> Iterator[Monitor]:
    visit = Monitor(browser, first_day.demo, viewport={"width": 1280, "height": 900}).open()
    yield visit
    visit.close()


def counters(admin: str) -> Counters:
    """What only grows, by the names of the figures."""
    with httpx.Client(base_url=admin, timeout=10, trust_env=False) as api:
        metrics, tiers, routing = (api.get(f"/api/metrics{path}").json() for path in ("", "/tiers", "/routing"))
    found = {"metrics.totalRequests": metrics["metrics"]["totalRequests"]}
    found |= {f"tiers.{tier['name']}.requestCount": tier["requestCount"] for tier in tiers["tiers"]}
    found |= {f"routing.{each['complexity']}.{each['tier']}": each["count"] for each in routing["decisionMatrix"]}
    return found | {"routing.totalDecisions": routing["accuracyMetrics"]["totalDecisions"]}


def read(visit: Monitor, names: Counters) -> Counters:
    """The same on the page."""
    shown: dict[str, Any] = {}
    for section in ("overview", "routing"):
        visit.go(section)
        shown |= dict(visit.figures(section))
    return {name: int(shown[name].replace(",", "")) for name in names}


def test_counters_run_with_the_api(visit: Monitor, first_day: Stage) -> None:
    before = counters(first_day.demo)

    def behind() -> list[str]:
        """Those that have not come as far yet as the API was before."""
        return [name for name, value in read(visit, before).items() if value < before[name]]

    assert visit.settle(behind) == []
    shown = read(visit, before)
    after = counters(first_day.demo)
    assert {name: value for name, value in shown.items() if not before[name] <= value <= after[name]} == {}
    assert visit.settle(lambda: ["no traffic"] if counters(first_day.demo) == before else []) == []


def test_requests_come_and_go(visit: Monitor, first_day: Stage) -> None:
    lines = visit.page.locator("#active tbody tr[data-request]")
    expect(lines.first).to_be_visible()
    listed = visit.go("requests").locator("#finished tbody tr[data-request]")
    newest = listed.first.get_attribute("data-request")
    assert newest is not None
    expect(listed.first).not_to_have_attribute("data-request", newest)
    for section in SECTIONS:
        visit.go(section)
    assert violations(visit.page) == []
    visit.check(first_day.demo)
