"""The two operations on the real server: what is asked, what is answered, and every refusal in the contract's form."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx
import pytest

from exporter.api import admin, documents
from exporter.api.room import Room
from exporter.api.system_metrics.routes import BODY_LIMIT_BYTES, PATH, read_interval, room
from exporter.keys import KeyRing
from exporter.system.sampler import Sampler
from exporter.system.snapshot import Snapshot
from tests.api.system_metrics.schema import faults, faults_of_envelope, is_time
from tests.api.views import make_views
from tests.proxy.harness import ask
from tests.serving import serving
from tests.telemetry.examples import SNAPSHOT

PAGE = "https://page.example"


def make_room(sampler: Sampler | None = None, *, envelope: bool = False, **fields: Any) -> Room:
    sampler = sampler or Sampler([])
    views = make_views(**({"snapshot": lambda: SNAPSHOT} | fields))
    return room(views, interval=lambda: sampler.interval_seconds, set_interval=sampler.set_interval, envelope=envelope)


@contextlib.asynccontextmanager
async def client_of(
    of: Room | None = None, keys: Sequence[str] = (), origins: Sequence[str] = ("*",)
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the admin listener with this room."""
    async with (
        serving(admin.application([of or make_room()], KeyRing(keys), origins)) as running,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{running.port}", trust_env=False) as client,
    ):
        yield client


def reason(answer: httpx.Response, status: int) -> str:
    """Why, of an answer that must be a refusal in the contract's form."""
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-cache"
    document = answer.json()
    assert list(document) == ["error", "timestamp"]
    assert faults(document) == []
    return str(document["error"])


class TestReading:
    async def test_it_is_answered_in_the_documented_form(self) -> None:
        async with client_of() as client:
            answer = await client.get(PATH)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["cache-control"] == "no-cache"
        assert faults(answer.json()) == []
        assert answer.json()["metrics"]["cpuUsage"] == 12.5

    async def test_head_is_answered_like_get_without_the_body(self) -> None:
        async with client_of() as client:
            got, head = await client.get(PATH), await client.head(PATH)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers == got.headers

    @pytest.mark.parametrize("configured", [False, True])
    @pytest.mark.parametrize(("said", "wanted"), [("1 true yes on", True), ("0 false no off", False)])
    async def test_the_envelope_comes_when_it_is_asked_for(self, said: str, wanted: bool, configured: bool) -> None:
        check = faults_of_envelope if wanted else faults
        async with client_of(make_room(envelope=configured)) as client:
            answers = [await client.get(PATH, params={"envelope": word}) for word in said.split()]
        assert [check(answer.json()) for answer in answers] == [[]] * 4

    async def test_the_envelope_comes_unasked_where_it_is_configured(self) -> None:
        async with client_of(make_room(envelope=True)) as client:
            answer = await client.get(PATH, params={"other": "1"})
        assert faults_of_envelope(answer.json()) == []

    @pytest.mark.parametrize("query", ["envelope", "envelope=2", "envelope=TRUE", "envelope=1&envelope=0"])
    async def test_what_is_neither_yes_nor_no(self, query: str) -> None:
        async with client_of() as client:
            answer = await client.get(f"{PATH}?{query}")
        assert reason(answer, 400) == "envelope must be one of 1, true, yes, on, 0, false, no, off, and given once"

    async def test_what_the_real_front_end_does_with_it(self) -> None:
        """It takes `data` of the body; readers of its first state want flat keys, those of its last one nested ones."""
        headers = {"accept": "application/json", "content-type": "application/json"}
        async with client_of(make_room(envelope=True)) as client:
            data = (await client.get(PATH, headers=headers)).json()["data"]
        assert (data["cpuUsage"], data["cpu"]["usage"]) == (12.5, 12.5)
        assert (data["gpuTemperature"], data["gpu"]["temperature"]) == (55.0, 55.0)


