"""What a request's span says: its name, attributes, events and status, by the GenAI conventions v1.41.0.

`tracing` calls it. What the conventions have no name for begins with `llm.`; docs/opentelemetry.md lists it all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from exporter.observe.documents import Document, mapping, text, whole
from exporter.observe.observation import Observation
from exporter.otel.values import as_unicode
from exporter.record import FAILURES, AttemptResult, RequestRecord
from exporter.routing.upstream import Upstream

Attributes = dict[str, Any]
Event = tuple[str, float, Attributes]
"""Name, UTC seconds since the epoch, attributes."""

OPERATIONS: Mapping[str, str] = {"messages": "chat", "responses": "chat", "infill": "text_completion"}
"""Operations for which the conventions have another word than our metrics, which tell the APIs apart."""

STOP_SEQUENCES = 16
PORTS = {"http": 80, "https": 443}


def operation_of(operation: str) -> str:
    """`gen_ai.operation.name`."""
    return OPERATIONS.get(operation, operation)


def name_of(operation: str, model: str | None) -> str:
    """The name of a span; one that runs no model has no model in it."""
    operation = operation_of(operation)
    return as_unicode(f"{operation} {model}") if model else operation


def _known(found: Iterator[tuple[str, Any]]) -> Attributes:
    """What there is, fit to be sent."""
    return {name: _fit(value) for name, value in found if value is not None}


def _fit(value: Any) -> Any:
    if isinstance(value, str):
        return as_unicode(value)
    return [as_unicode(each) for each in value] if isinstance(value, list) else value


def first_attributes(observation: Observation, model: str | None, upstream: Upstream | None) -> Attributes:
    """What samplers may go by: known before an upstream has the request."""
    found: Attributes = {}
    if observation.inference:
        found["gen_ai.operation.name"] = operation_of(observation.operation)
        found["gen_ai.provider.name"] = observation.provider if upstream is None else upstream.provider
        if model is not None:
            found["gen_ai.request.model"] = as_unicode(model)
    else:
        found["http.request.method"] = as_unicode(observation.method)
        found["url.path"] = as_unicode(observation.path)
    if upstream is not None:
        found.update(place_of(upstream))
    return found


def place_of(upstream: Upstream) -> Attributes:
    """Where an upstream is."""
    port = upstream.url.port or PORTS.get(upstream.url.scheme, 80)
    return {"server.address": upstream.url.host, "server.port": port}


def asked_attributes(document: Document) -> Attributes:
    """What the body of a request asks for, in any dialect; what has another type than it should is left out."""
    return _known(_asked(document))


def _asked(document: Document) -> Iterator[tuple[str, Any]]:
    yield "gen_ai.request.max_tokens", _first(document, _LIMITS, whole)  # -1 is no limit
    for name in ("temperature", "top_p", "top_k", "frequency_penalty", "presence_penalty"):
        yield f"gen_ai.request.{name}", _number(document.get(name))
    yield "gen_ai.request.seed", _whole(document.get("seed"))
    yield "gen_ai.request.stop_sequences", _first(document, ("stop", "stop_sequences"), _texts)
    choices = _first(document, ("n", "n_cmpl"), _whole)
    yield "gen_ai.request.choice.count", None if choices == 1 else choices
    yield "gen_ai.request.stream", True if document.get("stream") is True else None
    yield "gen_ai.output.type", _output_type(document)
    yield "gen_ai.request.encoding_formats", _texts(document.get("encoding_format"))
    yield "gen_ai.embeddings.dimension.count", _whole(document.get("dimensions"))


_LIMITS = ("max_completion_tokens", "max_tokens", "max_output_tokens", "n_predict")
_FORMATS = {"json_object": "json", "json_schema": "json", "text": "text"}


def _first(document: Document, names: tuple[str, ...], read: Any) -> Any:
    return next((value for name in names if (value := read(document.get(name))) is not None), None)


def _whole(value: object) -> int | None:
    """64 bits are what OTLP can hold."""
    return value if type(value) is int and abs(value) < 1 << 63 else None


def _number(value: object) -> float | None:
    return float(value) if type(value) in (int, float) and abs(value) < 1e300 else None  # type: ignore[arg-type]


def _texts(value: object) -> list[str] | None:
    found = [value] if isinstance(value, str) else value
    if not isinstance(found, list):
        return None
    return [short for each in found[:STOP_SEQUENCES] if (short := text(each)) is not None] or None


def _output_type(document: Document) -> str | None:
    asked = mapping(document.get("response_format")) or mapping(mapping(document.get("text")).get("format"))
    return _FORMATS.get(text(asked.get("type")) or "") or ("json" if mapping(document.get("json_schema")) else None)


def last_attributes(record: RequestRecord, places: Mapping[str, Attributes]) -> Attributes:
    """What is known when a request is over. `places` are those of the upstreams, by name."""
    found = _known(_answered(record))
    if record.decision is not None:
        found.update(_routed(record))
    return found | places.get(record.upstream or "", {})


def _answered(record: RequestRecord) -> Iterator[tuple[str, Any]]:
    yield "gen_ai.response.model", record.response_model
    yield "gen_ai.response.id", record.response_id
    yield "gen_ai.response.finish_reasons", list(record.finish_reasons) or None
    yield "gen_ai.response.time_to_first_chunk", record.ttft_seconds
    yield "gen_ai.usage.input_tokens", record.input_tokens
    yield "gen_ai.usage.output_tokens", record.output_tokens
    yield "gen_ai.usage.cache_read.input_tokens", record.cached_tokens
    yield "gen_ai.provider.name", record.provider if record.inference else None
    yield "error.type", record.error_type
    yield "http.response.status_code", record.status_code
    yield f"{OWN}.request_id", record.request_id
    yield f"{OWN}.outcome", str(record.outcome)
    yield f"{OWN}.tier", record.tier
    yield f"{OWN}.upstream", record.upstream
    yield f"{OWN}.origin", record.origin
    yield f"{OWN}.attempts", len(record.attempts) or None
    yield f"{OWN}.queue_time", record.queue_seconds
    yield f"{OWN}.prompt_time", record.prompt_seconds
    yield f"{OWN}.generation_time", record.generation_seconds
    yield f"{OWN}.output_tokens_per_second", record.output_tokens_per_second
    yield f"{OWN}.proxy_overhead", record.overhead_seconds


OWN = "llm"
"""The namespace of what the conventions have no name for."""


def _routed(record: RequestRecord) -> Attributes:
    decision = record.decision
    assert decision is not None  # noqa: S101 - the caller has looked
    found: Attributes = {
        f"{OWN}.routing.reason": str(decision.reason),
        f"{OWN}.routing.complexity": str(decision.complexity),
        f"{OWN}.routing.wanted_tier": decision.wanted_tier,
        f"{OWN}.routing.fallback": decision.fallback,
    }
    if decision.score is not None:
        found[f"{OWN}.routing.score"] = decision.score
    return found


def events_of(record: RequestRecord) -> Iterator[Event]:
    """What happened meanwhile, in order: fallbacks, then the first token."""
    started = record.started_at
    for attempt, following in zip(record.attempts, record.attempts[1:], strict=False):
        if attempt.result is not AttemptResult.RESENT:  # that went to the same upstream: no fallback
            about = {"error.type": str(attempt.result), f"{OWN}.upstream": attempt.upstream}
            about[f"{OWN}.fallback.upstream"] = following.upstream
            yield f"{OWN}.fallback", started + (attempt.ended_seconds or 0.0), about
    decision = record.decision
    if decision is not None and decision.wanted_tier != record.tier and len(record.attempts) < 2:
        about = {f"{OWN}.routing.wanted_tier": decision.wanted_tier, f"{OWN}.tier": record.tier}
        yield f"{OWN}.fallback", started, about
    if record.ttft_seconds is not None:
        yield f"{OWN}.first_token", started + record.ttft_seconds, {}


def has_failed(record: RequestRecord) -> bool:
    """Whether the span's status is an error. A client that left has not been failed."""
    return record.outcome in FAILURES
