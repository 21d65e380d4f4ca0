"""A server that speaks the contract, and clients that are closed when their test ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest

from exporter.client import LlamaProxyClient, Retries
from tests.client.llama_proxy.listener import Listener
from tests.client.llama_proxy.manager import Manager
from tests.client.threaded import wait_until
from tests.nextjs_document import UPDATE

Make = Callable[..., LlamaProxyClient]
FAST = Retries(first_seconds=0.01, longest_seconds=0.05)


@dataclass
class Patience:
    """Retries that take no time, and tell how long they would have."""

    limit: int = 4
    pauses: list[float] = field(default_factory=list)

    @property
    def retries(self) -> Retries:
        return Retries(limit=self.limit, sleep=self.pauses.append, draw=lambda: 1.0)


@pytest.fixture(scope="module")
def running_manager(find_port: Callable[[], int]) -> Iterator[Manager]:
    with Manager(find_port()) as running:
        yield running


@pytest.fixture
def manager(running_manager: Manager) -> Manager:
    running_manager.asked.clear()
    running_manager.answers.clear()
    running_manager.is_open.set()
    return running_manager


@pytest.fixture
def patience() -> Patience:
    return Patience()


@pytest.fixture
def make_client() -> Iterator[Callable[..., LlamaProxyClient]]:
    with ExitStack() as stack:

        def make(*arguments: Any, **options: Any) -> LlamaProxyClient:
            return stack.enter_context(LlamaProxyClient(*arguments, **options))

        yield make


@pytest.fixture
def client(manager: Manager, make_client: Callable[..., LlamaProxyClient], patience: Patience) -> LlamaProxyClient:
    return make_client(manager.url, retries=patience.retries)


@pytest.fixture
def live(free_port: int) -> Iterator[Manager]:
    with Manager(free_port) as running:
        yield running


@pytest.fixture
def listen(live: Manager, make_client: Make) -> Iterator[Callable[..., Listener]]:
    """Listeners that are there; at the end they hear one thing more, and leave."""
    listeners: list[Listener] = []

    def begin(**options: Any) -> Listener:
        count = len(live.listeners)
        listeners.append(Listener(make_client(live.url, retries=FAST), **options))
        wait_until(lambda: len(live.listeners) > count)
        return listeners[-1]

    yield begin
    for listener in listeners:
        listener.wanted = 0

    def all_gone() -> bool:
        live.emit(UPDATE)
        return not any(listener.thread.is_alive() for listener in listeners)

    wait_until(all_gone)
    assert [listener.failure for listener in listeners] == [None] * len(listeners)
