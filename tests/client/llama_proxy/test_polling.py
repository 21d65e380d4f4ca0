"""Engine.IO and Socket.IO packet by packet: what a server may say, and what is made of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from exporter.client import LlamaProxyClient, ProtocolError
from tests.client.llama_proxy.conftest import Patience

OPEN = '0{"sid":"abc","upgrades":[],"pingInterval":25000,"pingTimeout":20000}'
JOINED = '40/metrics,{"sid":"def"}'
UPDATE = '42/metrics,["metrics:update",{"timestamp":"2024-01-15T10:00:00Z","requests":%d}]'
Make = Callable[..., LlamaProxyClient]


class Script:
    """Says what it is told to, one text for each GET; hears what is posted."""

    def __init__(self, *said: str | bytes | httpx.Response | Exception) -> None:
        self.said = list(said)
        self.heard: list[str] = []
        self.queries: list[dict[str, str]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.queries.append(dict(request.url.params))
        if request.method == "POST":
            assert request.headers["content-type"] == "text/plain;charset=UTF-8"
            self.heard.append(request.content.decode())
            return httpx.Response(200, text="ok")
        said = self.said.pop(0)
        if isinstance(said, Exception):
            raise said
        return said if isinstance(said, httpx.Response) else httpx.Response(200, content=said)


def requests(make_client: Make, script: Script, count: int, patience: Patience | None = None) -> list[int | None]:
    """Of the first so many figures."""
    retries: dict[str, Any] = {} if patience is None else {"retries": patience.retries}
    client = make_client("http://sidecar", transport=httpx.MockTransport(script), **retries)
    stream = client.metrics.stream()
    found = [next(stream).requests for _ in range(count)]
    stream.close()
    return found


def test_the_whole_conversation(make_client: Make) -> None:
    script = Script(OPEN, JOINED, UPDATE % 1, "2", f"{UPDATE % 2}\x1e{UPDATE % 3}")
    assert requests(make_client, script, 3) == [1, 2, 3]
    assert script.heard == ["40/metrics,", "3", "41/metrics,\x1e1"]
    handshake = {"EIO": "4", "transport": "polling"}
    assert script.queries == [handshake, *[{**handshake, "sid": "abc"}] * 7]


@pytest.mark.parametrize(
    "other",
    [
        "6",
        "",
        "bAQID",
        '42["metrics:update",{"requests":9}]',
        '42/models,["metrics:update",{"requests":9}]',
        '42/metrics,["error",{}]',
        '42/metrics,["alone"]',
        '43/metrics,7["metrics:update",{"requests":9}]',
        '451-/metrics,["metrics:update",{"_placeholder":true,"num":0}]',
    ],
)
def test_what_is_meant_for_others(make_client: Make, other: str) -> None:
    assert requests(make_client, Script(OPEN, f"{JOINED}\x1e{other}\x1e{UPDATE % 1}"), 1) == [1]


def test_an_event_that_wishes_for_an_acknowledgement_is_one(make_client: Make) -> None:
    assert requests(make_client, Script(OPEN, JOINED, (UPDATE % 4).replace(",[", ",17[")), 1) == [4]


@pytest.mark.parametrize(
    "loss",
    [
        "1",
        "41/metrics",
        "41/metrics,",
        httpx.Response(400, json="Invalid session"),
        httpx.Response(502, text="<html>"),
        httpx.ReadTimeout("silence"),
        httpx.ReadError("reset"),
    ],
    ids=repr,
)
def test_after_a_loss_there_is_another_session(
    make_client: Make, patience: Patience, loss: str | httpx.Response | Exception
) -> None:
    script = Script(OPEN, JOINED, UPDATE % 1, loss, OPEN.replace("abc", "ghi"), JOINED, UPDATE % 2)
    assert requests(make_client, script, 2, patience) == [1, 2]
    assert patience.pauses == [0.25]
    assert script.queries[-1]["sid"] == "ghi"


@pytest.mark.parametrize(
    "said",
    [
        b"\xff",
        "42/metrics,{}",
        "42/metrics,[]",
        "42/metrics,[5]",
        "42/metrics,[",
        '44/metrics,{"message":"Invalid namespace"}',
        '44/metrics,"no"',
        httpx.Response(404, json={}),
    ],
    ids=repr,
)
def test_what_no_other_session_would_mend(
    make_client: Make, patience: Patience, said: str | bytes | httpx.Response
) -> None:
    script = Script(OPEN, said)
    with pytest.raises(Exception, match=r"^(404 )?(the|Not)") as raised:
        requests(make_client, script, 1, patience)
    assert raised.type is ProtocolError or "404" in str(raised.value)
    assert patience.pauses == []
    assert script.heard[-1] == "41/metrics,\x1e1"


def test_an_address_that_speaks_no_socket_io_is_left_alone(make_client: Make) -> None:
    script = Script("<html>")
    with pytest.raises(ProtocolError, match="no handshake"):
        requests(make_client, script, 1)
    assert script.heard == []
