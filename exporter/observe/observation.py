"""The account of one request in flight, from its head to its `RequestRecord`; the forwarder owns it.

No I/O and no clock: bytes and times come in, facts go out. What cannot be understood is counted, never raised.
"""

from __future__ import annotations

from dataclasses import dataclass

from exporter.model_name import public_name
from exporter.observe import summary
from exporter.observe.clock import ContentClock
from exporter.observe.documents import TEXT_LIMIT, Document
from exporter.observe.endpoints import find_endpoint
from exporter.observe.facts import Facts
from exporter.observe.reader import Headers, Reader, open_reader
from exporter.observe.request import RequestBody, find_origin, query_model, read_body
from exporter.observe.tokens import Totals, Usage
from exporter.record import Attempt, AttemptResult, Decision, Outcome, RequestRecord, Trace


@dataclass(frozen=True, slots=True)
class Look:
    """How far to look. All memory that an observation holds follows from these."""

    request_bytes: int = 1 << 20
    """Request bodies longer than this are forwarded, but not parsed."""
    answer_bytes: int = 256 << 10
    """Of JSON answers longer than this only head and tail are kept and searched."""
    frame_bytes: int = 256 << 10
    """Of stream events longer than this only head and tail are kept and searched."""
    gap_bounds: tuple[float, ...] = (
        0.001, 0.002, 0.004, 0.006, 0.008, 0.01, 0.015, 0.025, 0.05, 0.075,
        0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5,
    )  # fmt: skip
    """Upper bounds of the buckets for gaps between content chunks, in seconds, ascending."""
    client_name_header: bytes | None = b"x-origin"
    """Lower-case name of the header that names the client where there is no `Origin`."""


