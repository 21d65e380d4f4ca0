"""A span for each request: begun when it is known where the request goes, ended by the sink that gets its record.

The proxy calls `Tracing.begin`, `transport` carries the span's context to the upstream, the fan-out of records calls
`end_span`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence

from opentelemetry import propagate
from opentelemetry import trace as api
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import Getter, TextMapPropagator
from opentelemetry.trace import SpanKind, StatusCode, Tracer

from exporter.model_name import public_name
from exporter.observe.observation import Observation
from exporter.otel import spans
from exporter.otel.content.answered import Answer
from exporter.otel.content.asked import asked
from exporter.otel.roots import Roots
from exporter.otel.values import as_unicode, nanoseconds
from exporter.record import RequestRecord
from exporter.routing.upstream import Upstream

log = logging.getLogger(__name__)

Headers = Sequence[tuple[bytes, bytes]]
Places = Mapping[str, spans.Attributes]
TRACEPARENT = "traceparent"
BAGGAGE = "baggage"
"""The field passes as it is: it is no business of ours, and writing it anew would change it."""


class RequestSpan:
    """One request's span; a `record.Trace`."""

    __slots__ = ("_answer", "_headers", "_places", "context", "sampled", "sent", "span", "span_id", "stale", "trace_id")

    def __init__(self, span: api.Span, context: Context, places: Places, answer: Answer | None) -> None:
        about = span.get_span_context()
        self.span = span
        self.context = context
        """In which the span is the current one: the parent of those of the attempts."""
        self.sampled = bool(about.trace_flags.sampled)
        self.trace_id = api.format_trace_id(about.trace_id) if self.sampled else ""
        self.span_id = api.format_span_id(about.span_id) if self.sampled else ""
        self.sent = 0
        """Attempts so far."""
        self.stale: tuple[str, ...] = ()
        """Header fields of a context that could not be continued: they must not go on beside another one."""
        self._places = places
        self._answer = answer
        self._headers: Headers = ()

    def listen(self, headers: Headers) -> Callable[[bytes], None] | None:
        """See `record.Trace`."""
        self._headers = headers
        return None if self._answer is None else self._answer.feed

    def end(self, record: RequestRecord) -> None:
        """Say what became of the request."""
        try:
            self._describe(record)
        finally:
            self.span.end(nanoseconds(record.started_at + record.duration_seconds))

    def _describe(self, record: RequestRecord) -> None:
        span = self.span
        model = record.response_model
        if record.requested_model is None and model is not None and record.inference:  # as our metrics have it
            span.update_name(spans.name_of(record.operation, model))
            span.set_attribute("gen_ai.request.model", as_unicode(model))
        span.set_attributes(spans.last_attributes(record, self._places))
        for name, wall, attributes in spans.events_of(record):
            span.add_event(name, attributes, nanoseconds(wall))
        if self._answer is not None:
            messages = self._answer.messages(self._headers, record.finish_reasons)
            if messages is not None:
                span.set_attribute("gen_ai.output.messages", messages)
        if spans.has_failed(record):
            span.set_status(StatusCode.ERROR, record.error_type)


def end_span(record: RequestRecord) -> None:
    """The sink: end the span of a request that has one."""
    if isinstance(record.trace, RequestSpan):
        record.trace.end(record)


class _NoSpan:
    """What requests get that nobody follows."""

    sampled = False
    trace_id = span_id = ""

    def listen(self, _: Headers) -> None:
        """See `record.Trace`."""


NO_SPAN = _NoSpan()


class Tracing:
    """Begins spans: for every request that runs the model, and for others whose clients follow them by a trace."""

    def __init__(
        self,
        tracer: Tracer,
        upstreams: Iterable[Upstream],
        roots: Roots,
        *,
        propagator: TextMapPropagator | None = None,
        capture_content: bool = False,
    ) -> None:
        """`roots` are the ids of the tracer's provider."""
        self._tracer = tracer
        self._roots = roots
        self._places = {each.name: spans.place_of(each) for each in upstreams}
        self._propagator = propagate.get_global_textmap() if propagator is None else propagator
        self._fields = {name.lower().encode() for name in self._propagator.fields} - {BAGGAGE.encode()}
        self._capture_content = capture_content
        self._has_failed = False

    def begin(self, observation: Observation, headers: Headers, upstream: Upstream | None) -> None:
        """See `proxy.forward.Tracing`."""
        observation.trace = NO_SPAN
        try:
            fields = [field for field in headers if field[0] in self._fields]
            followed = fields or (observation.inference and self._roots.draw())
            if followed:
                self._begin(observation, fields, upstream)
        except Exception:
            if not self._has_failed:
                self._has_failed = True
                log.exception("a request could not be traced; it is served all the same, and so are later ones")

    def _begin(self, observation: Observation, fields: Headers, upstream: Upstream | None) -> None:
        parent = self._propagator.extract(as_carrier(fields), Context(), FIELDS) if fields else Context()
        asked_for = observation.requested_model if observation.inference else None
        model = asked_for and public_name(asked_for)
        span = self._tracer.start_span(
            spans.name_of(observation.operation, model),
            parent,
            SpanKind.CLIENT,
            spans.first_attributes(observation, model, upstream),
            start_time=nanoseconds(observation.started_at),
        )
        recording = span.is_recording()
        wanted = recording and self._capture_content and observation.inference
        begun = RequestSpan(span, api.set_span_in_context(span, parent), self._places, Answer() if wanted else None)
        observation.trace = begun
        if fields and not api.get_current_span(parent).get_span_context().is_valid:
            begun.stale = tuple({name.decode("latin-1") for name, _ in fields})
        document = observation.request_json
        if recording and document is not None and observation.inference:
            span.set_attributes(spans.asked_attributes(document))
            if wanted:
                span.set_attributes(asked(observation.operation, document))


class _Fields(Getter[Mapping[str, list[str]]]):
    """Finds header fields whatever case a propagator writes their names in."""

    def get(self, carrier: Mapping[str, list[str]], key: str) -> list[str] | None:
        return carrier.get(key.lower())

    def keys(self, carrier: Mapping[str, list[str]]) -> list[str]:
        return list(carrier)


FIELDS = _Fields()


def as_carrier(fields: Headers) -> Mapping[str, list[str]]:
    """Header fields as propagators take them. Two `traceparent` are none (W3C Trace Context)."""
    carrier: dict[str, list[str]] = {}
    for name, value in fields:
        carrier.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
    if len(carrier.get(TRACEPARENT, ())) > 1:
        del carrier[TRACEPARENT]
    return carrier
