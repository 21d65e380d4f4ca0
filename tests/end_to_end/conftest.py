"""The stage is started with the session, when any test wants it, and the tests that want it come last: Prometheus then
has minutes to look back on, and nobody has waited for them."""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.end_to_end.stage import Stage, stage

FIXTURE = "first_day"
OLD_ENOUGH_SECONDS = 180.0

_STACK = pytest.StashKey[ExitStack]()
_STAGE = pytest.StashKey[Stage | BaseException]()


def _wants_stage(item: pytest.Item) -> bool:
    return FIXTURE in getattr(item, "fixturenames", ())


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_wants_stage)


def pytest_collection_finish(session: pytest.Session) -> None:
    config = session.config
    if config.getoption("collectonly") or not any(map(_wants_stage, session.items)):
        return
    stack = config.stash[_STACK] = ExitStack()
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="first-day-")))
    try:
        config.stash[_STAGE] = stack.enter_context(stage(folder))
    except (Exception, pytest.skip.Exception) as error:
        config.stash[_STAGE] = error


def pytest_sessionfinish(session: pytest.Session) -> None:
    session.config.stash.get(_STACK, ExitStack()).close()


@pytest.fixture(scope="session")
def first_day(pytestconfig: pytest.Config) -> Stage:
    """What a user runs on the first day, three minutes after it was started."""
    found = pytestconfig.stash[_STAGE]
    if isinstance(found, BaseException):
        raise found
    time.sleep(max(0.0, found.began + OLD_ENOUGH_SECONDS - time.monotonic()))
    return found
