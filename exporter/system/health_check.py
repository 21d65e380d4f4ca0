"""Is an upstream well: asks `/health`, and says what the answer means.

`llama_server` begins each look with it. Where there are several upstreams, a `HealthCollector` each asks it more often,
by itself, so that a slow look at the rest does not hold it up; `app` hands what it finds to the routing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import httpx

from exporter.system.answers import (
    REFUSED_STATUSES,
    Answer,
    BadAnswerError,
    Endpoints,
    KeyRefusedError,
    NoAnswerError,
    NoConnectionError,
    SilenceError,
)
from exporter.system.documents import mapping
from exporter.system.snapshot import HealthSnapshot, ServerState

HEALTH_SECONDS = 2.0
"""Longest wait for `/health`."""
NOT_LLAMA_SERVER = "answers, but not as a llama-server does"


@dataclass(frozen=True, slots=True)
class Health:
    """What `/health` lets us conclude; without a state, the list of models must decide."""

    state: ServerState | None
    seconds: float | None = None
    error: str | None = None


class HealthCollector:
    """Asks one upstream for its health alone."""

    def __init__(
        self,
        upstream: str,
        base_url: str,
        client: httpx.AsyncClient,
        *,
        interval_seconds: float,
        is_working: Callable[[], bool],
        api_key: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`is_working`: whether requests of ours are being worked on there."""
        self.name = f"health:{upstream}"
        self.longest_interval_seconds = interval_seconds
        self._upstream = upstream
        self._is_working = is_working
        self._endpoints = Endpoints(client, base_url, api_key=api_key, clock=clock)

    async def collect(self) -> HealthSnapshot:
        """Ask once. Whoever answers at all but to say that he cannot is ready: what he lets us see does not matter."""
        try:
            health = await ask_health(self._endpoints, self._is_working)
        except KeyRefusedError:
            return HealthSnapshot(self._upstream, ServerState.READY)
        except NoConnectionError:
            return HealthSnapshot(self._upstream, ServerState.UNREACHABLE)
        return HealthSnapshot(self._upstream, health.state or ServerState.READY, health.seconds)

    async def close(self) -> None:
        """Nothing is held that is our own: the client belongs to whoever made it."""


async def ask_health(endpoints: Endpoints, is_working: Callable[[], bool]) -> Health:
    """Ask `/health`. Raises NoConnectionError, KeyRefusedError.

    llama-server has few threads for HTTP, which requests that wait for a slot occupy: on 2 cores with one slot, the
    check goes unanswered from 6 requests on (measured on build 11434). So silence means little while it works for us.
    """
    try:
        answer = await endpoints.ask("/health", limit_seconds=HEALTH_SECONDS)
    except NoConnectionError:
        raise
    except BadAnswerError as error:
        return Health(ServerState.ERROR, error=str(error))
    except SilenceError as error:
        return Health(ServerState.BUSY if is_working() else ServerState.UNREACHABLE, error=str(error))
    except NoAnswerError as error:
        return Health(ServerState.UNREACHABLE, error=str(error))
    if answer.status in REFUSED_STATUSES:
        raise KeyRefusedError
    return judge_health(answer)


def judge_health(answer: Answer) -> Health:
    """200 with `{"status": ...}` or nothing (vLLM) is ready, 503 is loading; other servers may have no `/health`."""
    if answer.status == 503:
        return Health(ServerState.LOADING, answer.seconds, "loading the model")
    if answer.status == 200 and (not answer.body or "status" in mapping(answer.document())):
        return Health(ServerState.READY, answer.seconds)
    if answer.status in {200, 404, 405, 501}:
        return Health(None, answer.seconds, NOT_LLAMA_SERVER)
    return Health(ServerState.ERROR, answer.seconds, f"health check answered {answer.status}")