class TestInterval:
    @pytest.mark.parametrize("seconds", [0.5, 1, 7.25, 3600])
    async def test_it_is_changed_at_once(self, seconds: float) -> None:
        sampler = Sampler([])
        async with client_of(make_room(sampler)) as client:
            answer = await client.post(PATH, json={"interval": seconds})
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-cache"
        assert sampler.interval_seconds == seconds
        document = answer.json()
        assert list(document) == ["interval", "timestamp"]
        assert document["interval"] == seconds
        assert is_time(document["timestamp"])

    async def test_the_type_of_the_body_need_not_be_told(self) -> None:
        async with client_of() as client:
            headers = {"content-type": "application/x-www-form-urlencoded"}
            answer = await client.post(PATH, content=b' {"interval": 5}\n', headers=headers)
        assert answer.json()["interval"] == 5.0

    @pytest.mark.parametrize(
        ("body", "said"),
        [
            (b"", "the body is empty"),
            (b" \n", "the body is empty"),
            (b"interval=5", "the body is not JSON: "),
            (b'{"interval": 5', "the body is not JSON: "),
            (b'{"interval": 5} {}', "the body is not JSON: "),
            (b"\xff", "the body is not JSON: "),
            (b"[" * 5000, "the body is not JSON: "),
            (b'{"interval": 1' + b"0" * 5000 + b"}", "the body is not JSON: number out of range"),
            (b"[5]", "the body must be an object"),
            (b"null", "the body must be an object"),
            (b"5", "the body must be an object"),
            (b"{}", "interval is missing"),
            (b'{"Interval": 5}', "interval is missing; unknown key 'Interval'"),
            (b'{"interval": 5, "unit": "s"}', "unknown key 'unit'"),
            (b'{"interval": 0.1, "unit": {}}', "interval must be at least 0.5 seconds; unknown key 'unit'"),
            (b'{"interval": 0.49999}', "interval must be at least 0.5 seconds"),
            (b'{"interval": -1}', "interval must be at least 0.5 seconds"),
            (b'{"interval": 3600.001}', "interval must be at most 3600 seconds"),
            (b'{"interval": 1e300}', "interval must be at most 3600 seconds"),
            (b'{"interval": "5"}', "interval must be a number"),
            (b'{"interval": null}', "interval must be a number"),
            (b'{"interval": true}', "interval must be a number"),
            (b'{"interval": [5]}', "interval must be a number"),
            (b'{"interval": NaN}', "interval must be a finite number"),
            (b'{"interval": Infinity}', "interval must be a finite number"),
            (b'{"interval": 1e999}', "interval must be a finite number"),
            (b'{"{0}": 5, "interval": 5}', "unknown key '{0}'"),
        ],
    )
    def test_what_is_wrong_with_a_body_is_said(self, body: bytes, said: str) -> None:
        with pytest.raises(ValueError, match=f"^{re.escape(said)}"):
            read_interval(body)

    async def test_what_is_refused_changes_nothing(self) -> None:
        sampler = Sampler([], interval_seconds=9.0)
        async with client_of(make_room(sampler)) as client:
            for seconds in (0.49, 3601, "5", None):
                answer = await client.post(PATH, json={"interval": seconds})
                assert reason(answer, 400).startswith("interval must be ")
        assert sampler.interval_seconds == 9.0

    async def test_what_the_sampler_refuses_is_refused(self) -> None:
        def refuse(_: float) -> None:
            raise ValueError("not now")

        of = room(make_views(), interval=lambda: 5.0, set_interval=refuse, envelope=False)
        async with client_of(of) as client:
            assert reason(await client.post(PATH, json={"interval": 1}), 400) == "not now"

    async def test_the_longest_body_is_read(self) -> None:
        body = b'{"interval": 5}'.ljust(BODY_LIMIT_BYTES)
        async with client_of() as client:
            assert (await client.post(PATH, content=body)).status_code == 200
            assert reason(await client.post(PATH, content=body + b" "), 413) == "the body is longer than 65536 bytes"

    async def test_an_endless_body_is_refused_before_it_ends(self) -> None:
        async with serving(admin.application([make_room()], KeyRing(()))) as running:
            raw = await running.connect()
            await raw.send(ask("POST", PATH, ("Content-Length", str(1 << 40))) + b" " * (BODY_LIMIT_BYTES + 1))
            status, fields = await raw.head()
            document = json.loads(await raw.body(fields))
        assert (status, faults(document)) == (413, [])

    @pytest.mark.parametrize("stopping", [False, True])
    async def test_a_body_that_does_not_come(self, monkeypatch: pytest.MonkeyPatch, stopping: bool) -> None:
        """The stop does not wait for it either."""
        monkeypatch.setattr(documents, "BODY_LIMIT_SECONDS", 0.1)
        async with serving(admin.application([make_room()], KeyRing(())), grace_seconds=60) as running:
            raw = await running.connect()
            await raw.send(ask("POST", PATH, ("Content-Length", "100")) + b'{"interval": 5}')
            await running.until_open(1)
            stop = [asyncio.get_running_loop().create_task(running.stop())] if stopping else []
            status, fields = await raw.head()
            document = json.loads(await raw.body(fields))
            assert await raw.rest() == b""
            await asyncio.gather(*stop)
        assert (status, faults(document)) == (408, [])
        assert document["error"] == "the rest of the body did not come in time"
        assert (b"connection", b"close") in fields

    async def test_a_client_that_leaves_in_the_middle_changes_nothing(self) -> None:
        sampler = Sampler([], interval_seconds=9.0)
        async with serving(admin.application([make_room(sampler)], KeyRing(()))) as running:
            raw = await running.connect()
            await raw.send(ask("POST", PATH, ("Content-Length", "100")) + b'{"interval": 5}')
            await running.until_open(1)
            raw.abort()
            await running.until_open(0)
        assert sampler.interval_seconds == 9.0


