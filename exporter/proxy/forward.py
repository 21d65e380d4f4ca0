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
from exporter.observe.dialects import DIALECTS
from exporter.observe.observation import Look, Observation
from exporter.proxy.account import Account
from exporter.proxy.client import Client, ClientGoneError
from exporter.proxy.connection import DisconnectedError, StaleConnectionError
from exporter.proxy.gate import Gate, Refusal
from exporter.proxy.headers import Headers, end_to_end, find
from exporter.proxy.relay import Relay, Write
from exporter.proxy.transport import AnswerStream, Exchange
from exporter.record import Attempt, AttemptResult, Outcome, RequestRecord
from exporter.routing.upstream import Upstream

log = logging.getLogger(__name__)


class InFlight(Protocol):
    """Who wants to know which requests are being served."""

    def __len__(self) -> int: ...
    def start(self, observation: Observation) -> None:
        """A request has arrived."""

    def end(self, observation: Observation, now: float) -> None:
        """It has been accounted for."""


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


class UpstreamFailureError(Exception):
    """No answer could be had from an upstream."""

    def __init__(self, result: AttemptResult, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.result = result
        self.refusal = refusal

    @property
    def ending(self) -> Ending:
        """What the record says."""
        timed_out = self.result is AttemptResult.TIMEOUT
        return Ending(Outcome.TIMEOUT if timed_out else Outcome.UPSTREAM_ERROR, str(self.result))


class Forwarder:
    """ASGI application that forwards every request to an upstream. It runs on `http_protocol.TransparentProtocol`
    alone.

    `choose` gives candidates for an observed request, best first; `emit` receives the records. With `recording` off,
    traffic flows and nothing is observed.
    """

    def __init__(
        self,
        *,
        choose: Callable[[Observation], Sequence[Upstream]],
        transport: httpx.AsyncBaseTransport,
        emit: Callable[[RequestRecord], None],
        in_flight: InFlight,
        gate: Gate,
        limits: Limits,
        look: Look,
        recording: bool = True,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._choose = choose
        self._transport = transport
        self._emit = emit
        self._in_flight = in_flight
        self._gate = gate
        self._limits = limits
        self._timeout = {"connect": limits.connect_seconds, "read": limits.idle_seconds}
        self._look = look
        self._recording = recording
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
            if self._recording:
                account.close(now, ending.outcome, ending.error_type, self._emit)

    async def _serve(self, scope: Scope, client: Client, send: Send, account: Account) -> Ending:
        expects = (find(scope["headers"], b"expect") or b"").lower() == b"100-continue"
        # Reading the body would give the client the consent that is the upstream's to give.
        body = None if expects else await client.read(self._limits.held_bytes)
        observation = account.observation
        upstream = self._choose(observation)[0]
        observation.route(upstream=upstream.name, provider=upstream.provider, tier=upstream.tier)
        exchange = Exchange(target(scope, upstream), body, fresh=body is None, wait_for_continue=expects)
        try:
            response = await self._attempt(scope, client, upstream, exchange, observation)
        except UpstreamFailureError as failure:
            await self._refuse(send, account, failure.refusal)
            return failure.ending
        return await self._relay(response, client, send=send, write=scope["write"], account=account, upstream=upstream)

    async def _attempt(
        self, scope: Scope, client: Client, upstream: Upstream, exchange: Exchange, observation: Observation
    ) -> httpx.Response:
        """Have one upstream answer. What a retired connection swallowed is sent again, once, on a fresh one."""
        # What it takes to look into the request and to choose is overhead; what the client took to send it is not.
        since = client.complete_at or self._clock()
        headers = self._gate.outgoing(outgoing_headers(scope["headers"]), upstream.api_key)
        request = httpx.Request(
            scope["method"],
            upstream.url,
            headers=headers,
            stream=client,
            extensions={"exchange": exchange, "timeout": self._timeout},
        )
        started = self._clock()
        while True:
            result, status = AttemptResult.ABANDONED, None
            try:
                response = await self._transport.handle_async_request(request)
                result, status = AttemptResult.ANSWERED, response.status_code
                return response
            except StaleConnectionError:
                result = AttemptResult.RESENT
            except httpx.TransportError as exc:
                failure = explain(exc, upstream)
                result = failure.result
                raise failure from exc
            finally:
                now = self._clock()
                observation.add_attempt(Attempt(upstream.name, result, now - started, status, exchange.reused))
                if result in (AttemptResult.ANSWERED, AttemptResult.RESENT) and exchange.written_at is not None:
                    observation.add_overhead(max(0.0, exchange.written_at - since - exchange.connect_seconds))
            exchange.fresh, exchange.reused, started, since = True, False, now, now

    async def _relay(
        self,
        response: httpx.Response,
        client: Client,
        *,
        send: Send,
        write: Write,
        account: Account,
        upstream: Upstream,
    ) -> Ending:
        stream = cast(AnswerStream, response.stream)
        headers = answer_headers(response)
        try:
            now = self._clock()
            await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
            account.answer(now, response.status_code, headers)
            observe = account.feed if self._recording else _look_away
            await Relay(stream, send=send, write=write, observe=observe, on_end=client.served, clock=self._clock).run()
        except httpx.TransportError as exc:
            # The head is out: returning without an end makes the server close the connection, which tells the client.
            failure = explain(exc, upstream)
            log.warning("answer broken off: %s", failure, extra={"request_id": account.observation.request_id})
            return failure.ending
        finally:
            await stream.aclose()
        return ANSWERED

    async def _refuse(self, send: Send, account: Account, refusal: Refusal) -> None:
        """Answer with an error of our own, in the form that OpenAI's clients understand."""
        error = {"code": refusal.status, "message": refusal.message, "type": refusal.type}
        body = json.dumps({"error": error}).encode()
        headers = [
            (b"content-type", b"application/json; charset=utf-8"),
            (b"content-length", b"%d" % len(body)),
            *refusal.headers,
        ]
        now = self._clock()
        account.answer(now, refusal.status, headers)
        account.feed(now, body)
        await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})


