"""The built-in page fits screens, keeps still, can be used by everybody, and takes no name for markup."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Route, expect

from exporter.demo.engine import Engine
from tests.end_to_end.accessible import violations
from tests.end_to_end.page import SECTIONS, THEMES, Monitor
from tests.end_to_end.page_world import PageWorld

SIZES = ((360, 740), (1280, 800), (3840, 2160))
OVERFLOWS = """() => {
  const found = [], root = document.scrollingElement;
  if (root.scrollWidth > root.clientWidth) found.push(`the page: ${root.scrollWidth} of ${root.clientWidth}`);
  const cut = (node) => node.closest(".cut, .unseen, .scroll, .tile .note, nav") !== null;
  for (const node of document.querySelectorAll("main *, header *, footer *")) {
    if (!node.checkVisibility() || cut(node) || node.closest(".u-wrap")) continue;
    const name = `${node.tagName} ${node.id || node.className} in ${node.closest(".card")?.innerText.slice(0, 20)}`;
    if (node.clientWidth && node.scrollWidth > node.clientWidth + 1) found.push(`${name}: wider than its place`);
    if (node.getBoundingClientRect().right > innerWidth + 1) found.push(`${name}: right of the screen`);
  }
  return found;
}"""
PLACES = ("health", "trend", "active", "tiers")
MARKUP = '<img src=x onerror="window.wasRun=1">'


@pytest.fixture(scope="module")
def visit(browser: Browser, page_world: PageWorld) -> Iterator[Monitor]:
    visit = Monitor(browser, page_world.sidecar.admin)
    yield visit.open()
    visit.check(page_world.sidecar.admin)
    visit.close()


def open_first(visit: Monitor) -> None:
    """The newest of the finished requests, so that its timeline is seen, too."""
    opener = visit.page.locator("#finished .opener").first
    if opener.get_attribute("aria-expanded") != "true":
        opener.click()


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_it_fits_the_screen(visit: Monitor, size: tuple[int, int], theme: str) -> None:
    visit.show(size, theme)
    for section in SECTIONS:
        visit.go(section)
        if section == "requests":
            open_first(visit)
        assert visit.settle(lambda: list(visit.page.evaluate(OVERFLOWS))) == [], section


def test_large_figures_fit_a_phone(browser: Browser, page_world: PageWorld) -> None:
    """Of a busy machine that has run for years."""

    def enlarge(route: Route) -> None:
        document = route.fetch().json()
        metrics = {"totalRequests": 987_654_321, "avgResponseTime": 5e6, "uptime": 90_000_000, "activeModels": 1000}
        document["metrics"] |= {**metrics, **dict.fromkeys(("cpuUsage", "memoryUsage", "diskUsage"), 100.0)}
        route.fulfill(json=document)

    visit = Monitor(browser, page_world.sidecar.admin)
    visit.page.route("**/api/metrics?envelope=0", enlarge)
    visit.show(SIZES[0])
    visit.open()
    expect(visit.page.locator("[data-figure='metrics.totalRequests']")).to_have_text("987,654,321")
    assert visit.settle(lambda: list(visit.page.evaluate(OVERFLOWS))) == []
    visit.page.evaluate("document.querySelector('.tile .value').style.width = '2rem'")
    assert visit.page.evaluate(OVERFLOWS), "these tests would not notice"
    visit.close()


@pytest.mark.parametrize("size", SIZES[:2], ids=lambda size: f"{size[0]}x{size[1]}")
def test_nothing_jumps(visit: Monitor, page_world: PageWorld, size: tuple[int, int]) -> None:
    visit.show(size)
    visit.go("overview")
    row = visit.page.locator("#active tr[data-request]")
    total = visit.page.locator("[data-figure='metrics.totalRequests']")
    expect(row).to_have_count(0)
    before = total.inner_text()

    def places() -> dict[str, object]:
        return {place: visit.page.locator(f"#{place}").bounding_box() for place in PLACES}

    still = places()
    with page_world.slow_stream("a-rather-long-name-of-a-model-that-nobody-has-" + "x" * 60) as stream:
        expect(row).to_have_count(1)
        expect(row.locator(".tier")).to_have_text("Q3")
        assert places() == still
        stream.grow()
        expect(row.locator(".tokens")).to_have_text("21")
        assert places() == still
        stream.finish()
    expect(row).to_have_count(0)
    expect(total).not_to_have_text(before)
    assert places() == still


@pytest.mark.parametrize("theme", THEMES)
def test_everybody_can_use_it(visit: Monitor, theme: str) -> None:
    visit.show((1280, 800), theme)
    for section in SECTIONS:
        visit.go(section)
        if section == "requests":
            open_first(visit)
        assert violations(visit.page) == [], section


def test_names_are_text(visit: Monitor, page_world: PageWorld, engine: Engine) -> None:
    """A client may send any name, and whoever manages models may give any."""
    page, world = visit.page, page_world
    model = {"name": MARKUP, "path": str(engine.options.model)}
    registered = world.http.post("/api/models", json={"models": [model]})
    assert registered.status_code == 200, registered.text
    visit.open()
    with world.slow_stream(MARKUP) as stream:
        expect(page.locator("#active").get_by_text(MARKUP)).to_be_visible()
        record = world.stored(stream.finish())
    visit.go("models")
    expect(page.locator("#model-list").get_by_text(MARKUP, exact=True)).to_be_visible()
    visit.go("requests")
    visit.row(record["request_id"]).locator(".opener").click()
    expect(page.locator("#finished [data-fact='Asked for']")).to_have_text(MARKUP)
    check_nothing_ran(visit)
    visit.open(section="requests", model=MARKUP, request=MARKUP)
    expect(page.locator("#filters").get_by_label("Model")).to_have_value(MARKUP)
    expect(page.locator("#requests-empty")).to_contain_text("No such request")
    check_nothing_ran(visit)


def check_nothing_ran(visit: Monitor) -> None:
    """No element was made of it, no script ran, and nothing was loaded."""
    assert visit.page.locator("main img").count() == 0
    assert visit.page.evaluate("window.wasRun") is None
    assert [request.url for request in visit.requests if request.url.endswith("/x")] == []


def test_it_may_ask_nobody_else(browser: Browser, page_world: PageWorld) -> None:
    """A browser would not let it, either, and these tests would notice."""
    policy = page_world.http.get("/monitoring").headers["content-security-policy"]
    rules = dict(rule.split(maxsplit=1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == rules["connect-src"] == rules["style-src"] == "'self'"
    visit = Monitor(browser, page_world.sidecar.admin).open()
    visit.page.evaluate("new Image().src = 'http://127.0.0.1:9/elsewhere'")
    assert (
        visit.settle(lambda: [] if any("policy: img-src" in each for each in visit.complaints) else ["nothing"]) == []
    )
    visit.close()
