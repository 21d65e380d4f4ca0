"""Bounded, forgiving GETs to one upstream's own endpoints; `llama_server` and the rooms beside it ask through these.

An answer is read up to 4 MB and within a time limit for the whole of it, failures become words without addresses, and
an endpoint that says it is switched off is left alone for a minute.
"""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

import httpx

log = logging.getLogger(__name__)

LIMIT_SECONDS = 5.0
LIMIT_BYTES = 4 * 1024 * 1024
OFF_SECONDS = 60.0
"""How long an endpoint that answered 404 or 501 is not asked again."""
OFF_STATUSES = frozenset({404, 501})
REFUSED_STATUSES = frozenset({401, 403})

CLOSED = "connection closed"
TIMED_OUT = "timed out"
KINDS: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str], ...] = (
    (ConnectionRefusedError, "connection refused"),
    (socket.gaierror, "name not found"),
    (ssl.SSLError, "TLS error"),
    ((ConnectionError, httpx.ReadError, httpx.WriteError), CLOSED),
    ((TimeoutError, httpx.TimeoutException), TIMED_OUT),
    ((httpx.ConnectError, httpx.UnsupportedProtocol, httpx.InvalidURL), "cannot connect"),
)
"""First match counts: some are special cases of later ones."""
SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
NO_ROUTE = frozenset({errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN})


class NoAnswerError(Exception):
    """The endpoint gave no answer (timed out, connection closed); the text is for operators, without the address."""


class NoConnectionError(NoAnswerError):
    """The server cannot be reached at all, so no other endpoint needs to be tried."""


class SilenceError(NoAnswerError):
    """A connection was made, and nothing came in time."""


class KeyRefusedError(NoAnswerError):
    """The server wants another API key, or one at all."""

    def __init__(self) -> None:
        super().__init__("API key refused")


class BadAnswerError(NoAnswerError):
    """Something came back that is not an answer we can use: not HTTP, or too large."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and whole body of one answer."""

    status: int
    body: bytes
    seconds: float
    """Round trip, from before connecting to the last byte."""

    def document(self) -> object:
        """The JSON in the body; None when it is something else."""
        return decode(self.body)


class Endpoints:
    """The endpoints of one upstream."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        base_url: str,
        *,
        api_key: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._base_url = base_url.rstrip("/")
        self._headers = request_headers(api_key)
        self._clock = clock
        self._off_until: dict[tuple[str, str | None], float] = {}

    async def ask(self, path: str, model: str | None = None, *, limit_seconds: float = LIMIT_SECONDS) -> Answer:
        """GET `path`, of one model when the upstream is a router; never so that the router would load it.

        Raises NoAnswerError, NoConnectionError or BadAnswerError.
        """
        parameters = {"model": model, "autoload": "false"} if model is not None else None
        try:
            async with asyncio.timeout(limit_seconds):
                try:
                    return await self._get(path, parameters, limit_seconds)
                except Exception as error:
                    if words_for(error) != CLOSED:
                        raise
                # llama-server closes idle connections after 5 s, now and then just as the next request is written.
                return await self._get(path, parameters, limit_seconds)
        except Exception as error:  # whatever it is, this upstream gave no good answer
            failure = translate(error)
            log.debug("an upstream's endpoint failed", extra={"endpoint": path, "reason": str(failure)})
            raise failure from None

    async def feature(self, path: str, model: str | None = None) -> Answer | None:
        """The answer of an endpoint that may be off or may fail without harm to the others; None when there is none.

        Raises NoConnectionError alone.
        """
        if self._clock() < self._off_until.get((path, model), 0.0):
            return None
        try:
            answer = await self.ask(path, model)
        except NoConnectionError:
            raise
        except NoAnswerError:
            return None
        if answer.status in OFF_STATUSES:
            self.leave_alone(path, model)
        return answer

    def leave_alone(self, path: str, model: str | None = None) -> None:
        """Do not ask this for a minute: it is off, or it says nothing that we understand."""
        self._off_until[path, model] = self._clock() + OFF_SECONDS

    def forget(self) -> None:
        """The server is gone: the next one at this address may have other features."""
        self._off_until.clear()

    async def _get(self, path: str, parameters: dict[str, str] | None, limit_seconds: float) -> Answer:
        started = self._clock()
        url = self._base_url + path
        asked = self._client.stream(
            "GET", url, params=parameters, headers=self._headers, timeout=step_timeout(limit_seconds)
        )
        status, body = await read(asked, LIMIT_BYTES)
        return Answer(status, body, self._clock() - started)


def request_headers(api_key: str | None) -> dict[str, str]:
    """What stands in the head of every request. Compressed answers could not be bounded by counting what arrives."""
    return {"Accept-Encoding": "identity"} | ({"Authorization": f"Bearer {api_key}"} if api_key else {})


def step_timeout(limit_seconds: float) -> httpx.Timeout:
    """Each step a little shorter than the whole: when httpx itself gives up, it closes its sockets."""
    return httpx.Timeout(limit_seconds * 0.9)


async def read(asked: AbstractAsyncContextManager[httpx.Response], limit_bytes: int) -> tuple[int, bytes]:
    """Status and whole body of the answer to a request. Raises BadAnswerError when it is longer."""
    body = bytearray()
    async with asked as response:
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > limit_bytes:
                raise BadAnswerError("answer too large")
    return response.status_code, bytes(body)


def decode(body: bytes) -> object:
    """The JSON in a body; None when it is something else."""
    try:
        document: object = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return document


def translate(error: Exception) -> NoAnswerError:
    """A failed request as one of our errors. httpx's transports disagree about classes, so the causes decide."""
    if isinstance(error, NoAnswerError):
        return error
    words = words_for(error)
    if words is None:
        return BadAnswerError("answer is not HTTP")
    if words == TIMED_OUT and not isinstance(error, httpx.ConnectTimeout):
        return SilenceError(words)
    if words == CLOSED:
        return NoAnswerError(words)
    return NoConnectionError(words)


def words_for(error: BaseException) -> str | None:
    """Why a request failed, as the innermost cause says it; None when nothing in the chain is about a connection."""
    found = [words for cause in _causes(error) if (words := _words_for_one(cause)) is not None]
    return found[-1] if found else None


def is_refused(error: BaseException) -> bool:
    """Whether nobody listens at any address of the server: its process is gone. A connection that only did not come
    about in time, or could not be tried, proves nothing."""
    causes = list(_causes(error))
    tried = [each for cause in causes if isinstance(cause, BaseExceptionGroup) for each in cause.exceptions]
    if tried:
        return all(isinstance(each, ConnectionRefusedError) for each in tried)
    return any(isinstance(each, ConnectionRefusedError) for each in causes)


def is_shortage(error: BaseException) -> bool:
    """Whether there was no connection since this machine has run out of something."""
    return any(isinstance(each, OSError) and each.errno in SHORTAGES for each in _causes(error))


def _words_for_one(error: BaseException) -> str | None:
    if isinstance(error, OSError) and error.errno in NO_ROUTE:
        return "no route to host"
    if isinstance(error, ssl.SSLWantReadError):
        return None  # nothing wrong: the handshake was still going on when the time was up
    if "disconnected" in str(error):
        return CLOSED
    return next((words for kinds, words in KINDS if isinstance(error, kinds)), None)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it was raised from, outermost first."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        if isinstance(cause, BaseExceptionGroup):
            yield from cause.exceptions
        cause = cause.__cause__ or cause.__context__
