"""Servers of other makers in the background, and questions to those that speak PromQL."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

PACKAGES = {"promtool": "prometheus", "amtool": "prometheus-alertmanager"}
"""Debian packages of programs that are not called like their package."""


def program(name: str) -> str:
    """Where a program is. Skips the test when it is not installed."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"needs {name} (Debian package {PACKAGES.get(name, name)})")
    return path


@contextmanager
def running(command: Sequence[str], log: Path, url: str, timeout_seconds: float = 20.0) -> Iterator[None]:
    """A server in the background, from when it answers until the block ends. Raises TimeoutError, with its log."""
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            wait_until(lambda: answers(url), lambda: log.read_text()[-2000:], timeout_seconds)
            yield
        finally:
            process.terminate()


def answers(url: str) -> bool:
    """Whether a GET is answered with 200."""
    try:
        return httpx.get(url, timeout=1).status_code == 200
    except httpx.TransportError:
        return False


def wait_until(condition: Callable[[], bool], explain: Callable[[], str], timeout_seconds: float = 20.0) -> None:
    """Poll a condition. Raises TimeoutError with the explanation."""
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(explain())
        time.sleep(0.1)


def query(base: str, expression: str) -> list[Any]:
    """The result of an instant query."""
    answer = httpx.get(f"{base}/api/v1/query", params={"query": expression}).json()
    assert answer["status"] == "success", answer
    result: list[Any] = answer["data"]["result"]
    return result


def value(base: str, expression: str) -> float | None:
    """The first value of an instant query; None when there is none."""
    result = query(base, expression)
    return float(result[0]["value"][1]) if result else None
