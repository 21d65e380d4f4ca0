"""The frozen account of one finished request, and the glossary of every field in it.

`observe.Observation` builds exactly one `RequestRecord` per request, whatever became of the request; the sinks
(metrics, read-models, store) receive it through `fanout`. Unknown is `None`, never 0 and never an empty string.
Durations come from the monotonic clock and are seconds; the one timestamp is UTC wall time, in seconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol


class Word(StrEnum):
    """One of a few words, as records hold them."""

    __hash__ = str.__hash__  # that of enumerations is a function in Python, and these are keys for every request


class Outcome(Word):
    """What became of a request. The first that applies, from the client's point of view."""

    COMPLETED = "completed"
    """The whole answer was forwarded and its status was below 400."""
    UPSTREAM_ERROR = "upstream_error"
    """llama-server answered with 4xx or 5xx, could not be reached, or broke off its answer."""
    STREAM_ERROR = "stream_error"
    """An error arrived inside a stream whose status was 200: a frame, or the text of a router that lost its server."""
    CLIENT_GONE = "client_gone"
    """The client left before the answer was complete."""
    TIMEOUT = "timeout"
    """The upstream was silent for longer than the configured limit."""
    REJECTED = "rejected"
    """The sidecar itself refused the request (keys, limits, shutdown); no upstream saw it."""


FAILURES = frozenset((Outcome.UPSTREAM_ERROR, Outcome.STREAM_ERROR, Outcome.TIMEOUT, Outcome.REJECTED))
"""A client that left has not been failed."""


class AttemptResult(Word):
    """How one try to have an upstream answer ended."""

    ANSWERED = "answered"
    """Response headers arrived, whatever the status."""
    RESENT = "resent"
    """A reused connection turned out to be closed before any byte of the answer; sent again on a fresh one."""
    CONNECT_ERROR = "connect_error"
    """No connection could be made: refused, unreachable, name not found, TLS failure."""
    CONNECT_TIMEOUT = "connect_timeout"
    """No connection within the limit."""
    DISCONNECTED = "disconnected"
    """The connection closed before the response headers were complete."""
    PROTOCOL_ERROR = "protocol_error"
    """What came back was not HTTP."""
    TIMEOUT = "timeout"
    """Connected, but no response headers within the idle limit."""
    UNAVAILABLE = "unavailable"
    """Answered with 502, 503 or 504, which the client was spared: another upstream was tried."""
    ABANDONED = "abandoned"
    """The client left, or the sidecar was stopped, while the upstream was still being waited for."""


class Complexity(Word):
    """How complex a request is taken to be."""

    SIMPLE = "SIMPLE"
    MODERATE = "MODERATE"
    COMPLEX = "COMPLEX"


class RoutingReason(Word):
    """What decided on the tier of a request. The first that applies."""

    TIER = "tier"
    """The client named the tier (`X-Routing-Tier`)."""
    MODEL = "model"
    """The client named a model that an upstream serves."""
    COMPLEXITY = "complexity"
    """The client left it to the sidecar."""


class TokenSource(Word):
    """Where the token counts of a record come from, best first."""

    SERVER = "server"
    """`usage` or `timings` of the server: exact."""
    COUNTED = "counted"
    """Lower bounds. The server gave none and content chunks were counted, each of which can hold several tokens; or it
    gave those of the first choice alone, as llama-server does when several choices are not streamed."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to have one upstream answer a request."""

    upstream: str
    """Configured name of the upstream."""
    result: AttemptResult
    seconds: float
    """From the start of the try to its response headers, or to its failure."""
    status_code: int | None = None
    """HTTP status of the answer; None when there was none."""
    reused: bool = False
    """Whether the connection had served a request before."""
    ended_seconds: float | None = None
    """From the start of the request to the end of the try; None where nobody noted it."""


class Decision(NamedTuple):
    """Which tier a request was sent to, and why. There is one where there was a choice: several upstreams, or several
    models on one, and a request that generates text."""

    reason: RoutingReason
    complexity: Complexity
    """As the client said (`X-Routing-Complexity`), else from the score."""
    score: float | None
    """As the client said (`X-Routing-Score`), else of its last user message; None when it gave the complexity alone."""
    wanted_tier: str
    """Where the request belongs while all are well. `RequestRecord.tier` is where it went."""
    fallback: bool
    """It went to another tier because the wanted one had nobody who was well, or to another upstream after one had
    failed on it."""
    seconds: float
    """Time that the decision took."""


@dataclass(frozen=True, slots=True)
class GapHistogram:
    """Gaps between consecutive content chunks of one stream, as bucket counts: bounded memory for endless streams."""

    bounds: tuple[float, ...]
    """Upper bounds in seconds, ascending, +Inf left out."""
    counts: tuple[int, ...]
    """Gaps per bucket, not cumulative; one longer than `bounds`, the last for +Inf."""
    total_seconds: float
    """Sum of all gaps."""
    longest_seconds: float = 0.0
    """The longest gap."""

    @property
    def count(self) -> int:
        """Number of gaps."""
        return sum(self.counts)


