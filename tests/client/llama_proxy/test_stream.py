"""Live figures, from python-socketio's own server."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime

from exporter.client import (
    ProtocolError,
)
from tests.client.llama_proxy.conftest import FAST, Make
from tests.client.llama_proxy.listener import Listener, update
from tests.client.llama_proxy.manager import Manager
from tests.client.threaded import wait_until
from tests.nextjs_document import UPDATE

Listen = Callable[..., Listener]


def tell_the_first(live: Manager) -> None:
    wait_until(lambda: live.listeners)
    live.emit(UPDATE)


def test_figures_come_as_they_are_sent(live: Manager, listen: Listen) -> None:
    listener = listen()
    live.emit(UPDATE)
    wait_until(lambda: listener.heard)
    (metrics,) = listener.heard
    assert (metrics.cpu, metrics.memory, metrics.gpu, metrics.requests) == (45.2, 67.8, 85.5, 15)
    assert (metrics.timestamp, metrics.raw) == (datetime(2024, 1, 15, 10, tzinfo=UTC), UPDATE)


def test_all_come_in_their_order_and_nothing_else(live: Manager, listen: Listen) -> None:
    listener = listen()
    for number in range(100):
        live.emit(update(number))
        live.emit({"code": "X"}, "error")
    wait_until(lambda: len(listener.heard) >= 100)
    assert listener.requests == list(range(100))


def test_without_a_gpu_there_is_none(live: Manager, listen: Listen) -> None:
    listener = listen()
    live.emit({key: value for key, value in UPDATE.items() if key != "gpu"})
    live.emit(update(2, gpu=None))
    wait_until(lambda: len(listener.heard) >= 2)
    assert [metrics.gpu for metrics in listener.heard] == [None, None]


def test_what_comes_too_soon_is_left_out(live: Manager, listen: Listen, make_client: Make) -> None:
    client = make_client(live.url)
    few = Listener(client, interval=3600)
    wait_until(lambda: live.listeners)
    every = listen()
    for number in range(5):
        live.emit(update(number))
    wait_until(lambda: len(every.heard) >= 5 and few.heard)
    client.close()
    live.emit(update(5))
    few.end()
    assert (few.requests, few.failure) == ([0], None)


def test_pings_are_answered(free_port: int, make_client: Make) -> None:
    with Manager(free_port, ping_seconds=0.02) as live:
        listener = Listener(make_client(live.url, retries=FAST))
        wait_until(lambda: live.polls.count("POST") >= 6)
        listener.wanted = 1
        live.emit(UPDATE)
        listener.end()
        assert live.polls.count("POST") >= 6
        assert (listener.requests, listener.failure) == ([15], None)


def test_who_closes_the_generator_has_left(live: Manager, listen: Listen) -> None:
    listener = listen()
    listener.wanted = 1
    live.emit(UPDATE)
    listener.end()
    wait_until(lambda: live.left)
    assert live.listeners == []
    assert live.left == ["client disconnect"]


def test_closing_the_client_ends_the_generator(live: Manager, make_client: Make) -> None:
    client = make_client(live.url)
    stream = client.metrics.stream()
    told = threading.Thread(target=tell_the_first, args=(live,))
    told.start()
    assert next(stream).requests == 15
    told.join()
    client.close()
    assert list(stream) == []


def test_figures_that_are_none(live: Manager, make_client: Make) -> None:
    listener = Listener(make_client(live.url))
    wait_until(lambda: live.listeners)
    live.emit({"cpu": 1})
    listener.end()
    assert isinstance(listener.failure, ProtocolError)
    assert "metrics:update.timestamp is missing" in str(listener.failure)
