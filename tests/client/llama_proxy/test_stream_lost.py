"""Live figures of a sidecar that goes away, comes back, or will have none of it."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from exporter.client import (
    AuthenticationError,
    ConnectFailedError,
    ProtocolError,
    Retries,
    UnavailableError,
)
from tests.client.llama_proxy.conftest import Make, Patience
from tests.client.llama_proxy.listener import Listener, update
from tests.client.llama_proxy.manager import Manager, Reply
from tests.client.threaded import LIMIT_SECONDS, wait_until
from tests.nextjs_document import UPDATE, error

Listen = Callable[..., Listener]


def test_a_restarted_sidecar_is_found_again(live: Manager, listen: Listen) -> None:
    listener = listen()
    live.emit(update(1))
    wait_until(lambda: listener.heard)
    live.stop()
    live.start()
    wait_until(lambda: live.listeners)
    live.emit(update(2))
    wait_until(lambda: len(listener.heard) >= 2)
    assert listener.requests == [1, 2]


def test_it_comes_back_however_long_the_sidecar_is_away(live: Manager, make_client: Make) -> None:
    pauses: list[float] = []
    is_back = threading.Event()

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) >= 12:
            is_back.wait(LIMIT_SECONDS)

    listener = Listener(make_client(live.url, retries=Retries(limit=2, sleep=pause, draw=lambda: 1.0)))
    wait_until(lambda: live.listeners)
    live.emit(update(1))
    wait_until(lambda: listener.heard)
    live.stop()
    wait_until(lambda: len(pauses) >= 12)
    live.start()
    is_back.set()
    wait_until(lambda: live.listeners)
    listener.wanted = 2
    live.emit(update(2))
    listener.end()
    assert listener.requests == [1, 2]
    assert pauses[:7] == [0.25, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0]


@pytest.mark.parametrize("loss", [Manager.expel, Manager.forget])
def test_a_lost_session_is_followed_by_another(live: Manager, listen: Listen, loss: Callable[[Manager], None]) -> None:
    listener = listen()
    live.emit(update(1))
    wait_until(lambda: listener.heard)
    before = list(live.listeners)
    live._do(_later(live, loss)) if loss is Manager.forget else loss(live)
    wait_until(lambda: set(live.listeners) - set(before))
    live.emit(update(2))
    wait_until(lambda: 2 in listener.requests)


async def _later(live: Manager, loss: Callable[[Manager], None]) -> None:
    await live._live.emit("metrics:update", update(0), namespace="/metrics")
    loss(live)


def test_a_refused_handshake_is_tried_again(live: Manager, make_client: Make, patience: Patience) -> None:
    live.handshakes = [Reply(503, error(503, "X", "Full."), {"Retry-After": "9"}), Reply(429, error(429, "X", "No."))]
    listener = Listener(make_client(live.url, retries=patience.retries))
    wait_until(lambda: live.listeners)
    listener.wanted = 1
    live.emit(UPDATE)
    listener.end()
    assert patience.pauses == [9.0, 0.5]


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(401, error(401, "UNAUTHORIZED", "No.")), AuthenticationError),
        (Reply(200, text="<html>"), ProtocolError),
        (Reply(200, text="0{}"), ProtocolError),
        (Reply(200, text="0[]"), ProtocolError),
        (Reply(200, text="0{"), ProtocolError),
    ],
)
def test_what_will_not_get_better_is_raised(
    live: Manager, make_client: Make, patience: Patience, reply: Reply, kind: type[Exception]
) -> None:
    live.handshakes = [reply]
    with pytest.raises(kind):
        next(make_client(live.url, retries=patience.retries).metrics.stream())
    assert patience.pauses == []


def test_a_namespace_that_refuses(live: Manager, make_client: Make) -> None:
    live.refused_namespace = True
    with pytest.raises(ProtocolError, match="the sidecar refuses /metrics"):
        next(make_client(live.url).metrics.stream())


def test_a_sidecar_that_never_comes(make_client: Make, free_port: int, patience: Patience) -> None:
    stream = make_client(f"http://127.0.0.1:{free_port}", retries=patience.retries).metrics.stream()
    with pytest.raises(ConnectFailedError):
        next(stream)
    assert patience.pauses == [0.25, 0.5, 1.0, 2.0]
    assert list(stream) == []


def test_a_sidecar_that_stays_full(live: Manager, make_client: Make, patience: Patience) -> None:
    live.handshakes = [Reply(503, error(503, "X", "Full.")) for _ in range(5)]
    with pytest.raises(UnavailableError, match="Full"):
        next(make_client(live.url, retries=patience.retries).metrics.stream())