class TestRefusals:
    @pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
    async def test_other_methods(self, method: str) -> None:
        async with client_of() as client:
            answer = await client.request(method, PATH)
        assert reason(answer, 405) == f"{method} is not allowed here, only GET, HEAD, POST"
        assert answer.headers["allow"] == "GET, HEAD, POST"

    async def test_other_paths_are_not_ours(self) -> None:
        async with client_of() as client:
            answer = await client.get(f"{PATH}.json")
        assert answer.status_code == 404
        assert answer.json()["error"]["code"] == 404

    async def test_a_failure(self) -> None:
        def fail() -> Snapshot:
            raise RuntimeError("a secret")

        app = admin.application([make_room(snapshot=fail)], KeyRing(()))
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://admin") as client:
            assert reason(await client.get(PATH), 500) == admin.FAILED

    @pytest.mark.parametrize("method", ["GET", "POST"])
    async def test_without_a_key(self, method: str) -> None:
        sampler = Sampler([], interval_seconds=9.0)
        async with client_of(make_room(sampler), keys=["k"]) as client:
            answer = await client.request(method, PATH, content=b'{"interval": 5}')
            assert "API key" in reason(answer, 401)
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert sampler.interval_seconds == 9.0
            for headers in ({"x-api-key": "k"}, {"authorization": "bearer k"}):
                admitted = await client.request(method, PATH, content=b'{"interval": 5}', headers=headers)
                assert admitted.status_code == 200
        assert sampler.interval_seconds == (5.0 if method == "POST" else 9.0)


class TestPages:
    async def test_any_page_may_read(self) -> None:
        async with client_of() as client:
            answer = await client.get(PATH, headers={"origin": PAGE})
        assert answer.headers["access-control-allow-origin"] == "*"
        assert faults(answer.json()) == []

    async def test_a_page_that_is_not_named_changes_nothing(self) -> None:
        sampler = Sampler([], interval_seconds=9.0)
        async with client_of(make_room(sampler)) as client:
            answer = await client.post(PATH, json={"interval": 5}, headers={"origin": PAGE})
        assert "admin.cors_origins" in reason(answer, 403)
        assert sampler.interval_seconds == 9.0

    async def test_a_page_that_is_named_may_change_it(self) -> None:
        async with client_of(origins=[PAGE]) as client:
            answer = await client.post(PATH, json={"interval": 5}, headers={"origin": PAGE})
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == PAGE
