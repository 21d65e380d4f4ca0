"""How fast models were, and what they are doing, beside each of them."""

from __future__ import annotations

from typing import Any

from exporter.api.nextjs.live.pages.activity import Activity
from exporter.api.nextjs.live.pages.documents import model
from exporter.live.active import ActiveRequests
from exporter.models.model import Model, Status
from exporter.system.snapshot import LlamaServerSnapshot, ModelSnapshot, ModelState, ServerState, Snapshot
from tests.api.vandamme.traffic import in_flight
from tests.api.views import Clock, make_live, make_views
from tests.telemetry.examples import record

A = Model("a", Status.RUNNING, upstream="Q4")
ONE = ModelSnapshot("served", ModelState.LOADED)


def server(*models: ModelSnapshot, router: bool = False) -> Snapshot:
    return Snapshot(servers={"Q4": LlamaServerSnapshot("Q4", ("Q4",), ServerState.READY, models=models, router=router)})


def shown(found: Model, **fields: Any) -> tuple[Any, Any]:
    """What a card shows: tokens a second, and requests."""
    document = model(found, Activity(make_views(**fields)))
    return document.get("tokensPerSec"), document["activeRequests"]


def test_the_latest_speed_that_is_known() -> None:
    live = make_live(Clock())
    for speed in (10.0, 41.256, None):
        live.record(record(upstream="Q4", served_model="a", output_tokens_per_second=speed))
    live.record(record(upstream="Q4", served_model="b", output_tokens_per_second=7.0))
    live.record(record(upstream="Q3", served_model="a", output_tokens_per_second=8.0))
    assert shown(A, live=live) == (41.26, 0)
    assert shown(Model("c", Status.RUNNING, upstream="Q4"), live=live) == (None, 0)
    assert shown(Model("a", Status.STOPPED), live=live) == (None, 0)


def test_requests_in_flight() -> None:
    active = ActiveRequests()
    for number, served in enumerate(("a", "a", "b", None)):
        active.start(in_flight(number, served=served, model="a"))
    active.start(in_flight(9, served="a", upstream="Q3"))
    assert shown(A, active=active) == (None, 3)


def test_a_llama_server_with_one_model_answers_everything_with_it() -> None:
    active, live = ActiveRequests(), make_live(Clock())
    active.start(in_flight(model="whatever"))
    live.record(record(upstream="Q4", served_model=None, output_tokens_per_second=5.0))
    assert shown(A, active=active, live=live, snapshot=lambda: server(ONE)) == (5.0, 1)
    assert shown(A, active=active, live=live, snapshot=lambda: server(ONE, router=True)) == (None, 0)
    assert shown(A, active=active, live=live, snapshot=lambda: server(ONE, ONE)) == (None, 0)
