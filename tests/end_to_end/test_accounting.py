"""What the sidecar counts is what llama-server counts, to the token, with and without speculative decoding; and every
request is one record.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Iterator

import httpx
import pytest

from exporter.demo.engine import Engine
from exporter.demo.model import cached_model
from exporter.demo.traffic import COUNTABLE_KINDS, ClientView, Kind, Result, plan, play_all
from tests.end_to_end.sidecar import Metrics, Sidecar

USERS = 6
TIMED_KINDS = COUNTABLE_KINDS - {Kind.MESSAGES, Kind.RESPONSES}
"""Of these llama-server also tells the drafts."""


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "drafts"])
def drafts(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture(scope="module")
def own_engine(start_engine: Callable[..., Engine], drafts: bool, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """An engine that only this module's sidecar talks to, so that its counters tell of our requests alone."""
    if not drafts:
        return start_engine(alias="accounted")
    draft = cached_model(tmp_path_factory.mktemp("draft"), layers=1, embedding=32)
    return start_engine(alias="accounted", draft=draft)


@pytest.fixture
def sidecar(own_engine: Engine) -> Iterator[Sidecar]:
    with Sidecar("--upstream", own_engine.url) as running:
        yield running


def engine_tokens(engine: Engine) -> tuple[float, float]:
    """Prompt tokens, cached ones included, and generated tokens, as the engine counts them."""
    metrics = Metrics(httpx.get(f"{engine.url}/metrics").text)
    prompt = metrics.sum("llamacpp:prompt_tokens_total") + metrics.sum("llamacpp:prompt_tokens_cached_total")
    return prompt, metrics.sum("llamacpp:tokens_predicted_total")


def engine_drafts(engine: Engine) -> tuple[float, float]:
    """Drafted tokens, and those of them that were accepted, as the engine counts them."""
    metrics = Metrics(httpx.get(f"{engine.url}/metrics").text)
    drafted = metrics.sum("llamacpp:spec_decode_num_draft_tokens_total")
    return drafted, metrics.sum("llamacpp:spec_decode_num_accepted_tokens_total")


def our_tokens(metrics: Metrics) -> tuple[float, float]:
    name = "gen_ai_client_token_usage_sum"
    return metrics.sum(name, gen_ai_token_type="input"), metrics.sum(name, gen_ai_token_type="output")


def play(sidecar: Sidecar, kinds: Collection[Kind], count: int, seed: int = 7) -> list[ClientView]:
    return asyncio.run(play_all(sidecar.proxy, plan(seed, count, kinds), users=USERS))


def played(sidecar: Sidecar, count: int) -> Metrics:
    """The metrics when all records have been counted."""
    sidecar.wait_until(lambda: sidecar.metrics().sum("llm_requests_total") >= count)
    return sidecar.metrics()


def test_tokens_equal_the_servers_own(sidecar: Sidecar, own_engine: Engine, drafts: bool) -> None:
    before = engine_tokens(own_engine)
    views = play(sidecar, COUNTABLE_KINDS, 120 if drafts else 300)
    assert not [view for view in views if view.result is Result.BROKEN]
    after = engine_tokens(own_engine)
    metrics = played(sidecar, len(views))
    assert our_tokens(metrics) == (after[0] - before[0], after[1] - before[1])
    assert after[1] > before[1]
    assert metrics.sum("llm_requests_total") == len(views)
    assert metrics.sum("llm_sidecar_parse_errors_total") == 0
    assert metrics.sum("llm_sidecar_sink_errors_total") == 0


def test_drafts_equal_the_servers_own(sidecar: Sidecar, own_engine: Engine, drafts: bool) -> None:
    before = engine_drafts(own_engine)
    views = play(sidecar, TIMED_KINDS, 80)
    after = engine_drafts(own_engine)
    metrics = played(sidecar, len(views))
    ours = metrics.sum("llm_draft_tokens_total"), metrics.sum("llm_draft_tokens_accepted_total")
    assert ours == (after[0] - before[0], after[1] - before[1])
    assert (ours[0] > ours[1] > 0) if drafts else (ours == (0, 0))


def test_tokens_of_messages_streams(sidecar: Sidecar, own_engine: Engine) -> None:
    """The server now and then leaves `message_start` out, and with it the input tokens of that stream."""
    before = engine_tokens(own_engine)
    views = play(sidecar, {Kind.MESSAGES_STREAM}, 30)
    after = engine_tokens(own_engine)
    metrics = played(sidecar, len(views))
    ours = our_tokens(metrics)
    assert ours[1] == after[1] - before[1] > 0
    known = metrics.sum("gen_ai_client_token_usage_count", gen_ai_token_type="input")
    if known == len(views):
        assert ours[0] == after[0] - before[0]
    else:
        assert ours[0] < after[0] - before[0]


def test_every_request_is_one_record(sidecar: Sidecar) -> None:
    views = play(sidecar, frozenset(Kind), 168)
    metrics = played(sidecar, len(views))
    assert metrics.sum("llm_requests_total") == len(views)
    left = [view for view in views if view.aborted]
    assert left
    # A client that meant to leave may have been served first; one that left cannot count as completed by more than
    # that.
    gone = metrics.sum("llm_requests_total", outcome="client_gone")
    assert 0 < gone <= len(left)
    refused = sum(view.result is Result.REFUSED for view in views)
    assert metrics.sum("llm_requests_total", outcome="upstream_error") == refused > 0
    assert metrics.sum("llm_requests_in_flight") == 0
    sent = Counter(exchange.origin or "unknown" for exchange in plan(7, len(views), frozenset(Kind)))
    origins = {s.labels["origin"]: s.value for s in metrics.samples if s.name == "llm_origin_requests_total"}
    assert origins == sent


def test_connections_count_while_they_are_open(sidecar: Sidecar) -> None:
    def connected(proxy: int, admin: int) -> bool:
        metrics = sidecar.metrics()
        name = "llm_sidecar_open_connections"
        return (metrics.sum(name, listener="proxy"), metrics.sum(name, listener="admin")) == (proxy, admin)

    assert connected(0, 0)
    with httpx.Client(base_url=sidecar.proxy) as one, httpx.Client(base_url=sidecar.proxy) as other:
        for client in (one, other):
            client.get("/v1/models").raise_for_status()
        assert connected(2, 0)
        with httpx.stream("GET", f"{sidecar.admin}/metrics/active-requests/stream") as stream:
            events = stream.iter_raw()
            next(events)
            assert connected(2, 1)
        sidecar.wait_until(lambda: connected(2, 0))
    sidecar.wait_until(lambda: connected(0, 0))
