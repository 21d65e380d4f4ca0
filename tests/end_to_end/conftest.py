"""The stage of the first day is started with the session, when any test wants it, and the tests that want it come last:
Prometheus then has minutes to look back on, and nobody has waited for them. Tests of the store share an upstream."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from functools import cached_property

import pytest

from tests.bench.targets import start_upstreams
from tests.end_to_end.browser import browser
from tests.end_to_end.page_world import page_world
from tests.end_to_end.stage import Stage, StageProcess, missing

__all__ = ["browser", "page_world"]  # fixtures that several modules share

FIXTURE = "first_day"
OLD_ENOUGH_SECONDS = 180.0
"""At this age a stage has shown all that it has to show, on a slow machine, too."""
LEAST_PATIENCE_SECONDS = 60.0
"""From when the first test wants the stage: the tests before may have left it no CPU."""
MOST_PATIENCE_SECONDS = 200.0
"""From when the first test wants the stage until no check waits any more."""
LIMIT_SECONDS = 230.0
"""From then until no test is begun any more: on a machine on which nothing gets on, they would take an hour to fail."""


class Opening:
    """A stage that starts while other tests run."""

    def __init__(self) -> None:
        self._process = StageProcess()
        self._starting = ThreadPoolExecutor(1).submit(self._process.start)
        # Some tests compare which child processes there are before and after; this one is there before all of them.
        while not (self._process.running or self._starting.done()):
            time.sleep(0.001)

    @cached_property
    def stage(self) -> Stage:
        """It, as soon as it is there. Raises StartupError."""
        asked = self._asked
        self._starting.result()
        stage = self._process.stage
        wanted = max(stage.began + OLD_ENOUGH_SECONDS, asked + LEAST_PATIENCE_SECONDS)
        return replace(stage, patient_until=min(wanted, asked + MOST_PATIENCE_SECONDS))

    @cached_property
    def _asked(self) -> float:
        """Unix seconds at which the first test wanted it."""
        return time.time()

    def check(self) -> None:
        """Fail when it has ended, or is too slow."""
        if not self._process.running:
            pytest.fail(f"the stage has ended: {self._process.last_words()}")
        if time.time() > self._asked + LIMIT_SECONDS:
            pytest.fail("the tests before have had all the time that there is")

    def close(self) -> None:
        """End it, in the middle of its start, too."""
        self._process.stop()
        wait([self._starting])
        self._process.stop()


_OPENING = pytest.StashKey[Opening]()


def _wants_stage(item: pytest.Item) -> bool:
    return FIXTURE in getattr(item, "fixturenames", ())


def pytest_itemcollected(item: pytest.Item) -> None:
    if _wants_stage(item):
        item.add_marker(pytest.mark.engine)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_wants_stage)


def pytest_collection_finish(session: pytest.Session) -> None:
    config = session.config
    if not config.getoption("collectonly") and missing() is None and any(map(_wants_stage, session.items)):
        config.stash[_OPENING] = Opening()


def pytest_sessionfinish(session: pytest.Session) -> None:
    opening = session.config.stash.get(_OPENING, None)
    if opening is not None:
        opening.close()


@pytest.fixture
def first_day(pytestconfig: pytest.Config) -> Stage:
    """What a user runs on the first day; checks that may have come too early ask again (`Stage.settled`)."""
    absent = missing()
    if absent is not None:
        pytest.skip(absent)
    opening = pytestconfig.stash[_OPENING]
    stage = opening.stage
    opening.check()
    return stage


@pytest.fixture(scope="session")
def canned_upstream() -> Iterator[str]:
    """The URL of a server in a process of its own that answers at once what a llama-server once did; see
    `tests.bench.upstream`."""
    with start_upstreams(1) as (port,):
        yield f"http://127.0.0.1:{port}"
