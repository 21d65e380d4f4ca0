"""What settings and samples mean for routing."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from exporter.backends import has_several, make_backends, make_upstream, read_check, tell_tier
from exporter.routing.health import CheckState
from exporter.settings import UpstreamSettings
from exporter.system.snapshot import LlamaServerSnapshot, ModelSnapshot, ModelState, ServerState

SETTINGS = UpstreamSettings(
    name="box", url="http://a:1/x/", tier="Q4", models=("nick",), weight=2, api_key=SecretStr("s3cret")
)
SMALL = ModelSnapshot("small:Q2_K", ModelState.LOADED, tier="Q2", aliases=("s",), total_slots=2, vision=True)
LARGE = ModelSnapshot("large.gguf", ModelState.UNLOADED, tier="Q4", routed_name="dir/large.gguf", context_size=4096)


def seen(*models: ModelSnapshot, state: ServerState = ServerState.READY, router: bool = False) -> LlamaServerSnapshot:
    return LlamaServerSnapshot("box", ("Q4",), state, router=router, models=models)


def test_an_upstream_as_it_was_configured() -> None:
    upstream = make_upstream(SETTINGS)
    assert (upstream.name, upstream.tier, upstream.weight) == ("box", "Q4", 2.0)
    assert upstream.path_prefix == b"/x"
    assert upstream.models == {"nick"}
    assert upstream.api_key == "s3cret"


def test_no_representation_shows_the_key() -> None:
    assert "s3cret" not in repr(make_backends(make_upstream(SETTINGS), seen(SMALL)))


@pytest.mark.parametrize(
    ("configured", "quantization", "tier"),
    [("small", "Q8_0", "small"), (None, "Q4_K_M", "Q4"), (None, "MXFP4", "Q4"), (None, None, "unknown")],
)
def test_what_is_configured_goes_before_what_the_quantization_says(
    configured: str | None, quantization: str | None, tier: str
) -> None:
    assert tell_tier(configured, quantization) == tier


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (ServerState.READY, CheckState.UP),
        (ServerState.LOADING, CheckState.LOADING),
        (ServerState.UNREACHABLE, CheckState.DOWN),
        (ServerState.ERROR, CheckState.DOWN),
        (ServerState.BUSY, None),
    ],
)
def test_what_a_health_check_says(state: ServerState, expected: CheckState | None) -> None:
    assert read_check(state) is expected


def test_a_server_with_one_model_answers_to_any_name() -> None:
    [backend] = make_backends(make_upstream(SETTINGS), seen(SMALL))
    assert not has_several(seen(SMALL))
    assert (backend.id, backend.model, backend.routed_model) == ("box", "small:Q2_K", None)
    assert backend.names == {"small:Q2_K", "s", "nick"}
    assert (backend.tier, backend.slots, backend.vision, backend.audio) == ("Q2", 2, True, None)


def test_a_server_with_one_model_is_never_unloaded() -> None:
    """While it loads its model, its health says so."""
    [backend] = make_backends(make_upstream(SETTINGS), seen(LARGE))
    assert backend.loaded


@pytest.mark.parametrize("router", [True, False])
def test_one_of_several_models_must_be_asked_for_by_its_own_name(router: bool) -> None:
    server = seen(SMALL, LARGE, router=router)
    small, large = make_backends(make_upstream(SETTINGS), server)
    assert has_several(server)
    assert (small.id, small.routed_model, small.loaded) == ("box/small:Q2_K", "small:Q2_K", True)
    assert (large.id, large.routed_model, large.loaded) == ("box/large.gguf", "dir/large.gguf", False)
    assert small.names == {"small:Q2_K", "s"}
    assert large.context_size == 4096


def test_a_router_with_one_model_is_a_router() -> None:
    sleeping = ModelSnapshot("one", ModelState.SLEEPING)
    [backend] = make_backends(make_upstream(SETTINGS), seen(sleeping, router=True))
    assert (backend.routed_model, backend.loaded, backend.asleep) == ("one", True, True)
