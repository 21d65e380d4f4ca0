"""Keys and limits at the door."""

from __future__ import annotations

import asyncio
import json

import pytest

from exporter.keys import KeyRing
from exporter.proxy.gate import Gate
from exporter.record import Outcome
from tests.fakes.answers import Answer, json_reply, reply, request_received
from tests.fakes.llama_server import FakeServer
from tests.proxy.harness import ask, running_proxy

KEY = "sk-good"
OK = json_reply({"ok": True})
Pairs = list[tuple[str, str]]

WRONG: dict[str, Pairs] = {
    "none": [],
    "another": [("Authorization", "Bearer sk-bad")],
    "another x-api-key": [("x-api-key", "sk-bad")],
    "a beginning": [("Authorization", "Bearer sk-goo")],
    "more": [("Authorization", "Bearer sk-goodd")],
    "the key bare": [("Authorization", KEY)],
    "another scheme": [("Authorization", f"Basic {KEY}")],
    "no scheme, a blank": [("Authorization", f" {KEY}")],
    "empty": [("Authorization", ""), ("x-api-key", "")],
    "empty bearer": [("Authorization", "Bearer ")],
    "a wrong field": [("X-Auth", KEY), ("Cookie", KEY)],
    "another case": [("x-api-key", KEY.upper())],
}


@pytest.mark.parametrize("name", WRONG)
async def test_without_a_key_nobody_passes(name: str) -> None:
    async with (
        FakeServer(OK) as server,
        running_proxy(server.url, keys=["sk-other", KEY]) as proxy,
        await proxy.connect() as client,
    ):
        status, fields, body = await client.exchange(ask("POST", "/v1/chat/completions", *WRONG[name], body=b"{}"))
        assert status == 401
        named = dict(fields)
        assert named[b"www-authenticate"].lower().startswith(b"bearer")
        assert named[b"content-type"].startswith(b"application/json")
        error = json.loads(body)["error"]
        assert (error["code"], set(error)) == (401, {"code", "message", "type"})
        assert KEY not in body.decode()
        assert not server.connections
        record = await proxy.only_record()
        assert (record.outcome, record.status_code, record.error_type) == (Outcome.REJECTED, 401, error["type"])
        assert (record.attempts, record.upstream, record.overhead_seconds) == ((), None, None)
        assert record.response_bytes == len(body)
        assert (await client.exchange(ask("GET", "/", ("x-api-key", KEY))))[0] == 200


RIGHT: dict[str, Pairs] = {
    "bearer": [("Authorization", f"Bearer {KEY}")],
    "lower case": [("authorization", f"bearer {KEY}")],
    "upper case": [("AUTHORIZATION", f"BEARER {KEY}")],
    "more blanks": [("Authorization", f"Bearer   {KEY}")],
    "x-api-key": [("X-Api-Key", KEY)],
    "both": [("Authorization", f"Bearer {KEY}"), ("x-api-key", KEY)],
    "both keys": [("Authorization", f"Bearer {KEY}"), ("x-api-key", "sk-other")],
}


@pytest.mark.parametrize("name", RIGHT)
async def test_our_keys_pass_and_stay_here(name: str) -> None:
    async with (
        FakeServer(OK) as server,
        running_proxy(server.url, keys=["sk-other", KEY]) as proxy,
        await proxy.connect() as client,
    ):
        assert (await client.exchange(ask("GET", "/", *RIGHT[name], ("X-Kept", "1"))))[0] == 200
        assert [field.lower() for field, _ in server.requests[0].headers] == ["host", "x-kept"]
        assert (await proxy.only_record()).outcome is Outcome.COMPLETED


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (("x-api-key", KEY), ("authorization", "Bearer sk-upstream")),
        (("authorization", f"Bearer {KEY}"), ("x-api-key", "sk-upstream")),
        (("x-api-key", KEY), ("authorization", "Basic dXNlcjpwYXNz")),
        (("x-api-key", KEY), ("proxy-authorization", "Basic dXNlcjpwYXNz")),
        (("x-api-key", KEY), ("cookie", "session=1")),
    ],
)
async def test_other_credentials_go_on(ours: tuple[str, str], theirs: tuple[str, str]) -> None:
    async with (
        FakeServer(OK) as server,
        running_proxy(server.url, keys=[KEY]) as proxy,
        await proxy.connect() as client,
    ):
        assert (await client.exchange(ask("GET", "/", ours, theirs)))[0] == 200
        received = [(name.lower(), value) for name, value in server.requests[0].headers]
        assert received == [("host", "sidecar.test"), theirs]


async def test_without_keys_every_credential_goes_on() -> None:
    fields = [("authorization", "Bearer sk-any"), ("x-api-key", "sk-any")]
    async with FakeServer(OK) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        assert (await client.exchange(ask("GET", "/", *fields)))[0] == 200
        assert [(n.lower(), v) for n, v in server.requests[0].headers][1:] == fields


UPSTREAM_KEY: dict[str, tuple[Pairs, Pairs]] = {
    "none of its own": ([], [("authorization", "Bearer sk-up")]),
    "only ours": ([("x-api-key", KEY)], [("authorization", "Bearer sk-up")]),
    "its own bearer": ([("x-api-key", KEY), ("authorization", "Bearer mine")], [("authorization", "Bearer mine")]),
    "its own x-api-key": ([("authorization", f"Bearer {KEY}"), ("x-api-key", "mine")], [("x-api-key", "mine")]),
    "its own basic": ([("x-api-key", KEY), ("authorization", "Basic bWluZQ==")], [("authorization", "Basic bWluZQ==")]),
}


