"""Servers of other makers in the background, and questions to those that speak PromQL."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import httpx

from exporter.demo.process import http_status

STOP_SECONDS = 10.0
"""How long after SIGTERM until SIGKILL."""


@contextmanager
def running(command: Sequence[str], log: Path, url: str, timeout_seconds: float = 60.0) -> Iterator[None]:
    """A server in the background, from when it answers until the block ends. Raises TimeoutError, with its log."""
    with background(command, log, lambda: answers(url), timeout_seconds):
        yield


@contextmanager
def background(
    command: Sequence[str], log: Path, ready: Callable[[], bool], timeout_seconds: float = 60.0
) -> Iterator[None]:
    """A program in the background, from when it is ready until the block ends; SIGKILL of this process ends it, too.
    Raises TimeoutError, with its log, when it is not ready in time or has ended before."""
    with log.open("wb") as output:
        process = subprocess.Popen([*_tied(), *command], stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            wait_until(
                lambda: ready() or process.poll() is not None, lambda: _last_words(command, log), timeout_seconds
            )
            if process.poll() is not None:
                raise TimeoutError(_last_words(command, log))
            yield
        finally:
            _stop(process)


@cache
def _tied() -> tuple[str, ...]:
    """What stands before a command that is to end with the thread that started it, which is for us the main thread."""
    return ("setpriv", "--pdeathsig", "KILL") if shutil.which("setpriv") else ()


def _last_words(command: Sequence[str], log: Path) -> str:
    return f"{command[0]} does not serve: {log.read_text(errors='replace')[-2000:]}"


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)


def answers(url: str) -> bool:
    """Whether a GET is answered with 200."""
    return http_status(url) == 200


def wait_until(condition: Callable[[], bool], explain: Callable[[], str], timeout_seconds: float = 20.0) -> None:
    """Poll a condition. Raises TimeoutError with the explanation."""
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(explain())
        time.sleep(0.1)


def query(base: str, expression: str) -> list[Any]:
    """The result of an instant query."""
    answer = httpx.get(f"{base}/api/v1/query", params={"query": expression}, timeout=30).json()
    assert answer["status"] == "success", answer
    result: list[Any] = answer["data"]["result"]
    return result


def value(base: str, expression: str) -> float | None:
    """The first value of an instant query; None when there is none."""
    result = query(base, expression)
    return float(result[0]["value"][1]) if result else None
