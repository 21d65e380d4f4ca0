"""Has upstreams tried, one after the other in the order of a plan, until one answers; and says when another may be
tried at all.

`forward.Forwarder` calls it once per request. Nothing of an answer has gone to the client while it is at work.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import httpx

from exporter.asgi import Scope
from exporter.observe.observation import Observation
from exporter.proxy.client import Client
from exporter.proxy.connection import DisconnectedError, StaleConnectionError
from exporter.proxy.gate import Gate, Refusal
from exporter.proxy.headers import Headers, end_to_end, find
from exporter.proxy.model_field import with_model
from exporter.proxy.transport import Exchange
from exporter.record import Attempt, AttemptResult, Outcome
from exporter.routing.backend import Candidate, Plan
from exporter.routing.fleet import Fleet
from exporter.routing.upstream import Upstream
from exporter.routing.use import Use

UNAVAILABLE = frozenset((502, 503, 504))
"""Statuses of a server that cannot answer now; llama-server says 503 while it loads its model."""
SAFE_METHODS = frozenset(("GET", "HEAD", "OPTIONS"))
UNREACHED = frozenset((AttemptResult.CONNECT_ERROR, AttemptResult.CONNECT_TIMEOUT))
"""The upstream has seen nothing of the request."""
LOST = frozenset((AttemptResult.DISCONNECTED, AttemptResult.PROTOCOL_ERROR))
"""The upstream may have seen it, and may even have died of it."""
LOST_LIMIT = 2
"""A request that was lost on so many upstreams is not given to another: it may be what ends them."""


class UpstreamFailureError(Exception):
    """No answer could be had from an upstream."""

    def __init__(self, result: AttemptResult, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.result = result
        self.refusal = refusal

    @property
    def outcome(self) -> Outcome:
        """What the record says."""
        return Outcome.TIMEOUT if self.result is AttemptResult.TIMEOUT else Outcome.UPSTREAM_ERROR


@dataclass(frozen=True, slots=True)
class Sending:
    """A request as it is to be sent, whoever gets it."""

    scope: Scope
    client: Client
    body: bytes | None
    """None: it is streamed from the client, and can be sent once."""
    expects: bool
    """It carries `Expect: 100-continue`."""
    observation: Observation

    @property
    def repeatable(self) -> bool:
        """Whether it can and may be sent again after an upstream has seen it: generating text twice harms nobody."""
        return self.body is not None and (self.observation.inference or self.scope["method"] in SAFE_METHODS)


class Attempts:
    """Sends requests to upstreams."""

    def __init__(
        self,
        fleet: Fleet,
        transport: httpx.AsyncBaseTransport,
        gate: Gate,
        *,
        connect_seconds: float,
        idle_seconds: float | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fleet = fleet
        self._transport = transport
        self._gate = gate
        self._timeout = {"connect": connect_seconds, "read": idle_seconds}
        self._clock = clock

    async def answer(self, sending: Sending, plan: Plan) -> tuple[httpx.Response, Use]:
        """The head of the first answer that is good enough, or that nobody else could better; with the use of its
        upstream, which the caller ends. Raises UpstreamFailureError, that of the last upstream tried."""
        decision = plan.decision
        left = list(plan.candidates)
        lost = 0
        # What it takes to look into the request and to choose is overhead; what the client took to send it is not.
        since = sending.client.complete_at or self._clock()
        while True:
            candidate = left.pop(0)
            backend = candidate.backend
            upstream = backend.upstream
            sending.observation.route(
                upstream=upstream.name,
                provider=upstream.provider,
                tier=backend.tier,
                model=backend.model,
                decision=decision,
            )
            began = self._clock()
            use = self._fleet.begin(plan, candidate, began)
            try:
                return await self._send(sending, candidate, use, since, spare=bool(left)), use
            except UpstreamFailureError as failure:
                use.end()
                lost += failure.result in LOST
                left = self._whom_to_try(left, failure.result, upstream)
                if not left or not _may_go_on(failure.result, sending, lost):
                    raise
            except BaseException:
                use.end()
                raise
            since += self._clock() - began  # the time that others took is not ours
            decision = decision and decision._replace(fallback=True)

    def _whom_to_try(self, left: list[Candidate], result: AttemptResult, failed: Upstream) -> list[Candidate]:
        """Who is left, those first who are still well. All models of a server that is gone are gone."""
        if result is not AttemptResult.UNAVAILABLE:
            left = [candidate for candidate in left if candidate.backend.upstream is not failed]
        now = self._clock()
        return sorted(left, key=lambda candidate: not self._fleet.is_well(candidate, now))

    async def _send(
        self, sending: Sending, candidate: Candidate, use: Use, since: float, *, spare: bool
    ) -> httpx.Response:
        """Have one upstream answer. What a retired connection swallowed is sent again, once, on a fresh one.

        `spare`: there is another upstream, so that this one's word that it cannot is not needed.
        """
        upstream, observation = candidate.backend.upstream, sending.observation
        exchange, request = self._request(sending, candidate)
        started = self._clock()
        while True:
            result, status, response = AttemptResult.ABANDONED, None, None
            try:
                response = await self._transport.handle_async_request(request)
                result, status = AttemptResult.ANSWERED, response.status_code
                if status in UNAVAILABLE and spare and sending.repeatable:
                    result = AttemptResult.UNAVAILABLE
            except StaleConnectionError:
                result = AttemptResult.RESENT
            except httpx.TransportError as exc:
                failure = explain(exc, upstream.name)
                result = failure.result
                raise failure from exc
            finally:
                now = self._clock()
                observation.add_attempt(
                    Attempt(upstream.name, result, now - started, status, exchange.reused, now - observation.started)
                )
                if result in (AttemptResult.ANSWERED, AttemptResult.RESENT) and exchange.written_at is not None:
                    observation.add_overhead(max(0.0, exchange.written_at - since - exchange.connect_seconds))
                _report(use, candidate, result, status, now)
            if response is not None:
                if result is AttemptResult.ANSWERED:
                    return response
                await cast(httpx.AsyncByteStream, response.stream).aclose()
                raise _failure(result, 502, f"upstream '{upstream.name}' answered {status}")
            exchange.fresh, exchange.reused, started, since = True, False, now, now

    def _request(self, sending: Sending, candidate: Candidate) -> tuple[Exchange, httpx.Request]:
        scope, body = sending.scope, sending.body
        upstream = candidate.backend.upstream
        headers = self._gate.outgoing(outgoing_headers(scope["headers"]), upstream.api_key)
        if candidate.model is not None and body is not None:
            renamed = with_model(body, candidate.model)
            if renamed is not None:
                body, headers = renamed, with_length(headers, len(renamed))
        exchange = Exchange(
            target(scope, upstream), body, fresh=sending.body is None, wait_for_continue=sending.expects
        )
        request = httpx.Request(
            scope["method"],
            upstream.url,
            headers=headers,
            stream=sending.client,
            extensions={
                "exchange": exchange,
                "timeout": self._timeout,
                "trace": sending.observation.trace,
                "upstream": upstream.name,
            },
        )
        return exchange, request


def _may_go_on(result: AttemptResult, sending: Sending, lost: int) -> bool:
    """Whether another upstream may be given what this one failed on."""
    if result in UNREACHED:
        return True
    return sending.repeatable and (result is AttemptResult.UNAVAILABLE or (result in LOST and lost < LOST_LIMIT))


def _report(use: Use, candidate: Candidate, result: AttemptResult, status: int | None, now: float) -> None:
    """What an attempt says of the upstream's health."""
    if result in UNREACHED:
        use.failed(now)
    elif result in LOST:
        use.lost(now)
    elif result is AttemptResult.TIMEOUT:
        use.timed_out(now)
    elif status is None:
        return
    elif status not in UNAVAILABLE or candidate.backend.routed_model is not None:
        use.answered()  # what a router says with 5xx concerns one model alone
    elif status == 503:
        use.failed(now)
    else:
        use.lost(now)


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


def with_length(headers: Headers, length: int) -> Headers:
    """The fields for a body of another length."""
    return [(name, b"%d" % length if name == b"content-length" else value) for name, value in headers]


def explain(error: httpx.TransportError, upstream: str | None) -> UpstreamFailureError:
    """What a failure means, for the record and for the client, who learns the upstream's name but not its address."""
    name = f"upstream '{upstream}'"
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
    AttemptResult.UNAVAILABLE: "upstream_unavailable",
}


def _failure(result: AttemptResult, status: int, message: str) -> UpstreamFailureError:
    return UpstreamFailureError(result, Refusal(status, _TYPES[result], message))
