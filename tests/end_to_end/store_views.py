"""What clients see of the past: the history contract on either listener, and the totals that go on after a restart."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx
import yaml

from tests.end_to_end.sidecar import Sidecar

JSON = {"accept": "application/json"}
Document = dict[str, Any]


def figures(url: str, **query: str) -> Document:
    """`/metrics` as JSON."""
    answer = httpx.get(f"{url}/metrics", params=query, headers=JSON, timeout=30).raise_for_status()
    document: Document = answer.json()
    return document


def rows(url: str, **query: str) -> list[Document]:
    """The list of requests."""
    answer = httpx.get(f"{url}/completion_requests", params=query, timeout=60).raise_for_status()
    document: list[Document] = answer.json()
    return document


def totals(sidecar: Sidecar) -> Document:
    """The running totals."""
    answer = httpx.get(f"{sidecar.admin}/metrics/running-totals").raise_for_status()
    document: Document = yaml.safe_load(answer.text)
    return document


def timeless(document: Document, *others: str) -> Document:
    """A document without the moment of the answer, and other keys."""
    return {key: value for key, value in document.items() if key not in ("timestamp", *others)}


def until_written(sidecar: Sidecar, requests: int) -> None:
    """Wait until so many requests have been recorded, of whatever kind, and the store has them all."""
    sidecar.wait_until(lambda: sidecar.metrics().sum("llm_requests_total") >= requests)
    sidecar.wait_until(lambda: _is_settled(sidecar), 30)


def _is_settled(sidecar: Sidecar) -> bool:
    metrics = sidecar.metrics()
    up, waiting = (metrics.sum(f"llm_sidecar_store_{name}") for name in ("up", "queue_length"))
    return up == 1 and waiting == 0


def dropped(sidecar: Sidecar) -> float:
    """Records that the store will never have."""
    return sidecar.metrics().sum("llm_sidecar_store_dropped_records_total")


def wait_until(condition: Callable[[], object], timeout_seconds: float = 15.0) -> None:
    """Poll. Raises TimeoutError."""
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.02)
