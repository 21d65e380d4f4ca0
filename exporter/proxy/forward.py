"""The traffic path: takes a request from a client, has an upstream answer it, and relays the answer byte for byte.

`Forwarder` is the bare ASGI application behind the proxy listener. It owns each request's Observation and emits exactly
one RequestRecord per request, whatever becomes of it; who reads the records it does not know.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

import httpx

from exporter.asgi import Receive, Scope, Send
from exporter.errors import RoutingError
from exporter.observe.dialects import DIALECTS
from exporter.observe.observation import Look, Observation
from exporter.observe.request import LARGE_BYTES
from exporter.proxy.account import Account
from exporter.proxy.attempts import Attempts, Sending, UpstreamFailureError, explain
from exporter.proxy.client import Client, ClientGoneError
from exporter.proxy.gate import Gate, Refusal
from exporter.proxy.headers import Headers, end_to_end, find
from exporter.proxy.model_list import allowed_origin, is_asked_for, model_list
from exporter.proxy.relay import Relay, Write
from exporter.proxy.transport import AnswerStream
from exporter.record import Outcome, RequestRecord
from exporter.routing.fleet import Fleet, NobodyError
from exporter.routing.upstream import Upstream

log = logging.getLogger(__name__)


class InFlight(Protocol):
    """Who wants to know which requests are being served."""

    def __len__(self) -> int: ...
    def start(self, observation: Observation) -> None:
        """A request has arrived."""

    def end(self, observation: Observation, now: float) -> None:
        """It has been accounted for."""


class Tracing(Protocol):
    """Who makes a request a part of a distributed trace."""

    def begin(self, observation: Observation, headers: Headers, upstream: Upstream | None) -> None:
        """Set `observation.trace` to the request's span, unless nobody wants to follow it. Never raises.

        `headers` are the client's; `upstream` is the first to be tried, None when there is none.
        """


@dataclass(frozen=True, slots=True)
class Limits:
    """What the forwarder keeps to."""

    connect_seconds: float = 5.0
    idle_seconds: float | None = None
    """Longest silence of an upstream, before its answer and within; None waits for ever."""
    held_bytes: int = 1 << 20
    """Request bodies up to this size are held until complete, so that they can be looked into and sent again."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a request ended, as far as the bytes of the answer do not say it."""

    outcome: Outcome | None = None
    error_type: str | None = None


ANSWERED = Ending()
GONE = Ending(Outcome.CLIENT_GONE, "client_gone")
STOPPED = Ending(Outcome.TIMEOUT, "shutdown")
STOPPING = Refusal(503, "shutting_down", "the sidecar is being stopped", ((b"retry-after", b"1"),))
BROKEN = Ending(Outcome.UPSTREAM_ERROR, "internal_error")


