"""What models are doing, as events and lists say in whatever order they come."""

from __future__ import annotations

import pytest

from exporter.models.model import Kind, Status
from exporter.models.router import states as module
from exporter.models.router.events import RouterEvent
from exporter.models.router.states import DIED, INTERRUPTED, NO_REASON
from exporter.system.model_facts import ListedModel
from exporter.system.snapshot import ModelState
from tests.models.watched import Watched

LOADING, LOADED, UNLOADED = ModelState.LOADING, ModelState.LOADED, ModelState.UNLOADED
SLEEPING, FAILED = ModelState.SLEEPING, ModelState.FAILED


@pytest.fixture
def watched() -> Watched:
    watched = Watched()
    watched.show(UNLOADED)
    assert watched.take() == [Kind.CHANGED]
    return watched


def load(watched: Watched) -> None:
    watched.hear(LOADING)
    watched.now += 2
    watched.hear(LOADED)
    watched.take()


def test_a_load_and_an_unload_that_others_asked_for(watched: Watched) -> None:
    assert watched.hear(LOADING)
    assert (watched.a.status, watched.a.progress) == (Status.LOADING, None)
    watched.now += 1
    for _ in range(2):
        watched.hear(LOADING, progress=0.5, stage="text_model")
    assert (watched.a.progress, watched.a.stage) == (0.5, "text_model")
    watched.now += 2
    watched.hear(LOADED, info=ListedModel("a", context_size=512))
    assert (watched.a.status, watched.a.load_seconds, watched.a.loaded_at) == (Status.RUNNING, 3.0, 1e9 + 103)
    assert watched.take() == [Kind.LOADING, Kind.LOADING, Kind.LOADED]
    watched.hear(UNLOADED, exit_code=0)
    assert (watched.a.status, watched.a.load_seconds, watched.a.loaded_at) == (Status.STOPPED, 3.0, None)
    assert watched.take() == [Kind.UNLOADED]


def test_a_load_of_ours_is_told_once(watched: Watched) -> None:
    state = watched.states.asked_to_load("a")
    watched.hear(LOADING)
    watched.states.answered(state, begun=True)
    watched.hear(LOADED)
    assert watched.take() == [Kind.LOADING, Kind.LOADED]


def test_a_load_that_is_refused_is_over(watched: Watched) -> None:
    watched.states.answered(watched.states.asked_to_load("a"), begun=False)
    assert watched.a.status is Status.STOPPED
    assert watched.take() == [Kind.LOADING, Kind.UNLOADED]


def test_a_load_that_fails_before_the_order_is_answered(watched: Watched) -> None:
    state = watched.states.asked_to_load("a")
    watched.hear(LOADING)
    assert watched.hear(UNLOADED, exit_code=1)
    watched.states.answered(state, begun=True)
    assert (watched.a.status, watched.a.error) == (Status.ERROR, NO_REASON)
    assert watched.take() == [Kind.LOADING, Kind.FAILED]
    watched.show(FAILED)
    assert watched.take() == []


def test_the_end_of_the_process_before_is_not_that_of_the_load(watched: Watched) -> None:
    watched.states.asked_to_load("a")
    assert not watched.hear(UNLOADED, exit_code=0)
    assert watched.a.status is Status.LOADING


def test_a_list_that_is_older_than_an_order_says_nothing_of_it(watched: Watched) -> None:
    since = watched.states.version
    state = watched.states.asked_to_load("a")
    watched.show(UNLOADED)  # asked for before the router had the order
    watched.show()
    watched.states.answered(state, begun=True)
    watched.show(UNLOADED, since=since)
    watched.show(since=since)
    assert watched.a.status is Status.LOADING
    watched.show(LOADING)
    watched.show(LOADED)
    assert (watched.a.status, watched.take()) == (Status.RUNNING, [Kind.LOADING, Kind.LOADED])


@pytest.mark.parametrize(
    ("listed", "error"), [(UNLOADED, INTERRUPTED), (FAILED, "out of memory")], ids=["restarted", "failed"]
)
def test_a_load_whose_end_was_not_heard(watched: Watched, listed: ModelState, error: str) -> None:
    watched.words["a"] = "out of memory"
    watched.states.answered(watched.states.asked_to_load("a"), begun=True)
    watched.show(listed)
    assert (watched.a.status, watched.a.error) == (Status.ERROR, error)
    assert watched.take() == [Kind.LOADING, Kind.FAILED]


def test_the_death_of_a_process(watched: Watched) -> None:
    load(watched)
    watched.words["a"] = "said while it was loading"
    watched.hear(UNLOADED, exit_code=1)
    assert (watched.a.status, watched.a.error, watched.take()) == (Status.ERROR, DIED, [Kind.FAILED])
    watched.hear(LOADING)
    assert (watched.a.status, watched.a.error) == (Status.LOADING, None)


