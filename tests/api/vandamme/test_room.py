"""The room behind the admin application: errors in the contract's form, the switch, keys, other origins, HEAD."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from exporter.live.totals import Totals
from tests.api.vandamme.traffic import client_of, get, make_room
from tests.api.views import make_views

PATHS = ("/metrics/active-requests", "/metrics/active-requests/stream", "/metrics/running-totals")


@pytest.mark.parametrize("path", ["/metrics/", "/metrics/nope", "/metrics/active-requests/stream/x"])
async def test_unknown_paths(path: str) -> None:
    answer = await get(path)
    assert (answer.status_code, answer.text) == (404, '{"detail":"Not Found"}')


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_methods_that_there_are_not(path: str, method: str) -> None:
    async with client_of(make_room()) as client:
        answer = await client.request(method, path)
    assert (answer.status_code, answer.text) == (405, '{"detail":"Method Not Allowed"}')
    assert answer.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize("path", PATHS)
async def test_keys_come_before_everything_else(path: str) -> None:
    async with client_of(make_room(), keys=["k"]) as client:
        answer = await client.get(f"{path}?include_active=maybe")
    assert answer.status_code == 401
    assert answer.json()["detail"].startswith("Invalid API key.")
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("path", PATHS)
async def test_other_origins_may_read(path: str) -> None:
    origin = {"origin": "http://dashboard.test"}
    async with client_of(make_room()) as client:
        own = await client.head(path)
        other = await client.head(path, headers=origin)
        asked = await client.options(path, headers=origin | {"access-control-request-method": "GET"})
    assert "access-control-allow-origin" not in own.headers
    assert other.headers["access-control-allow-origin"] == "*"
    assert asked.status_code == 200


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("recording", [True, False])
async def test_head_is_the_head_of_get(path: str, recording: bool) -> None:
    room = make_room(make_views(recording=recording))
    async with client_of(room) as client:
        head = await client.head(path)
        assert head.status_code == 200
        if path.endswith("stream") and recording:
            assert head.content == b""
            assert dict(head.headers) == {
                "cache-control": "no-cache",
                "x-accel-buffering": "no",
                "content-type": "text/event-stream; charset=utf-8",
            }
        else:
            assert head.headers == (await client.get(path)).headers
    assert room.readers() == 0


TRUE = ("true", "TRUE", "1", "yes", "on", "t", "y")
FALSE = ("false", "False", "0", "no", "OFF", "f", "n")


@pytest.mark.parametrize("value", TRUE + FALSE)
async def test_the_switch(value: str) -> None:
    answer = await get(f"/metrics/running-totals?include_active={value}")
    assert answer.status_code == 200


@pytest.mark.parametrize("recording", [True, False])
@pytest.mark.parametrize("value", ["", "maybe", " true", "2", "\N{GRINNING FACE}"])
async def test_a_switch_that_is_none(value: str, recording: bool) -> None:
    answer = await get(f"/metrics/running-totals?include_active={value}", make_views(recording=recording))
    assert answer.status_code == 422
    (detail,) = answer.json()["detail"]
    assert detail.pop("msg")
    assert detail == {"type": "bool_parsing", "loc": ["query", "include_active"], "input": value}


async def test_the_last_of_several_counts() -> None:
    assert (await get("/metrics/running-totals?include_active=maybe&include_active=true")).status_code == 200
    assert (await get("/metrics/running-totals?include_active=true&include_active=maybe")).status_code == 422


class Broken(Totals):
    """Sums that cannot be read."""

    @property
    def providers(self) -> Any:
        raise ValueError("the key is /etc/secret")


async def test_a_failure_is_yaml_and_gives_nothing_away(caplog: pytest.LogCaptureFixture) -> None:
    answer = await get("/metrics/running-totals", make_views(totals=Broken()))
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "text/yaml; charset=utf-8"
    assert yaml.safe_load(answer.text) == {
        "error": "ValueError: the log of the sidecar says more",
        "status": "failed",
    }
    assert "secret" in caplog.text


async def test_another_failure_has_the_form_of_errors() -> None:
    def broken() -> Iterator[None]:
        raise ValueError("secret")

    class Active:
        __iter__ = staticmethod(broken)

    room = make_room(make_views(active=Active()))
    async with client_of(room) as client:
        client._transport.raise_app_exceptions = False  # type: ignore[attr-defined]
        answer = await client.get("/metrics/active-requests")
    assert answer.status_code == 500
    assert list(answer.json()) == ["detail"]
    assert "secret" not in answer.text


async def test_nothing_recorded_comes_before_no_stream() -> None:
    """A client that is told `disabled` does not come back; one that is told 503 never stops to."""
    answer = await get("/metrics/active-requests/stream", make_views(recording=False), enabled=False)
    assert answer.status_code == 200
    assert answer.text.startswith("event: disabled\n")


async def test_no_stream_and_no_place_can_be_told_apart() -> None:
    off = await get("/metrics/active-requests/stream", enabled=False)
    full = await get("/metrics/active-requests/stream", max_readers=0)
    assert off.status_code == full.status_code == 503
    assert "VDM_ACTIVE_REQUESTS_SSE_ENABLED" in off.json()["suggestion"]
    assert list(full.json()) == ["detail"]
    assert off.headers["cache-control"] == full.headers["cache-control"] == "no-cache"