class Observation:
    """One request in flight. Times passed in are monotonic seconds."""

    __slots__ = (
        "_answered",
        "_answered_stream",
        "_body",
        "_choices",
        "_clock",
        "_dialect",
        "_facts",
        "_finished",
        "_first_byte_at",
        "_look",
        "_overhead",
        "_reader",
        "attempts",
        "decision",
        "inference",
        "message_count",
        "method",
        "operation",
        "origin",
        "path",
        "provider",
        "request_id",
        "request_json",
        "requested_model",
        "response_bytes",
        "served_model",
        "started",
        "started_at",
        "status_code",
        "stream",
        "tier",
        "tool_results",
        "tool_uses",
        "trace",
        "upstream",
    )

    def __init__(
        self,
        *,
        now: float,
        wall: float,
        request_id: str,
        method: str,
        path: str,
        query: bytes,
        headers: Headers,
        look: Look,
    ) -> None:
        path = path[:TEXT_LIMIT]
        endpoint = find_endpoint(method, path)
        found = dict(headers)
        self.request_id = request_id
        self.started = now
        self.started_at = wall
        self.method = method
        self.path = path
        self.operation = endpoint.operation
        self.inference = endpoint.inference
        self.requested_model = query_model(query) if query else None
        self.stream = False
        self.message_count: int | None = None
        self.tool_uses = 0
        self.tool_results = 0
        self.request_json: Document | None = None
        """The request body, from `end_request` until the answer begins; None when it is not a JSON object."""
        self.origin = find_origin(found, look.client_name_header)
        self.upstream: str | None = None
        self.provider = "llama_cpp"
        self.tier = "unknown"
        self.served_model: str | None = None
        self.attempts: list[Attempt] = []
        self.decision: Decision | None = None
        self.status_code: int | None = None
        self.response_bytes = 0
        self.trace: Trace | None = None
        """The span that somebody has begun for the request, sampled or not."""
        self._look = look
        self._dialect = endpoint.dialect
        self._choices = 1
        self._body = RequestBody(found, look.request_bytes)
        self._facts = Facts()
        self._clock = ContentClock(look.gap_bounds)
        self._reader: Reader | None = None
        self._overhead: float | None = None
        self._first_byte_at: float | None = None
        self._answered = False
        self._answered_stream = False
        self._finished = False

    # What is known now

    @property
    def dialect(self) -> str:
        """The dialect that is expected, or that the answer turned out to be in: the label of `parse_errors`."""
        return (self._reader and self._reader.dialect) or self._dialect

    @property
    def parse_errors(self) -> int:
        """Frames and bodies of the answer that could not be understood."""
        return self._facts.parse_errors

    @property
    def request_bytes(self) -> int:
        """Body bytes received from the client so far."""
        return self._body.size

    @property
    def first_token_at(self) -> float | None:
        """Monotonic time of the first streamed content."""
        return self._clock.first

    @property
    def content_chunks(self) -> int:
        """Streamed chunks with content so far."""
        return self._clock.chunks

    @property
    def tokens_so_far(self) -> int:
        """Generated tokens, as far as they can be counted while the stream runs: one per content chunk."""
        return self._clock.chunks

    @property
    def tokens_per_second_so_far(self) -> float | None:
        """Decode speed from the first streamed content to the last so far; None before the second."""
        return self._clock.tokens_per_second(self._clock.chunks)

    @property
    def streamed(self) -> bool:
        """Whether the client asked for a stream, or the answer is one."""
        return self.stream or self._answered_stream

    @property
    def usage_so_far(self) -> Usage:
        """Token counts that the server has told so far. Some servers tell those of the input before they answer."""
        return self._totals().usage

    @property
    def tool_calls_so_far(self) -> int:
        """Calls of tools that the answer has begun."""
        return len(self._facts.tool_calls)

    @property
    def retained_bytes(self) -> int:
        """Bytes of bodies held back now; bounded by `Look`."""
        return self._body.retained_bytes + (self._reader.retained_bytes if self._reader else 0)

    # What happens

    def feed_request(self, chunk: bytes) -> None:
        """A part of the request body has arrived."""
        self._body.feed(chunk)

    def end_request(self) -> None:
        """The request body is complete: read it."""
        document = self._body.take()
        self.request_json = document
        if document is not None:
            asked = read_body(document)
            self.requested_model = asked.model or self.requested_model
            self.stream = asked.stream
            self.message_count = asked.message_count
            self.tool_uses = asked.tool_uses
            self.tool_results = asked.tool_results
            self._choices = asked.choices

    def route(
        self,
        *,
        upstream: str,
        provider: str,
        tier: str,
        model: str | None = None,
        decision: Decision | None = None,
    ) -> None:
        """An upstream was chosen, and a `model` of it where that is known; the last choice counts, its `decision`
        (None: there was none to make) included."""
        self.upstream = upstream
        self.provider = provider
        self.tier = tier
        self.served_model = model
        self.decision = decision

    def add_attempt(self, attempt: Attempt) -> None:
        """A try to have an upstream answer has ended."""
        self.attempts.append(attempt)
        self._answered = self._answered or attempt.result is AttemptResult.ANSWERED

    def add_overhead(self, seconds: float) -> None:
        """The sidecar itself has spent this much time before the upstream had the request."""
        self._overhead = (self._overhead or 0.0) + seconds

    def answer(self, now: float, status: int, headers: Headers) -> None:
        """The head of the answer is here, upstream's or our own. Header names are lower-case."""
        self.request_json = None
        self.status_code = status
        self._first_byte_at = now
        look = self._look
        self._reader, self._answered_stream = open_reader(
            status,
            headers,
            inference=self.inference,
            facts=self._facts,
            clock=self._clock,
            answer_bytes=look.answer_bytes,
            frame_bytes=look.frame_bytes,
        )

    def feed(self, now: float, chunk: bytes) -> None:
        """A part of the answer's body, split anywhere, was forwarded. The hot path: once per streamed token."""
        self.response_bytes += len(chunk)
        if self._reader is not None:
            try:
                self._reader.feed(now, chunk)
            except Exception:
                self._give_up()

    def finish(self, now: float, outcome: Outcome | None = None, error_type: str | None = None) -> RequestRecord:
        """The request is over. Without `outcome` the answer ended by itself, and what it said decides.

        To be called once: the second call raises RuntimeError.
        """
        if self._finished:
            raise RuntimeError("this observation is finished")
        self._finished = True
        if self._reader is not None:
            try:
                self._reader.finish(now, outcome in (None, Outcome.COMPLETED))
            except Exception:
                self._give_up()
        decided = outcome or summary.decide(self.status_code, self._facts, ended=self._has_ended())
        return self._record(now, decided, summary.reason(decided, error_type, self.status_code, self._facts))

    def _give_up(self) -> None:
        """Something unforeseen in the answer: look no further, keep the facts so far. Traffic must not suffer."""
        self._facts.parse_errors += 1
        self._dialect = self.dialect
        self._reader = None

    def _since_start(self, moment: float | None) -> float | None:
        return None if moment is None else moment - self.started

    def _totals(self) -> Totals:
        return self._facts.tokens.totals(None if self.operation == "chat" else self._choices)

    def _has_ended(self) -> bool:
        """Whether the answer said that it is complete, in all its choices."""
        prompts = 1 if self.operation == "chat" else self.message_count or 1
        return self._facts.closed or len(self._facts.finish) >= prompts * self._choices

    def _record(self, now: float, outcome: Outcome, reason: str | None) -> RequestRecord:
        facts, clock = self._facts, self._clock
        totals = self._totals()
        ended = clock.chunks == 0 or self._has_ended()
        output, source = summary.count_output(totals.usage, clock.chunks, ended, facts)
        duration = now - self.started
        ttft = self._since_start(clock.first)
        completed = outcome is Outcome.COMPLETED
        return RequestRecord(
            request_id=self.request_id,
            started_at=self.started_at,
            duration_seconds=duration,
            outcome=outcome,
            method=self.method,
            path=self.path,
            operation=self.operation,
            inference=self.inference,
            requested_model=self.requested_model and public_name(self.requested_model),
            stream=self.streamed,
            message_count=self.message_count,
            tool_uses=self.tool_uses,
            tool_results=self.tool_results,
            origin=self.origin,
            request_bytes=self._body.size,
            upstream=self.upstream,
            provider=self.provider,
            tier=self.tier,
            served_model=self.served_model,
            attempts=tuple(self.attempts),
            decision=self.decision,
            status_code=self.status_code,
            response_model=facts.model and public_name(facts.model),
            response_bytes=self.response_bytes,
            error_type=reason,
            finish_reasons=facts.finish_reasons(),
            tool_calls=len(facts.tool_calls),
            input_tokens=totals.usage.input,
            cached_tokens=totals.usage.cached,
            output_tokens=output,
            token_source=source,
            draft_tokens=totals.draft,
            draft_accepted_tokens=totals.draft_accepted,
            overhead_seconds=self._overhead,
            first_byte_seconds=self._since_start(self._first_byte_at) if self._answered else None,
            ttft_seconds=ttft,
            last_token_seconds=None if ttft is None else clock.last - self.started,
            time_per_output_token_seconds=summary.time_per_token(duration, ttft, output) if completed else None,
            gaps=clock.histogram(),
            queue_seconds=summary.queue_time(duration, ttft, totals) if completed or ttft is not None else None,
            prompt_seconds=totals.prompt_seconds,
            generation_seconds=totals.generation_seconds,
            prompt_tokens_per_second=totals.prompt_per_second,
            output_tokens_per_second=totals.output_per_second or clock.tokens_per_second(output),
            response_id=facts.id,
            trace=self.trace if self.trace is not None and self.trace.sampled else None,
        )
