"""Requests on the built-in page: in flight, finished, filtered, and where they stay while they are read."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.end_to_end.page import Monitor
from tests.end_to_end.page_tables import active_rows, finished_rows, part_complaints, parts_of
from tests.end_to_end.page_world import PageWorld, SlowStream
from tests.end_to_end.traced import tree_of


@pytest.fixture(scope="module")
def visit(browser: Browser, page_world: PageWorld) -> Iterator[Monitor]:
    visit = Monitor(browser, page_world.sidecar.admin)
    yield visit.open()
    visit.check(page_world.sidecar.admin)
    visit.close()


def test_a_request_comes_grows_and_goes(visit: Monitor, page_world: PageWorld) -> None:
    visit.go("overview")
    row = visit.page.locator("#active tr[data-request]")
    with page_world.slow_stream() as stream:
        expect(row).to_have_count(1)
        assert visit.settle(lambda: active_rows(page_world, visit.rows("active"))) == []
        expect(row.locator(".tokens")).to_have_text("1")
        age = row.locator(".age").inner_text()
        stream.grow()
        expect(row.locator(".tokens")).to_have_text("21")
        assert visit.settle(lambda: active_rows(page_world, visit.rows("active"))) == []
        expect(row.locator(".age")).not_to_have_text(age)
        expect(visit.page.locator("#active-count")).to_have_text("1 ")
        visit.go("requests")
        check_end(visit, page_world, stream)
    visit.go("overview")
    expect(row).to_have_count(0)


def check_end(visit: Monitor, world: PageWorld, stream: SlowStream) -> None:
    """It stands first in the list, with its timeline and the id of its trace."""
    seen = stream.finish()
    record = world.stored(seen)
    row = visit.row(record["request_id"])
    expect(row).to_be_visible()
    expect(row).to_have_js_property("rowIndex", 1)
    for text in ("brittle", "Q3", "completed"):
        expect(row.get_by_text(text, exact=True)).to_be_visible()
    assert visit.settle(lambda: finished_rows(world, visit.rows("finished"))) == []
    row.locator(".opener").click()
    shown = parts_of(visit.detail_of(record["request_id"]))
    assert part_complaints(record, shown) == []
    assert shown["Generated tokens"] == "21"
    assert shown["Trace id"] == tree_of(world.receiver, seen).request.trace_id
    row.locator(".opener").click()


def test_filters(visit: Monitor, page_world: PageWorld) -> None:
    visit.go("requests")
    filters = visit.page.locator("#filters")

    def check(query: str) -> None:
        wanted = page_world.document(f"/monitoring/requests?{query}")["requests"]
        assert 0 < len(wanted) < len(page_world.finished())
        assert visit.settle(lambda: finished_rows(page_world, visit.rows("finished"), wanted)) == []
        expect(visit.page.locator("#requests-count")).to_contain_text(f"{len(wanted)} shown")

    for name, value in (("Model", "tiny"), ("Outcome", "failed"), ("Tier", "Q4")):
        filters.get_by_label(name).select_option(value)
        check(visit.page.url.partition("?")[2].replace("section=requests&", ""))
    filters.get_by_label("Model").select_option("brittle")
    expect(visit.page.locator("#requests-empty")).to_contain_text("No such request")
    expect(visit.page.locator("#requests-scroll")).to_be_hidden()
    filters.get_by_role("button", name="Clear").click()
    assert visit.settle(lambda: finished_rows(page_world, visit.rows("finished"))) == []


@pytest.mark.parametrize("way", ["scrolled", "open"])
def test_new_ones_wait_while_the_list_is_read(visit: Monitor, page_world: PageWorld, way: str) -> None:
    visit.go("requests")
    rows = visit.page.locator("#finished tr[data-request]")
    if way == "open":
        rows.first.locator(".opener").click()
    else:
        visit.page.locator("#requests-scroll").evaluate("(node) => node.scrollTo(0, 300)")
    read, newer = rows.nth(12), visit.page.locator("#newer")
    place, count = read.bounding_box(), rows.count()
    with page_world.slow_stream() as stream:
        # One that is seen in flight is looked for when it has ended, and not with the next poll.
        expect(visit.page.locator("#active tr[data-request]:not(.gone)")).to_have_count(1)
        record = page_world.stored(stream.finish())
    expect(newer).to_have_text("Show 1 newer")
    # The button is beside the filters: what is read stays where it is.
    assert read.bounding_box() == place
    expect(rows).to_have_count(count)
    newer.click()
    expect(visit.row(record["request_id"])).to_have_js_property("rowIndex", 1)
    expect(newer).to_be_hidden()
    if way == "open":
        visit.page.locator("#finished .opener[aria-expanded=true]").click()
    visit.page.locator("#requests-scroll").evaluate("(node) => node.scrollTo(0, 0)")


def test_the_address_says_what_is_looked_at(visit: Monitor, page_world: PageWorld) -> None:
    wanted = page_world.document("/monitoring/requests?model=tiny&tier=Q4&outcome=completed")["requests"][3]
    page, filters = visit.page, visit.page.locator("#filters")

    def check() -> None:
        """A filter each, and the open request."""
        for name, value in (("Model", "tiny"), ("Tier", "Q4"), ("Outcome", "completed")):
            expect(filters.get_by_label(name)).to_have_value(value)
        expect(visit.detail_of(wanted["request_id"])).to_contain_text(wanted["trace_id"])

    visit.open(section="requests", model="tiny", tier="Q4", outcome="completed", request=wanted["request_id"])
    check()
    page.reload()
    check()
    visit.go("models")
    assert "section=models" in page.url
    page.go_back()
    check()
    visit.row(wanted["request_id"]).locator(".opener").click()
    expect(visit.detail_of(wanted["request_id"])).to_have_count(0)
    filters.get_by_label("Tier").select_option("")
    page.go_back()
    expect(filters.get_by_label("Tier")).to_have_value("Q4")
    page.go_forward()
    expect(filters.get_by_label("Tier")).to_have_value("")
    expect(page.locator("section#requests")).to_be_visible()


FOCUSED = """() => {
  const node = document.activeElement, style = getComputedStyle(node);
  const visible = node.matches(":focus-visible") && style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
  const name = node.dataset.section || node.name || node.id || node.className;
  return visible || node.matches(".skip") ? name : `${name} without a mark`;
}"""


def test_by_keyboard_alone(visit: Monitor) -> None:
    visit.open(section="requests")
    page, keyboard = visit.page, visit.page.keyboard
    rows = page.locator("#finished tr[data-request]")
    expect(rows.first).to_be_visible()

    def tab() -> str:
        keyboard.press("Tab")
        return str(page.evaluate(FOCUSED))

    assert tab() == "skip"
    expect(page.locator(".skip")).to_be_in_viewport(ratio=1)
    assert [tab() for _ in range(5)] == ["overview", "requests", "models", "routing", "resources"]
    assert [tab() for _ in range(3)] == ["model", "tier", "outcome"]
    assert [tab() for _ in range(3)] == ["clear-filters", "requests-scroll", "opener"]
    keyboard.press("Enter")
    opened = rows.first.locator(".opener")
    expect(opened).to_have_attribute("aria-expanded", "true")
    expect(opened).to_be_focused()
    expect(page.locator("#finished tr.detail")).to_be_visible()
    keyboard.press("Enter")
    expect(page.locator("#finished tr.detail")).to_have_count(0)
    page.locator(".skip").focus()
    keyboard.press("Enter")
    expect(page.locator("#content")).to_be_focused()
    assert tab() == "model"
