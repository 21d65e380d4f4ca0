"""The measurement of the built-in page: that it is in the state that is measured, what is compared with what, and what
the table says.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from playwright.sync_api import Browser, Page

from exporter.api.monitoring.page import PATH
from tests.bench.page import NOBODY, SITUATIONS, PageResult, Round, Situation, Sizes, Watched, compare, weigh
from tests.bench.page_browser import LIVE, PATIENCE_MS, PAUSED, POLLING, Wire, open_browser, state_of, visit
from tests.bench.page_table import render_page
from tests.bench.targets import PROXY_COMMAND, Target, start_ours, start_upstreams
from tests.programs import program


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program("chromium")
    with open_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def sidecar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with start_upstreams(1) as (port,), start_ours(tmp_path_factory.mktemp("page"), port, PROXY_COMMAND) as target:
        yield target


def hear(page: Page, wire: Wire) -> None:
    """Until a stream has said something."""
    for _ in range(PATIENCE_MS // 50):
        if wire.messages:
            return
        page.wait_for_timeout(50)
    pytest.fail("the streams say nothing")


@pytest.mark.parametrize("state", [LIVE, POLLING, PAUSED])
def test_the_page_comes_to_the_state_that_is_measured(browser: Browser, sidecar: Target, state: str) -> None:
    wire = Wire()
    with ExitStack() as stack:
        page = visit(stack, browser, f"http://127.0.0.1:{sidecar.admin_port}{PATH}", state, wire)
        page.locator(f"#connection[data-state={state}]").wait_for(timeout=PATIENCE_MS)
        assert state_of(page) == state
        if state == LIVE:
            hear(page, wire)
    assert wire.answers > 10
    assert wire.answer_bytes > 10_000
    assert wire.message_bytes > 0 or state != LIVE
    assert wire.messages == 0 or state != POLLING


def test_what_is_counted_is_that_of_one_page_and_second() -> None:
    wire = Wire(600.0, 300_000.0, 1200.0, 900_000.0)
    assert wire.over(10 * 30.0) == Wire(2.0, 1000.0, 4.0, 3000.0)
    assert wire.over(0.0) == Wire()
    wire.clear()
    assert wire == Wire()


def watched(name: str, *shares: float, traffic: bool = False) -> Watched:
    """A situation in so many rounds."""
    wires = [Wire(2.0 + number, 3000.0, 1.0, 500.0) for number in range(len(shares))]
    rounds = [Round(share, wire) for share, wire in zip(shares, wires, strict=True)]
    return Watched(Situation(name, traffic=traffic), rounds)


def both() -> list[Watched]:
    """Nobody and somebody, without traffic and with it."""
    found = [
        watched(NOBODY, 0.003, 0.004),
        watched("overview", 0.006, 0.009),
        watched(NOBODY, 0.020, 0.030, traffic=True),
        watched("overview", 0.026, 0.034, traffic=True),
    ]
    compare(found)
    return found


def test_a_page_is_compared_with_none_of_the_same_round_and_traffic() -> None:
    nobody, quiet, _, busy = both()
    assert nobody.differences == [0.0, 0.0]
    assert quiet.differences == pytest.approx([0.003, 0.005])
    assert busy.differences == pytest.approx([0.006, 0.004])


def test_each_page_has_one_without_it_to_be_compared_with() -> None:
    nobody = {each.traffic for each in SITUATIONS if each.name == NOBODY}
    assert nobody == {each.traffic for each in SITUATIONS}
    assert all((each.pages == 0) == (each.name == NOBODY) for each in SITUATIONS)


def test_the_page_is_weighed_with_all_that_it_loads(sidecar: Target) -> None:
    sizes = weigh(sidecar)
    assert sizes.files > 10
    assert 0 < sizes.sent_bytes < sizes.plain_bytes / 2


def test_the_table() -> None:
    text = render_page(PageResult(Sizes(19, 142_500, 53_700), both()))
    lines = [line.split() for line in text.splitlines()]
    assert ["no", "page", "3.5", "~29%", *["-"] * 7] in lines
    assert ["overview", "7.5", "~40%", "4.0", "3.0", "5.0", "2.5", "3.0", "1.0", "0.5"] in lines
    assert ["overview", "30.0", "~27%", "5.0", "4.0", "6.0", "2.5", "3.0", "1.0", "0.5"] in lines
    assert "with 5 streams a second, 8 at a time" in text
    assert "the page: 19 files, 142.5 KB, 53.7 KB as they are sent" in text