@pytest.mark.parametrize("loading", [True, False])
def test_what_we_told_to_go_has_not_failed(watched: Watched, loading: bool) -> None:
    watched.hear(LOADING)
    if not loading:
        watched.hear(LOADED)
    watched.states.asked_to_unload(watched.a)
    watched.hear(LOADING, progress=1.0)  # said before
    watched.show(LOADED)
    assert watched.a.status is Status.UNLOADING
    watched.hear(UNLOADED, exit_code=1)
    watched.show(FAILED)
    assert (watched.a.status, watched.a.error) == (Status.STOPPED, None)
    assert watched.take()[-2:] == [Kind.CHANGED, Kind.UNLOADED]


def test_the_news_of_an_end_that_a_list_has_told_already(watched: Watched) -> None:
    load(watched)
    watched.states.asked_to_unload(watched.a)
    watched.show(UNLOADED)
    watched.hear(UNLOADED, exit_code=1)
    assert (watched.a.status, watched.take()) == (Status.STOPPED, [Kind.CHANGED, Kind.UNLOADED])
    watched.hear(LOADING)
    watched.hear(UNLOADED, exit_code=1)
    assert (watched.a.status, watched.take()) == (Status.ERROR, [Kind.LOADING, Kind.FAILED])


def test_the_news_of_a_load_that_a_list_has_told_already(watched: Watched) -> None:
    watched.hear(LOADING)
    watched.now += 2
    watched.show(LOADED)
    assert not watched.hear(LOADING, progress=1.0)
    watched.hear(LOADED)
    assert (watched.a.status, watched.a.load_seconds) == (Status.RUNNING, 2.0)
    assert watched.take() == [Kind.LOADING, Kind.LOADED]


def test_an_unload_that_does_not_come_about(watched: Watched) -> None:
    load(watched)
    watched.states.asked_to_unload(watched.a)
    watched.states.stays(watched.a, Status.RUNNING)
    assert watched.a.status is Status.RUNNING
    watched.states.asked_to_unload(watched.a)
    watched.now += module.UNLOAD_SECONDS
    watched.show(LOADED)
    assert watched.a.status is Status.RUNNING
    watched.hear(UNLOADED, exit_code=1)
    assert watched.a.error == DIED


def test_sleep_and_waking(watched: Watched) -> None:
    load(watched)
    watched.hear(SLEEPING)
    assert (watched.a.status, watched.take()) == (Status.IDLE, [Kind.CHANGED])
    watched.show(SLEEPING)
    assert watched.take() == []
    watched.hear(LOADING, progress=0.0)
    watched.hear(LOADED)
    assert (watched.a.status, watched.take()) == (Status.RUNNING, [Kind.LOADING, Kind.LOADED])


def test_the_first_list_tells_what_may_be_so_for_long() -> None:
    for state, status in ((LOADED, Status.RUNNING), (SLEEPING, Status.IDLE), (FAILED, Status.ERROR)):
        watched = Watched()
        watched.show(state)
        assert (watched.a.status, watched.a.loaded_at, watched.take()) == (status, None, [Kind.CHANGED])
        assert watched.a.error == (NO_REASON if state is FAILED else None)


@pytest.mark.parametrize(
    ("state", "status", "kind"),
    [(LOADED, Status.STOPPED, Kind.UNLOADED), (LOADING, Status.ERROR, Kind.FAILED), (UNLOADED, Status.STOPPED, None)],
)
def test_the_router_goes(watched: Watched, state: ModelState, status: Status, kind: Kind | None) -> None:
    watched.hear(state)
    watched.take()
    for _ in range(2):
        watched.states.away()
    assert (watched.a.status, watched.take()) == (status, [kind] if kind else [])
    watched.show(LOADED)
    assert (watched.a.status, watched.take()) == (Status.RUNNING, [Kind.LOADED])


@pytest.mark.parametrize(("state", "kind"), [(UNLOADED, Kind.CHANGED), (LOADED, Kind.UNLOADED)])
def test_a_model_that_is_listed_no_longer(watched: Watched, state: ModelState, kind: Kind) -> None:
    watched.hear(state)
    watched.take()
    watched.show()
    assert (watched.states.get("a"), watched.take()) == (None, [kind])


def test_another_router(watched: Watched) -> None:
    load(watched)
    watched.states.forget()
    assert (list(watched.states), watched.take()) == ([], [Kind.UNLOADED])


def test_what_loads_and_what_it_is_also_called(watched: Watched) -> None:
    assert watched.states.find("other") is watched.a
    assert watched.states.find("nobody") is None
    assert watched.states.loading() is None
    watched.hear(LOADING)
    assert watched.states.loading() is watched.a
    assert not watched.states.heard(RouterEvent(None))