@pytest.mark.parametrize("name", UPSTREAM_KEY)
async def test_the_upstreams_key_is_added_where_there_is_none(name: str) -> None:
    sent, expected = UPSTREAM_KEY[name]
    async with (
        FakeServer(OK) as server,
        running_proxy(server.url, keys=[KEY] if sent else [], upstream_api_key="sk-up") as proxy,
        await proxy.connect() as client,
    ):
        assert (await client.exchange(ask("POST", "/", *sent, body=b"{}")))[0] == 200
        received = [
            (n.lower(), v) for n, v in server.requests[0].headers if n.lower() in ("authorization", "x-api-key")
        ]
        assert received == expected


async def test_the_upstreams_key_is_never_told() -> None:
    async with (
        FakeServer(OK) as server,
        running_proxy(server.url, upstream_api_key="sk-up") as proxy,
        await proxy.connect() as client,
    ):
        await server.stop_listening()
        _, fields, body = await client.exchange(ask("GET", "/"))
        assert b"sk-up" not in body + b"".join(name + value for name, value in fields)


async def test_a_refused_upload_does_not_harm_the_connection() -> None:
    async with (
        FakeServer(OK) as server,
        running_proxy(server.url, keys=[KEY]) as proxy,
        await proxy.connect() as client,
    ):
        inner = ask("GET", "/smuggled", ("x-api-key", KEY))
        for body in (inner, bytes(3_000_000)):
            await client.send(ask("POST", "/", body=body))
            status, fields = await client.head()
            assert status == 401
            await client.body(fields)
        assert (await client.exchange(ask("GET", "/next", ("x-api-key", KEY))))[0] == 200
        assert [request.path for request in server.requests] == ["/next"]
        assert [r.outcome for r in await proxy.until_records(3)] == [Outcome.REJECTED] * 2 + [Outcome.COMPLETED]


async def test_one_request_too_many_is_refused() -> None:
    gate = asyncio.Event()
    async with (
        FakeServer(Answer(request_received, gate, *OK.steps)) as server,
        running_proxy(server.url, max_in_flight=2) as proxy,
    ):
        first, second, third = [await proxy.connect() for _ in range(3)]
        for client in (first, second):
            await client.send(ask("POST", "/", body=b"{}"))
        await server.until(lambda: len(server.requests) == 2)
        status, fields, body = await third.exchange(ask("POST", "/", body=b"{}"))
        assert status == 503
        assert int(dict(fields)[b"retry-after"]) >= 1
        error = json.loads(body)["error"]
        assert (error["code"], set(error)) == (503, {"code", "message", "type"})
        record = (await proxy.until_records(1))[0]
        assert (record.outcome, record.status_code, record.error_type) == (Outcome.REJECTED, 503, error["type"])
        assert (record.attempts, record.upstream) == ((), None)
        gate.set()
        for client in (first, second):
            assert (await client.head())[0] == 200
        assert (await third.exchange(ask("POST", "/", body=b"{}")))[0] == 200
        assert len(server.requests) == 3
        outcomes = [record.outcome for record in await proxy.until_records(4)]
        assert outcomes == [Outcome.REJECTED] + [Outcome.COMPLETED] * 3
        for client in (first, second, third):
            client.abort()


async def test_those_who_leave_make_room() -> None:
    async with (
        FakeServer(Answer(request_received, asyncio.Event())) as server,
        running_proxy(server.url, max_in_flight=1) as proxy,
    ):
        for turn in range(1, 4):
            async with await proxy.connect() as client:
                await client.send(ask("POST", "/", body=b"{}"))
                await server.until(lambda turn=turn: len(server.requests) == turn)  # type: ignore[misc]
            await proxy.until_records(turn)
        assert {record.outcome for record in proxy.records} == {Outcome.CLIENT_GONE}


async def test_a_refusal_takes_no_room() -> None:
    async with (
        FakeServer(reply(200, [], b"ok")) as server,
        running_proxy(server.url, keys=[KEY], max_in_flight=1) as proxy,
        await proxy.connect() as client,
    ):
        for _ in range(3):
            assert (await client.exchange(ask("GET", "/")))[0] == 401
            assert (await client.exchange(ask("GET", "/", ("x-api-key", KEY))))[0] == 200


def test_the_gate_itself() -> None:
    open_door = Gate(KeyRing([]), None)
    assert open_door.check("GET", [], 10_000) is None
    limited = Gate(KeyRing([]), 0)
    refusal = limited.check("GET", [], 0)
    assert refusal is not None
    assert refusal.status == 503
    both = Gate(KeyRing([KEY]), 1)
    first = both.check("GET", [], 5)
    assert first is not None
    assert first.status == 401
    assert both.check("GET", [(b"x-api-key", KEY.encode())], 0) is None


def test_what_goes_upstream_is_a_new_list() -> None:
    fields = [(b"authorization", b"Bearer " + KEY.encode()), (b"a", b"1")]
    gate = Gate(KeyRing([KEY]), None)
    assert gate.outgoing(fields, None) == [(b"a", b"1")]
    assert gate.outgoing(fields, "up") == [(b"a", b"1"), (b"authorization", b"Bearer up")]
    assert fields == [(b"authorization", b"Bearer " + KEY.encode()), (b"a", b"1")]