def _look_away(_: float, __: bytes) -> None:
    """Observe nothing."""


def target(scope: Scope, upstream: Upstream) -> bytes:
    """The request target for the upstream: the client's own, percent-encoding untouched, behind the upstream's path."""
    sent: bytes = scope["target"]
    return upstream.path_prefix + sent if sent.startswith(b"/") else sent


def outgoing_headers(headers: Headers) -> Headers:
    """End-to-end fields of a request, and chunked framing where the client used it."""
    kept = end_to_end(headers)
    if find(headers, b"transfer-encoding") is not None:
        kept.append((b"transfer-encoding", b"chunked"))
    return kept


def answer_headers(response: httpx.Response) -> Headers:
    """End-to-end fields of an answer."""
    kept = end_to_end(response.headers.raw)
    if response.status_code in (204, 304):
        # uvicorn takes the length for a promise that a body follows, which these answers never have (RFC 9110, 8.6).
        kept = [field for field in kept if field[0] != b"content-length"]
    return kept


def explain(error: httpx.TransportError, upstream: Upstream) -> UpstreamFailureError:
    """What a failure means, for the record and for the client, who learns the upstream's name but not its address."""
    name = f"upstream '{upstream.name}'"
    match error:
        case httpx.ConnectTimeout():
            return _failure(AttemptResult.CONNECT_TIMEOUT, 502, f"{name} cannot be reached: {error}")
        case httpx.ConnectError():
            return _failure(AttemptResult.CONNECT_ERROR, 502, f"{name} cannot be reached: {error}")
        case httpx.ReadTimeout() | httpx.WriteTimeout():
            return _failure(AttemptResult.TIMEOUT, 504, f"{name} {error}")
        case httpx.ReadError() | DisconnectedError():
            return _failure(AttemptResult.DISCONNECTED, 502, f"{name} {error}")
        case _:
            return _failure(AttemptResult.PROTOCOL_ERROR, 502, f"{name} {error}")


_TYPES = {
    AttemptResult.CONNECT_TIMEOUT: "upstream_unreachable",
    AttemptResult.CONNECT_ERROR: "upstream_unreachable",
    AttemptResult.TIMEOUT: "upstream_timeout",
    AttemptResult.DISCONNECTED: "upstream_disconnected",
    AttemptResult.PROTOCOL_ERROR: "upstream_protocol_error",
}


def _failure(result: AttemptResult, status: int, message: str) -> UpstreamFailureError:
    return UpstreamFailureError(result, Refusal(status, _TYPES[result], message))
