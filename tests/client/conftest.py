"""A server that takes records, and collectors that are closed when their test ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from exporter.client import MetricsCollector
from tests.client.recorder import Recorder


@pytest.fixture(scope="module")
def running_recorder(find_port: Callable[[], int]) -> Iterator[Recorder]:
    with Recorder(find_port()) as running:
        yield running


@pytest.fixture
def recorder(running_recorder: Recorder) -> Recorder:
    running_recorder.reset()
    return running_recorder


@pytest.fixture
def make_collector() -> Iterator[Callable[..., MetricsCollector]]:
    """Collectors of the test's own."""
    with ExitStack() as stack:

        def make(base_url: str, *, api_key: str | None = None) -> MetricsCollector:
            collector = MetricsCollector(base_url, api_key=api_key)
            stack.callback(collector.close, 0.0)
            return collector

        yield make


@pytest.fixture
def collector(recorder: Recorder, make_collector: Callable[..., MetricsCollector]) -> MetricsCollector:
    return make_collector(recorder.url)
