"""Several upstreams: which of them gets a request, what it gets to see of it, and what the client is told."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from exporter.proxy.forward import Limits
from exporter.record import Complexity, Outcome, RequestRecord, RoutingReason
from exporter.routing.backend import Backend
from exporter.settings.routing import RoutingSettings
from tests.fakes.answers import Answer, Script, close, json_reply, reply, request_received
from tests.fakes.llama_server import FakeServer
from tests.fakes.wire import chunk, last_chunk
from tests.proxy.harness import Clock, Proxy, ask, running_proxy
from tests.proxy.unreachable import refusing

OK = json_reply({"ok": True})
TIERS = ("Q2", "Q3", "Q4")
WORDS = {"SIMPLE": 10, "MODERATE": 60, "COMPLEX": 140}
"""1 and 0.05 a word are the score, as none of them means anything."""
LEVELS = [("SIMPLE", "Q2"), ("MODERATE", "Q3"), ("COMPLEX", "Q4")]


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def chat(*fields: tuple[str, str], model: str | None = "auto", text: str = "river", **more: Any) -> bytes:
    document = {"messages": [user(text)], **({} if model is None else {"model": model}), **more}
    return ask("POST", "/v1/chat/completions", *fields, body=json.dumps(document).encode())


@contextlib.asynccontextmanager
async def tiered(script: Script = OK, tiers: Sequence[str] = TIERS, **options: Any) -> AsyncIterator[Tiered]:
    """A server for each tier, and a proxy in front of them."""
    async with contextlib.AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(FakeServer(script)) for _ in tiers]
        urls = [server.url for server in servers]
        yield Tiered(servers, await stack.enter_async_context(running_proxy(*urls, tiers=tiers, **options)))


class Tiered:
    """These servers and their proxy."""

    def __init__(self, servers: list[FakeServer], proxy: Proxy) -> None:
        self.servers = servers
        self.proxy = proxy

    async def ask(self, request_bytes: bytes, status: int = 200) -> RequestRecord:
        """Ask on a connection of its own; the record."""
        await self.answer(request_bytes, status)
        return self.proxy.records[-1]

    async def answer(self, request_bytes: bytes, status: int = 200) -> tuple[list[tuple[bytes, bytes]], bytes]:
        """Header fields and body of the answer."""
        count = len(self.proxy.records)
        async with await self.proxy.connect() as client:
            received, fields, body = await client.exchange(request_bytes)
        await self.proxy.until_records(count + 1)
        assert received == status
        return fields, body

    @property
    def counts(self) -> list[int]:
        """Requests that each server has had."""
        return [len(server.requests) for server in self.servers]

    def see(self, number: int, *models: Backend, router: bool = False) -> None:
        """Say what the upstream of that number has."""
        self.proxy.fleet.described(f"u{number}", models, router=router)

    def unseen(self, number: int) -> Backend:
        """What is known of that upstream."""
        return next(each for each in self.proxy.fleet.layout.backends if each.id == f"u{number}")

    def routed(self, number: int, name: str, tier: str, **facts: Any) -> Backend:
        """A model of that upstream, which is a router."""
        upstream = self.proxy.fleet.upstreams[number - 1]
        return Backend(f"u{number}/{name}", upstream, tier, frozenset((name,)), name, **facts)


# Who gets it


@pytest.mark.parametrize("model", ["auto", None, "a-name-that-nobody-lists"])
@pytest.mark.parametrize(("level", "tier"), LEVELS)
async def test_a_request_goes_where_its_complexity_belongs(level: str, tier: str, model: str | None) -> None:
    async with tiered() as three:
        record = await three.ask(chat(model=model, text="xy " * WORDS[level]))
        assert three.counts == [int(each == tier) for each in TIERS]
        assert (record.upstream, record.tier) == (f"u{TIERS.index(tier) + 1}", tier)
        decision = record.decision
        assert decision is not None
        assert (decision.reason, decision.complexity) == (RoutingReason.COMPLEXITY, Complexity(level))
        assert decision.score == pytest.approx(1 + 0.05 * WORDS[level])
        assert (decision.wanted_tier, decision.fallback) == (tier, False)
        assert 0 < decision.seconds < record.duration_seconds
        assert record.requested_model == model


async def test_it_is_the_last_message_of_the_user_that_counts() -> None:
    messages = [user("river " * 300), {"role": "assistant", "content": "river " * 300}, user("river")]
    async with tiered() as three:
        assert (await three.ask(chat(messages=messages))).tier == "Q2"


@pytest.mark.parametrize("path", ["/completion", "/v1/completions", "/infill", "/v1/messages", "/v1/responses"])
async def test_every_generating_endpoint_is_routed(path: str) -> None:
    text = "xy " * WORDS["COMPLEX"]
    body = json.dumps({"prompt": text, "input": text, "messages": [user(text)]}).encode()
    async with tiered() as three:
        record = await three.ask(ask("POST", path, body=body))
        assert (record.tier, three.counts) == ("Q4", [0, 0, 1])


@pytest.mark.parametrize("tier", TIERS)
async def test_a_named_tier_gets_it(tier: str) -> None:
    async with tiered() as three:
        for model in ("auto", "m"):
            record = await three.ask(chat(("x-routing-TIER", tier), model=model, text="xy " * WORDS["MODERATE"]))
            assert record.tier == tier
            assert record.decision is not None
            assert (record.decision.reason, record.decision.wanted_tier) == (RoutingReason.TIER, tier)
            assert record.decision.complexity is Complexity.MODERATE
            assert record.decision.score == pytest.approx(4)
        assert three.counts == [2 * (each == tier) for each in TIERS]


async def test_a_named_model_gets_it() -> None:
    """It is not the complexity that counts."""
    async with tiered() as three:
        for number, name in enumerate(("small", "middle", "big"), 1):
            three.see(number, replace(three.unseen(number), names=frozenset((name,))))
        record = await three.ask(chat(model="big"))
        assert (record.tier, record.requested_model) == ("Q4", "big")
        assert record.decision is not None
        assert (record.decision.reason, record.decision.wanted_tier) == (RoutingReason.MODEL, "Q4")
        assert record.decision.complexity is Complexity.SIMPLE
        assert (await three.ask(chat(("X-Routing-Tier", "Q2"), model="big"))).tier == "Q2"
        assert (await three.ask(chat(model="auto"))).tier == "Q2"


HEADERS: dict[str, tuple[list[tuple[str, str]], str, Complexity, float | None]] = {
    "level": ([("X-Routing-Complexity", "COMPLEX")], "Q4", Complexity.COMPLEX, None),
    "level in small letters": ([("x-routing-complexity", "moderate")], "Q3", Complexity.MODERATE, None),
    "score": ([("X-Routing-Score", "6.99")], "Q3", Complexity.MODERATE, 6.99),
    "score of 0": ([("X-Routing-Score", "0")], "Q2", Complexity.SIMPLE, 0.0),
    "large score": ([("X-Routing-Score", "1e3")], "Q4", Complexity.COMPLEX, 1000.0),
    "both": ([("X-Routing-Score", "9"), ("X-Routing-Complexity", "SIMPLE")], "Q2", Complexity.SIMPLE, 9.0),
}


@pytest.mark.parametrize("name", HEADERS)
async def test_what_the_client_knows_of_the_complexity_is_used_and_recorded(name: str) -> None:
    fields, tier, level, score = HEADERS[name]
    async with tiered() as three:
        record = await three.ask(chat(*fields))
        assert record.tier == tier
        assert record.decision is not None
        assert record.decision.reason is RoutingReason.COMPLEXITY
        assert (record.decision.complexity, record.decision.score) == (level, score)


async def test_settings_say_which_names_leave_the_choice_and_what_is_complex() -> None:
    routing = RoutingSettings.model_validate(
        {"aliases": ["best", "any"], "complexity": {"word_weight": 1, "moderate_tier": "Q2"}, "tiers": ["Q3", "Q2"]}
    )
    async with tiered(tiers=("Q2", "Q3"), routing=routing) as two:
        two.see(1, replace(two.unseen(1), names=frozenset(("best", "auto"))))
        assert (await two.ask(chat(model="best", text="river"))).tier == "Q3"
        assert (await two.ask(chat(model="any", text="river " * 4))).tier == "Q2"
        record = await two.ask(chat(model="auto", text="river"))
        assert record.tier == "Q2"
        assert record.decision is not None
        assert record.decision.reason is RoutingReason.MODEL


async def test_what_a_tier_cannot_take_goes_to_one_that_can() -> None:
    image = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]
    async with tiered() as three:
        three.see(1, replace(three.unseen(1), vision=False, context_size=1000))
        three.see(2, replace(three.unseen(2), vision=False, context_size=100_000))
        record = await three.ask(chat(messages=[{"role": "user", "content": image}]))
        assert record.tier == "Q4"
        assert record.decision is not None
        assert (record.decision.complexity, record.decision.fallback) == (Complexity.SIMPLE, False)
        long_ago = user("river " * 2000)
        assert (await three.ask(chat(messages=[long_ago, user("river")]))).tier == "Q3"
        assert (await three.ask(chat())).tier == "Q2"


@pytest.mark.parametrize("line", ["GET /props", "GET /models", "POST /tokenize", "GET /unheard/of", "OPTIONS /x"])
async def test_what_generates_nothing_stays_with_the_first(line: str) -> None:
    method, target = line.split()
    async with tiered() as three:
        for _ in range(3):
            record = await three.ask(ask(method, target, body=b"{}" if method == "POST" else None))
            assert (record.upstream, record.tier, record.decision) == ("u1", "Q2", None)
        assert (await three.ask(ask("GET", "/props", ("X-Routing-Tier", "Q4")))).upstream == "u3"
        assert (await three.ask(ask("GET", "/props", ("X-Routing-Tier", "none")))).upstream == "u1"


async def test_embeddings_stay_with_those_who_have_the_model() -> None:
    """The vectors of another model are of no use, so nobody else may answer either."""
    body = json.dumps({"model": "embedder", "input": "river"}).encode()
    async with tiered() as three:
        three.see(2, replace(three.unseen(2), names=frozenset(("embedder",))))
        record = await three.ask(ask("POST", "/v1/embeddings", body=body))
        assert (record.upstream, record.decision) == ("u2", None)
        three.servers[1].script = Answer(request_received, close)
        assert (await three.ask(ask("POST", "/v1/embeddings", body=body), 502)).upstream == "u2"
        assert three.counts[::2] == [0, 0]


async def test_embeddings_of_a_model_that_nobody_lists_stay_with_the_first() -> None:
    asked = ask("POST", "/v1/embeddings", body=b'{"model": "text-embedding-3-small", "input": "river"}')
    async with tiered() as three:
        three.servers[0].script = Answer(request_received, close)
        assert [attempt.upstream for attempt in (await three.ask(asked, 502)).attempts] == ["u1"]
        assert (await three.ask(asked, 503)).attempts == (), "it is out, and the others have another model"
        assert three.counts[1:] == [0, 0]


async def test_models_that_nobody_lists_can_be_refused() -> None:
    routing = RoutingSettings(unknown_models="refuse")
    async with tiered(routing=routing) as three:
        three.see(2, replace(three.unseen(2), names=frozenset(("known",))))
        assert (await three.ask(chat(model="known"))).upstream == "u2"
        assert (await three.ask(chat())).upstream == "u1"
        async with await three.proxy.connect() as client:
            status, _, body = await client.exchange(chat(model="knwon"))
        assert status == 404
        error = json.loads(body)["error"]
        assert error["type"] == "model_not_found"
        assert "'knwon'" in error["message"]


# Who is refused


async def refused(three: Tiered, request_bytes: bytes) -> str:
    """The message of our 400; nobody was asked and the connection lives on."""
    async with await three.proxy.connect() as client:
        status, fields, body = await client.exchange(request_bytes)
        assert status == 400
        assert dict(fields)[b"content-type"].startswith(b"application/json")
        error = json.loads(body)["error"]
        assert (error["code"], error["type"]) == (400, "invalid_request_error")
        record = await three.proxy.only_record()
        assert (record.outcome, record.error_type) == (Outcome.REJECTED, "invalid_request_error")
        assert (record.attempts, record.upstream, record.decision) == ((), None, None)
        assert (record.status_code, record.response_bytes) == (400, len(body))
        assert three.counts == [0, 0, 0]
        assert (await client.exchange(chat()))[0] == 200
    message: str = error["message"]
    return message


@pytest.mark.parametrize("tier", ["Q5", "q4", "unknown", "Q4, Q3", "\xe9" * 300])
async def test_a_tier_that_there_is_not_is_the_clients_mistake(tier: str) -> None:
    async with tiered() as three:
        message = await refused(three, chat(("X-Routing-Tier", tier)))
        assert "Q2, Q3, Q4" in message
        assert len(message) < 400


@pytest.mark.parametrize("value", ["", "high", "-1", "nan", "inf", "1e999", "0x10", "1_0", "1,5", "\xb2"])
async def test_a_score_that_is_none_is_the_clients_mistake(value: str) -> None:
    async with tiered() as three:
        assert "X-Routing-Score" in await refused(three, chat(("X-Routing-Score", value)))


@pytest.mark.parametrize("value", ["", "HARD", "SIMPLE COMPLEX", "1"])
async def test_a_complexity_that_is_none_is_the_clients_mistake(value: str) -> None:
    async with tiered() as three:
        message = await refused(three, chat(("X-Routing-Complexity", value)))
        assert "SIMPLE, MODERATE or COMPLEX" in message


async def test_an_upload_is_refused_before_it_is_complete() -> None:
    async with tiered(limits=Limits(held_bytes=1000)) as three, await three.proxy.connect() as client:
        await client.send(ask("POST", "/v1/completions", ("X-Routing-Tier", "Q9"), ("Content-Length", "9000")))
        await client.send(bytes(2000))
        assert (await client.head())[0] == 400
        assert (await three.proxy.only_record()).outcome is Outcome.REJECTED
        assert three.counts == [0, 0, 0]


# What it gets to see

BODY = b'{ "model":"auto",\n"messages" : [{"role":"user","content":"\\u0041 \xe2\x82\xac"}], "x": 1.50e1, "x": [ ] }\n'


@pytest.mark.parametrize("tier", TIERS)
async def test_a_request_arrives_as_it_was_sent(tier: str) -> None:
    fields = [("X-B", "2"), ("X-Routing-Tier", tier), ("X-Routing-Score", "3.0"), ("X-A", "1"), ("X-B", "1")]
    async with tiered() as three:
        await three.ask(ask("POST", "/v1/chat/completions?a=%2f", *fields, body=BODY))
        ((request,),) = [server.requests for server in three.servers if server.requests]
        assert request.head == (
            b"POST /v1/chat/completions?a=%%2f HTTP/1.1\r\nhost: sidecar.test\r\nx-b: 2\r\nx-routing-tier: %b\r\n"
            b"x-routing-score: 3.0\r\nx-a: 1\r\nx-b: 1\r\ncontent-length: %d\r\n\r\n" % (tier.encode(), len(BODY))
        )
        assert request.body == BODY


@pytest.mark.parametrize("size", [500, 5000])
async def test_a_request_in_chunks_arrives_as_it_was_sent(size: int) -> None:
    """Held or streamed; of one that is too long to be looked into nobody knows the score."""
    body = json.dumps({"messages": [user("r" * size)]}).encode()
    data = ask("POST", "/v1/chat/completions", ("Transfer-Encoding", "chunked"))
    async with tiered(limits=Limits(held_bytes=1000)) as three:
        record = await three.ask(data + chunk(body[:99]) + chunk(body[99:]) + last_chunk())
        assert record.tier == ("Q2" if size == 500 else "Q4")
        assert record.decision is not None
        assert (record.decision.score is None) is (size == 5000)
        ((request,),) = [server.requests for server in three.servers if server.requests]
        assert request.body == body
        assert request.values("transfer-encoding") == ["chunked"]
        assert request.values("content-length") == []


RENAMED = {
    "as it is written most": (b'{"model":"auto","messages":[]}', b'{"model":"small:Q2_K","messages":[]}'),
    "as nobody writes it": (
        b' {"messages": [{"role":"user","content":"\\"model\\":\\"auto\\" \xe2\x82\xac \\u20ac"}],\n\t"model"\r\n: '
        b'"\\u0061uto" ,"x":1.50e1, "tools":[{"model":"auto"}], "seed":12345678901234567890123 } \n',
        b' {"messages": [{"role":"user","content":"\\"model\\":\\"auto\\" \xe2\x82\xac \\u20ac"}],\n\t"model"\r\n: '
        b'"small:Q2_K" ,"x":1.50e1, "tools":[{"model":"auto"}], "seed":12345678901234567890123 } \n',
    ),
    "there is none": (b'{"messages":[]}', b'{"model":"small:Q2_K","messages":[]}'),
    "null": (b'{"model":null,"messages":[]}', b'{"model":"small:Q2_K","messages":[]}'),
}


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("name", RENAMED)
async def test_a_router_is_asked_by_the_real_name_and_nothing_else_changes(name: str, framing: str) -> None:
    sent, expected = RENAMED[name]
    fields = [("X-Routing-Complexity", "SIMPLE"), ("Content-Type", "application/json")]
    if framing == "length":
        data = ask("POST", "/v1/chat/completions", *fields, ("X-A", "1"), body=sent)
    else:
        framed = ask("POST", "/v1/chat/completions", *fields, ("Transfer-Encoding", "chunked"), ("X-A", "1"))
        data = framed + chunk(sent[:9]) + chunk(sent[9:]) + last_chunk()
    async with tiered(tiers=("Q4",) * 2) as two:
        two.see(1, two.routed(1, "big:Q4_K_M", "Q4"), two.routed(1, "small:Q2_K", "Q2"), router=True)
        record = await two.ask(data)
        assert (record.upstream, record.tier) == ("u1", "Q2")
        assert record.requested_model in ("auto", None)
        assert record.request_bytes == len(sent)
        (request,) = two.servers[0].requests
        assert request.body == expected
        assert request.values("x-a") == ["1"]
        assert request.values("content-length") == ([str(len(expected))] if framing == "length" else [])
        assert request.values("transfer-encoding") == ([] if framing == "length" else ["chunked"])


async def test_a_router_that_is_asked_for_a_model_of_its_own_gets_the_request_untouched() -> None:
    body = b'{ "model" : "big:Q4_K_M" , "messages":[] }'
    async with tiered(tiers=("Q4", "Q2")) as two:
        two.see(1, two.routed(1, "big:Q4_K_M", "Q4"), two.routed(1, "small:Q2_K", "Q2"), router=True)
        record = await two.ask(ask("POST", "/v1/chat/completions", body=body))
        assert two.servers[0].requests[0].body == body
        assert (record.upstream, record.tier) == ("u1", "Q4")
        assert record.decision is not None
        assert record.decision.reason is RoutingReason.MODEL


@pytest.mark.parametrize("encoding", ["gzip", "br"])
async def test_a_body_that_cannot_be_rewritten_passes_as_it_is(encoding: str) -> None:
    async with tiered(tiers=("Q4",) * 2) as two:
        two.see(1, two.routed(1, "big:Q4_K_M", "Q4"), router=True)
        fields = [("Content-Encoding", encoding), ("X-Routing-Tier", "Q4")]
        await two.ask(ask("POST", "/v1/chat/completions", *fields, body=b"\x1f\x8b not JSON"))
        ((request,),) = [server.requests for server in two.servers if server.requests]
        assert request.body == b"\x1f\x8b not JSON"


async def test_on_its_way_from_one_to_another_each_gets_the_name_it_knows() -> None:
    async with tiered(tiers=("Q4", "Q4", "Q4"), script=reply(503)) as three:
        three.see(1, three.routed(1, "a:Q4_0", "Q4"), router=True)
        three.see(3, three.routed(3, "b:Q4_0", "Q4"), router=True)
        await three.ask(chat(), 503)
        models = [json.loads(server.requests[0].body)["model"] for server in three.servers]
        assert models == ["a:Q4_0", "auto", "b:Q4_0"]
        lengths = [server.requests[0].header("content-length") for server in three.servers]
        assert lengths == [str(len(server.requests[0].body)) for server in three.servers]


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_a_router_that_cannot_serve_one_model_is_asked_for_another(status: int) -> None:
    async with tiered(tiers=("Q2", "Q4")) as two:
        two.see(1, two.routed(1, "small:Q2_K", "Q2"), two.routed(1, "big:Q4_K_M", "Q4"), router=True)
        two.servers[0].script = lambda request: reply(status) if b"small" in request.body else OK
        record = await two.ask(chat(model="small:Q2_K"))
        assert [(attempt.upstream, attempt.status_code) for attempt in record.attempts] == [("u1", status), ("u1", 200)]
        assert (record.upstream, record.tier, record.requested_model) == ("u1", "Q4", "small:Q2_K")
        assert json.loads(two.servers[0].requests[1].body)["model"] == "big:Q4_K_M"
        assert two.counts == [2, 0]


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_a_router_that_cannot_serve_one_model_is_not_left_out(status: int) -> None:
    """It may be loading that model; the others are none the worse for it."""
    async with tiered(tiers=("Q2", "Q4"), routing=RoutingSettings(fallback="tier")) as two:
        two.see(1, two.routed(1, "small:Q2_K", "Q2"), two.routed(1, "big:Q4_K_M", "Q4"), router=True)
        two.servers[0].script = lambda request: reply(status) if b"small" in request.body else OK
        await two.ask(chat(model="small:Q2_K"), status)
        assert (await two.ask(chat(model="big:Q4_K_M"))).upstream == "u1"
        assert two.counts == [2, 0]


@pytest.mark.parametrize("failing", ["refused", "closed"])
async def test_a_router_that_is_gone_is_tried_once_whatever_models_it_has(failing: str) -> None:
    async with tiered(tiers=("Q2", "Q4")) as two:
        models = [two.routed(1, name, tier) for name, tier in (("s:Q2_K", "Q2"), ("m:Q3_K", "Q3"), ("l:Q4_0", "Q4"))]
        two.see(1, *models, router=True)
        if failing == "refused":
            await two.servers[0].stop_listening()
        else:
            two.servers[0].script = Answer(request_received, close)
        record = await two.ask(chat(("X-Routing-Tier", "Q2")))
        assert [attempt.upstream for attempt in record.attempts] == ["u1", "u2"]


async def test_what_a_router_has_may_change_while_another_upstream_is_tried() -> None:
    gate = asyncio.Event()
    async with tiered(tiers=("Q3", "Q4")) as two, await two.proxy.connect() as client:
        two.see(2, two.routed(2, "old:Q4_0", "Q4"), router=True)
        two.servers[0].script = Answer(request_received, gate, close)
        await client.send(chat(("X-Routing-Tier", "Q3")))
        await two.servers[0].until(lambda: len(two.servers[0].requests) == 1)
        two.see(2, two.routed(2, "new:Q4_0", "Q4"), router=True)
        gate.set()
        assert (await client.head())[0] == 200
        record = await two.proxy.only_record()
        assert [attempt.upstream for attempt in record.attempts] == ["u1", "u2"]
        assert not any(two.proxy.loads.values())


# What the client is told

OWN = [("Content-Type", "application/json"), ("X-Routing-Tier", "its own"), ("X-Z", "1"), ("Server", "llama.cpp")]
LOWER = [(name.lower().encode(), value.encode()) for name, value in [*OWN, ("Content-Length", "2")]]


def told(tier: str, upstream: str, complexity: str) -> list[tuple[bytes, bytes]]:
    return [
        (b"x-routing-tier", tier.encode()),
        (b"x-routing-upstream", upstream.encode()),
        (b"x-routing-complexity", complexity.encode()),
    ]


async def test_answers_say_where_they_come_from_when_that_is_switched_on() -> None:
    async with tiered(reply(200, OWN, b"{}"), routing_headers=True) as three:
        assert await three.answer(chat()) == ([*LOWER, *told("Q2", "u1", "SIMPLE")], b"{}")
        three.servers[0].script = Answer(request_received, close)
        assert await three.answer(chat()) == ([*LOWER, *told("Q3", "u2", "SIMPLE")], b"{}")
        three.servers[1].script = reply(400, OWN, b"{}")
        assert await three.answer(chat(), 400) == ([*LOWER, *told("Q3", "u2", "SIMPLE")], b"{}")


async def test_answers_say_nothing_of_it_when_that_is_switched_off() -> None:
    async with tiered(reply(200, OWN, b"{}")) as three:
        assert await three.answer(chat()) == (LOWER, b"{}")


async def test_answers_say_nothing_of_it_where_there_was_no_choice() -> None:
    answer = reply(200, OWN, b"{}")
    async with tiered(answer, routing_headers=True) as three, tiered(answer, ["Q4"], routing_headers=True) as one:
        assert await three.answer(ask("GET", "/props")) == (LOWER, b"{}")
        assert await one.answer(chat()) == (LOWER, b"{}")


async def test_with_one_upstream_all_is_as_it_was() -> None:
    fields = [("X-Routing-Tier", "nonsense"), ("X-Routing-Score", "nonsense"), ("X-Routing-Complexity", "nonsense")]
    async with tiered(reply(200, OWN, b"{}"), ["Q4"]) as one:
        assert await one.answer(chat(*fields)) == (LOWER, b"{}")
        (record,) = one.proxy.records
        assert (record.upstream, record.tier, record.decision) == ("u1", "Q4", None)
        (request,) = one.servers[0].requests
        assert [value for name, value in request.headers if "routing" in name] == ["nonsense"] * 3
        assert request.body.startswith(b'{"messages"')
        assert json.loads(request.body)["model"] == "auto"


async def test_one_router_alone_chooses_among_its_models_for_whoever_asks_it_to() -> None:
    async with tiered(reply(200, OWN, b"{}"), ["Q4"], routing_headers=True) as one:
        one.see(1, one.routed(1, "big:Q4_K_M", "Q4"), one.routed(1, "small:Q2_K", "Q2"), router=True)
        assert await one.answer(chat()) == ([*LOWER, *told("Q2", "u1", "SIMPLE")], b"{}")
        assert json.loads(one.servers[0].requests[0].body)["model"] == "small:Q2_K"
        assert await one.answer(chat(model="big:Q4_K_M")) == (LOWER, b"{}")
        assert await one.answer(chat(("X-Routing-Tier", "nonsense"), model="unheard of")) == (LOWER, b"{}")
        assert [record.tier for record in one.proxy.records] == ["Q2", "Q4", "Q4"]
        sent = [json.loads(request.body)["model"] for request in one.servers[0].requests[1:]]
        assert sent == ["big:Q4_K_M", "unheard of"]


# Within a tier


async def served(two: Tiered, *texts: str) -> str:
    """Ask with a conversation of these turns; who answered."""
    messages = [user(text) for text in texts]
    return (await two.ask(chat(messages=messages))).upstream or ""


async def test_a_conversation_goes_back_to_who_has_it_in_its_cache() -> None:
    async with tiered(tiers=("Q4", "Q4")) as two:
        assert [await served(two, each) for each in ("a", "b", "c")] == ["u1", "u2", "u1"]
        for opening in ("b", "b", "b", "a", "c", "a", "c"):
            assert await served(two, opening, "more") == ("u2" if opening == "b" else "u1")


async def test_a_conversation_stays_with_who_took_it_over() -> None:
    clock = Clock()
    async with tiered(tiers=("Q4", "Q4"), clock=clock) as two:
        assert await served(two, "a") == "u1"
        two.servers[0].script = [reply(503), OK]
        assert await served(two, "a", "b") == "u2"
        assert await served(two, "a", "b", "c") == "u2"
        clock.ahead_seconds += 1.1
        assert await served(two, "b") == "u1"
        assert await served(two, "a", "b", "c", "d") == "u2"


async def test_settings_may_leave_conversations_to_chance() -> None:
    async with tiered(tiers=("Q4", "Q4"), routing=RoutingSettings(affinity=False)) as two:
        assert [await served(two, "a") for _ in range(4)] == ["u1", "u2", "u1", "u2"]


async def test_a_conversation_does_not_wait_for_a_server_without_a_free_slot() -> None:
    gate = asyncio.Event()
    async with tiered(tiers=("Q4", "Q4")) as two, await two.proxy.connect() as client:
        for number in (1, 2):
            two.see(number, replace(two.unseen(number), slots=1))
        assert await served(two, "a") == "u1"
        two.servers[0].script = Answer(request_received, gate, *OK.steps)
        await client.send(chat(("X-Routing-Tier", "Q4"), text="a"))
        await two.servers[0].until(lambda: len(two.servers[0].requests) == 2)
        assert await served(two, "a", "b") == "u2"
        gate.set()
        assert (await client.head())[0] == 200
        await two.proxy.until_records(3)


async def test_the_load_is_shared() -> None:
    gate = asyncio.Event()
    async with tiered(Answer(request_received, gate, *OK.steps), ("Q4",) * 3) as three:
        clients = [await three.proxy.connect() for _ in range(9)]
        for number, client in enumerate(clients):
            await client.send(chat(text=f"{number}"))
        async with asyncio.timeout(5):
            while sum(three.counts) < 9:
                await asyncio.sleep(0)
        assert three.counts == [3, 3, 3]
        assert three.proxy.loads == {"u1": 3, "u2": 3, "u3": 3}
        gate.set()
        for client in clients:
            assert (await client.head())[0] == 200
            client.abort()
        await three.proxy.until_records(9)
        assert three.proxy.loads == {"u1": 0, "u2": 0, "u3": 0}


async def test_embeddings_of_those_who_have_the_model_are_shared_out() -> None:
    gate = asyncio.Event()
    body = json.dumps({"model": "embedder", "input": "river"}).encode()
    async with tiered(Answer(request_received, gate, *OK.steps)) as three:
        for number in (1, 3):
            three.see(number, replace(three.unseen(number), names=frozenset(("embedder",))))
        clients = [await three.proxy.connect() for _ in range(4)]
        for client in clients:
            await client.send(ask("POST", "/v1/embeddings", body=body))
        async with asyncio.timeout(5):
            while sum(three.counts) < 4:
                await asyncio.sleep(0)
        assert three.counts == [2, 0, 2]
        gate.set()
        for client in clients:
            assert (await client.head())[0] == 200
            client.abort()
        await three.proxy.until_records(4)


async def test_a_key_of_ours_stays_with_us_whoever_is_tried() -> None:
    async with (
        refusing() as first,
        FakeServer(OK) as second,
        running_proxy(first, second.url, keys=["ours"], upstream_api_key="theirs") as proxy,
        await proxy.connect() as client,
    ):
        assert (await client.exchange(chat(("Authorization", "Bearer ours"))))[0] == 200
        assert second.requests[0].values("authorization") == ["Bearer theirs"]
        assert len((await proxy.only_record()).attempts) == 2