class Trace(Protocol):
    """The span of a distributed trace that a request is."""

    @property
    def sampled(self) -> bool:
        """Whether the trace is recorded, so that it is worth a link."""

    @property
    def trace_id(self) -> str:
        """32 hexadecimal digits, lower-case."""

    @property
    def span_id(self) -> str:
        """16 hexadecimal digits, lower-case."""

    def listen(self, headers: Sequence[tuple[bytes, bytes]]) -> Callable[[bytes], None] | None:
        """What takes the pieces of an answer with these header fields as they are forwarded; None: nobody does."""


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One finished request."""

    # Identity
    request_id: str
    """Made by the sidecar, 16 hexadecimal digits; unique within a process, all but certainly across them."""
    started_at: float
    """UTC wall time at which the request's head had arrived, seconds since the epoch."""
    duration_seconds: float
    """From the request's head to the last byte of the answer, or to the failure that ended it."""
    outcome: Outcome

    # The request
    method: str
    """HTTP method as sent."""
    path: str
    """Path without the query, percent-decoded, at most 256 characters."""
    operation: str
    """What was asked for: chat, text_completion, responses, messages, embeddings, rerank, infill, tokenize, ...;
    `other`."""
    inference: bool
    """Whether the operation runs the model (chat, text_completion, responses, messages, embeddings, rerank, infill)."""
    requested_model: str | None
    """`model` of the request body (or of the query, for GET); None when absent or not readable."""
    stream: bool
    """The client asked for a stream, or the answer was one."""
    message_count: int | None
    """Number of messages, or of inputs or prompts, in the request."""
    tool_uses: int
    """Calls of tools that the conversation in the request holds: those of earlier turns. 0 where it offers no tools."""
    tool_results: int
    """Results of tools in it."""
    origin: str | None
    """The `Origin` header, else the configured client-name header."""
    request_bytes: int
    """Body bytes received from the client."""

    # Where it went
    upstream: str | None
    """Configured name of the upstream that answered, or was tried last; None when none was tried."""
    provider: str
    """Configured provider of that upstream (default `llama_cpp`)."""
    tier: str
    """Tier of that upstream; `unknown` where it cannot be told."""
    served_model: str | None
    """The model there that the request was sent to, as the upstream lists it; None where that is not known."""
    attempts: tuple[Attempt, ...]
    """Every try, in order; empty when no upstream was tried."""
    decision: Decision | None
    """None when there was nothing to decide, or nobody to send it to."""

    # The answer
    status_code: int | None
    """HTTP status that the client was sent; None when it left before that."""
    response_model: str | None
    """`model` of the answer."""
    response_bytes: int
    """Body bytes forwarded to the client."""
    error_type: str | None
    """Low-cardinality reason when `outcome` is not completed: the server's own `error.type`, `http_<status>`, or
    `connect_error`, `connect_timeout`, `disconnected`, `protocol_error`, `timeout`, `client_gone`, `rejected`,
    `proxy_error` (llama-server's router lost the server that was to answer)."""
    finish_reasons: tuple[str, ...]
    """As the server names them (stop, length, tool_calls, end_turn, max_tokens, limit, eos, ...), one per choice."""
    tool_calls: int
    """Number of tool calls in the answer."""

    # Tokens
    input_tokens: int | None
    """Prompt tokens, those served from the prompt cache included."""
    cached_tokens: int | None
    """Prompt tokens served from the prompt cache."""
    output_tokens: int | None
    """Generated tokens."""
    token_source: TokenSource | None
    """Where `input_tokens` and `output_tokens` come from; None when both are None."""
    draft_tokens: int | None
    """Tokens drafted by speculative decoding."""
    draft_accepted_tokens: int | None
    """Drafted tokens that the model accepted."""

    # Times
    overhead_seconds: float | None
    """Time that the sidecar itself added before the upstream had the request: from the complete head (and as much of
    the body as is held back) to the first byte written upstream, connecting excluded. None when no upstream was
    reached."""
    first_byte_seconds: float | None
    """From the start to the response headers of the upstream."""
    ttft_seconds: float | None
    """Time to first token: from the start to the first streamed chunk with content; None when not streamed."""
    last_token_seconds: float | None
    """From the start to the last streamed chunk with content."""
    time_per_output_token_seconds: float | None
    """(duration - TTFT) / (output tokens - 1) of a completed stream with two tokens or more."""
    gaps: GapHistogram | None
    """Inter-token latencies; None when fewer than two content chunks were streamed."""
    queue_seconds: float | None
    """Waiting inside the server: TTFT (or duration, when not streamed) less prompt evaluation and generation up to
    there; only when the server gave `timings`. Never negative."""
    prompt_seconds: float | None
    """Prompt evaluation (prefill) as the server timed it."""
    generation_seconds: float | None
    """Generation (decode) as the server timed it: from the first token to the last."""
    prompt_tokens_per_second: float | None
    """Prefill speed on uncached tokens, when the server gave `timings`."""
    output_tokens_per_second: float | None
    """Decode speed: the server's `predicted_per_second`, else (n - 1) / (last token - first token)."""

    # What only traces show
    response_id: str | None = None
    """`id` of the answer."""
    trace: Trace | None = None
    """The sampled trace that the request is part of; None when it is part of none, or of one that is not sampled."""


Sink = Callable[[RequestRecord], None]
"""A consumer of finished records: fast, synchronous, and allowed to fail (`fanout` counts it)."""