class Forwarder:
    """ASGI application that forwards every request to an upstream. It runs on `http_protocol.TransparentProtocol`
    alone.

    `fleet` says which upstreams may have a request; `emit` receives the records. With `recording` off, traffic flows
    and nothing is recorded. `routing_headers` adds to answers where they come from. `tracing` is told of each request
    once it is known where it goes, or that it goes nowhere.
    """

    def __init__(
        self,
        *,
        fleet: Fleet,
        transport: httpx.AsyncBaseTransport,
        emit: Callable[[RequestRecord], None],
        in_flight: InFlight,
        gate: Gate,
        limits: Limits,
        look: Look,
        recording: bool = True,
        routing_headers: bool = False,
        tracing: Tracing | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._fleet = fleet
        self._attempts = Attempts(
            fleet,
            transport,
            gate,
            connect_seconds=limits.connect_seconds,
            idle_seconds=limits.idle_seconds,
            clock=clock,
        )
        self._emit = emit
        self._in_flight = in_flight
        self._gate = gate
        self._limits = limits
        self._look = look
        self._recording = recording
        self._routing_headers = routing_headers
        self._tracing = tracing
        self._clock = clock
        self._wall = wall
        self.parse_errors: Counter[str] = Counter(dict.fromkeys(DIALECTS, 0))
        """What could not be understood of requests and answers, by dialect."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        observation = Observation(
            now=scope["arrived"],
            wall=self._wall(),
            request_id=secrets.token_hex(8),
            method=scope["method"],
            path=scope["path"],
            query=scope["query_string"],
            headers=scope["headers"],
            look=self._look,
        )
        account = Account(observation, self.parse_errors)
        task = cast("asyncio.Task[None]", asyncio.current_task())
        client = Client(receive, scope["on_leave"], task, account, self._clock)
        ending = BROKEN
        refusal = self._gate.check(scope["method"], scope["headers"], len(self._in_flight))
        self._in_flight.start(observation)
        try:
            if refusal is not None:
                await self._refuse(send, account, refusal)
                ending = Ending(Outcome.REJECTED, refusal.type)
            else:
                ending = await self._serve(scope, client, send, account)
        except ClientGoneError:
            ending = GONE
        except asyncio.CancelledError:
            if not client.gone:
                ending = STOPPED
                if observation.status_code is None:
                    await self._refuse(send, account, STOPPING)
                raise
            task.uncancel()
            ending = GONE
        finally:
            client.served()
            now = self._clock()
            self._in_flight.end(observation, now)
            if self._tracing is not None and observation.trace is None:
                self._tracing.begin(observation, scope["headers"], None)
            if self._recording:
                account.close(now, ending.outcome, ending.error_type, self._emit)

    async def _serve(self, scope: Scope, client: Client, send: Send, account: Account) -> Ending:
        observation = account.observation
        scope, waits = self._consent(scope)
        body = None if waits else await client.read(self._limits.held_bytes)
        if is_asked_for(self._fleet, scope["method"], scope["path"]):
            listed = model_list(self._fleet, int(self._wall()))
            await self._answer(send, account, 200, listed, allowed_origin(scope["headers"]))
            return ANSWERED
        # What is long and was not looked into is somebody's business whom we do not know.
        seen = body is not None and (observation.request_json is not None or len(body) <= LARGE_BYTES)
        try:
            plan = self._fleet.plan(observation, scope["headers"], seen=seen)
            if self._tracing is not None:
                self._tracing.begin(observation, scope["headers"], plan.candidates[0].backend.upstream)
            response, use = await self._attempts.answer(Sending(scope, client, body, waits, observation), plan)
        except RoutingError as error:
            return await self._cannot_route(send, account, error)
        except UpstreamFailureError as failure:
            await self._refuse(send, account, failure.refusal)
            return Ending(failure.outcome, str(failure.result))
        try:
            return await self._relay(response, client, send=send, write=scope["write"], account=account)
        finally:
            use.end()

    async def _relay(
        self,
        response: httpx.Response,
        client: Client,
        *,
        send: Send,
        write: Write,
        account: Account,
    ) -> Ending:
        stream = cast(AnswerStream, response.stream)
        headers = answer_headers(response)
        if self._routing_headers:
            headers += routing_headers(account.observation)
        try:
            now = self._clock()
            await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
            account.answer(now, response.status_code, headers)
            observe = account.listener(headers) if self._recording else _look_away
            await Relay(stream, send=send, write=write, observe=observe, on_end=client.served, clock=self._clock).run()
        except httpx.TransportError as exc:
            # The head is out: returning without an end makes the server close the connection, which tells the client.
            failure = explain(exc, account.observation.upstream)
            log.warning("answer broken off: %s", failure, extra={"request_id": account.observation.request_id})
            return Ending(failure.outcome, str(failure.result))
        finally:
            await stream.aclose()
        return ANSWERED

    def _consent(self, scope: Scope) -> tuple[Scope, bool]:
        """The request without `Expect: 100-continue`, unless the consent to send its body is the upstream's to give.

        To read the body is to give it. Where there is a choice, what the body says is needed to make it.
        """
        if (find(scope["headers"], b"expect") or b"").lower() != b"100-continue":
            return scope, False
        if not self._fleet.has_choice:
            return scope, True
        return {**scope, "headers": [field for field in scope["headers"] if field[0] != b"expect"]}, False

    async def _cannot_route(self, send: Send, account: Account, error: RoutingError) -> Ending:
        """The client has asked for what there is not, or there is nobody to ask."""
        await self._refuse(send, account, Refusal(error.status, error.type, str(error), tuple(retry_after(error))))
        if not isinstance(error, NobodyError):
            return Ending(Outcome.REJECTED, error.type)
        account.observation.tier = error.wanted_tier
        return Ending(Outcome.UPSTREAM_ERROR, error.type)

    async def _refuse(self, send: Send, account: Account, refusal: Refusal) -> None:
        """Answer with an error of our own, in the form that OpenAI's clients understand."""
        error = {"code": refusal.status, "message": refusal.message, "type": refusal.type}
        await self._answer(send, account, refusal.status, json.dumps({"error": error}).encode(), refusal.headers)

    async def _answer(
        self, send: Send, account: Account, status: int, body: bytes, more: Sequence[tuple[bytes, bytes]] = ()
    ) -> None:
        """Answer with a JSON document of our own."""
        headers = [
            (b"content-type", b"application/json; charset=utf-8"),
            (b"content-length", b"%d" % len(body)),
            *more,
        ]
        now = self._clock()
        account.answer(now, status, headers)
        account.feed(now, body)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})


def _look_away(_: float, __: bytes) -> None:
    """Observe nothing."""


def answer_headers(response: httpx.Response) -> Headers:
    """End-to-end fields of an answer."""
    kept = end_to_end(response.headers.raw)
    if response.status_code in (204, 304):
        # uvicorn takes the length for a promise that a body follows, which these answers never have (RFC 9110, 8.6).
        kept = [field for field in kept if field[0] != b"content-length"]
    return kept


def routing_headers(observation: Observation) -> Headers:
    """Where an answer comes from, when that was a choice."""
    decision = observation.decision
    if decision is None:
        return []
    facts = (
        (b"tier", observation.tier),
        (b"upstream", observation.upstream or ""),
        (b"complexity", decision.complexity),
    )
    return [(b"x-routing-" + name, value.encode("ascii", "backslashreplace")) for name, value in facts]


def retry_after(error: RoutingError) -> Headers:
    """When it may be worth a try again."""
    return [] if error.retry_seconds is None else [(b"retry-after", b"%d" % error.retry_seconds)]
