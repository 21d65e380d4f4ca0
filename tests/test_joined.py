"""What each model is asked, and was asked last."""

from __future__ import annotations

from exporter.joined import ModelUse
from exporter.live.active import ActiveRequests
from exporter.live.history import History
from exporter.system.snapshot import LlamaServerSnapshot, ModelSnapshot, ModelState, ServerState, Snapshot
from tests.api.vandamme.traffic import in_flight
from tests.live.queries import query

ONE, OTHER = ModelSnapshot("one", ModelState.LOADED), ModelSnapshot("other", ModelState.LOADED)


def snapshot(*models: ModelSnapshot, router: bool = False) -> Snapshot:
    server = LlamaServerSnapshot("Q4", ("Q4",), ServerState.READY, models=models, router=router)
    return Snapshot(servers={"Q4": server})


def use(active: ActiveRequests, history: History, *models: ModelSnapshot, router: bool = False) -> ModelUse:
    latest = snapshot(*models, router=router)
    return ModelUse(lambda: latest, active, history)


def test_requests_in_flight_are_counted_by_the_model_that_serves_them() -> None:
    active = ActiveRequests()
    for number, served in enumerate(("one", "one", "other", None)):
        active.start(in_flight(number, served=served, model="one"))
    active.start(in_flight(7, served="one", upstream="Q3"))
    active.start(in_flight(8, upstream=None, model="one"))
    counted = use(active, History(), ONE, OTHER).in_flight()
    assert counted == {("Q4", "one"): 3, ("Q4", "other"): 1, ("Q3", "one"): 1}


def test_when_a_model_was_last_used() -> None:
    history = History()
    history.add(query(upstream="Q4", served_model="one", wall=100.0, latency_seconds=2.0))
    history.add(query(upstream="Q4", served_model=None, wall=200.0, latency_seconds=2.0))
    several = use(ActiveRequests(), history, ONE, OTHER)
    assert (several.last_used("Q4", "one"), several.last_used("Q4", "other")) == (102.0, None)
    assert several.last_used("Q3", "one") is None


def test_another_sample_has_another_model() -> None:
    active, history, now = ActiveRequests(), History(), [snapshot(ONE)]
    active.start(in_flight(model="whatever"))
    found = ModelUse(lambda: now[0], active, history)
    assert found.in_flight() == {("Q4", "one"): 1}
    now[0] = snapshot(OTHER)
    assert found.in_flight() == {("Q4", "other"): 1}


def test_a_llama_server_with_one_model_answers_everything_with_it() -> None:
    active, history = ActiveRequests(), History()
    active.start(in_flight(model="whatever"))
    history.add(query(upstream="Q4", served_model="one", wall=100.0, latency_seconds=2.0))
    history.add(query(upstream="Q4", served_model=None, wall=200.0, latency_seconds=2.0))
    alone = use(active, history, ONE)
    assert (dict(alone.in_flight()), alone.last_used("Q4", "one")) == ({("Q4", "one"): 1}, 202.0)
    router = use(active, history, ONE, router=True)
    assert (dict(router.in_flight()), router.last_used("Q4", "one")) == ({("Q4", "whatever"): 1}, 102.0)
