"""Models by tier."""

from __future__ import annotations

from exporter.system.availability import Availability, count_models
from exporter.system.snapshot import LlamaServerSnapshot, ModelSnapshot, ModelState, ServerState


def server(name: str, state: ServerState = ServerState.READY, **models: ModelState) -> LlamaServerSnapshot:
    found = tuple(ModelSnapshot(id=tier, state=its_state, tier=tier) for tier, its_state in models.items())
    return LlamaServerSnapshot(name, tuple(models) or ("Q9",), state, models=found)


def test_models_that_answer_are_available() -> None:
    servers = [
        server("a", Q2=ModelState.LOADED, Q3=ModelState.SLEEPING),
        server("b", Q4=ModelState.UNLOADED),
        server("c", ServerState.UNREACHABLE, Q2=ModelState.LOADED),
    ]
    assert count_models(servers, {"Q2": 2, "Q3": 1, "Q4": 1}) == {
        "Q2": Availability(1, 2),
        "Q3": Availability(1, 1),
        "Q4": Availability(0, 1),
    }


def test_what_is_out_of_rotation_does_not_answer() -> None:
    assert count_models([server("a", Q2=ModelState.LOADED)], {"Q2": 1}, {"a"}) == {"Q2": Availability(0, 1)}


def test_a_server_that_names_no_model_has_one() -> None:
    assert count_models([server("a")], {}) == {"Q9": Availability(1, 1)}


def test_before_anybody_has_looked_nothing_is_known() -> None:
    assert count_models([], {"Q2": 1}) == {"Q2": Availability(None, 1)}


def test_there_are_never_more_available_than_there_are() -> None:
    servers = [server("a", Q2=ModelState.LOADED), server("b", Q2=ModelState.LOADED)]
    assert count_models(servers, {"Q2": 1})["Q2"] == Availability(2, 2)


def test_an_applications_word_goes_first() -> None:
    recorded = {"Q2": Availability(3, 3), "Q7": Availability(0, 1)}
    assert count_models([server("a", Q2=ModelState.UNLOADED)], {"Q2": 1}, recorded=recorded) == recorded
