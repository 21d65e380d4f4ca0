"""Expressions that several dashboards show, so that the same figure is the same everywhere."""

from __future__ import annotations

from dashboards.generator.promql import RATE_INTERVAL, rate, share
from exporter.telemetry import catalog
from exporter.telemetry.catalog import Kind, Metric

FAILED = {"outcome": "=~upstream_error|stream_error|timeout", "http_response_status_code": "!~4.."}
"""Requests that failed through no fault of the client's: not refused, not left, not wrong themselves."""
ASKED = {
    "gen_ai_operation_name": "=~chat|text_completion|responses|messages|embeddings|rerank|infill|transcription|query",
    "outcome": "!=rejected",
    "http_response_status_code": "!~4..",
}
"""Requests that count for availability, as in prometheus/rules/objectives.yml: they ask something of a model, and are
neither refused nor the client's own mistake."""
MODEL = "gen_ai_request_model"


def llamacpp(name: str, kind: Kind = Kind.COUNTER) -> Metric:
    """A metric of llama-server that the sidecar mirrors; a counter is named without its `_total`."""
    return Metric(f"llamacpp:{name}", kind, "", catalog.Feed.SERVER, labels=("upstream", "tier", "model"))


DEFERRED = llamacpp("requests_deferred", Kind.GAUGE)


def requests(*by: str, window: str = RATE_INTERVAL) -> str:
    """Finished requests per second."""
    return rate(catalog.REQUESTS, by=by, window=window)


def failed_share(*by: str, window: str = RATE_INTERVAL) -> str:
    """Share of the finished requests that failed."""
    return share(rate(catalog.REQUESTS, by=by, window=window, **FAILED), requests(*by, window=window))


def availability(window: str) -> str:
    """Share of the requests to models that did not fail."""
    failed = rate(catalog.REQUESTS, by=(), window=window, **(ASKED | FAILED))
    return f"1 - {share(failed, rate(catalog.REQUESTS, by=(), window=window, **ASKED))}"


def tokens(kind: str, *by: str, window: str = RATE_INTERVAL) -> str:
    """Tokens per second: `input` or `output`."""
    return rate(catalog.TOKEN_USAGE, "_sum", by=by, window=window, gen_ai_token_type=kind)


def within(metric: Metric, bound: str, *by: str, window: str = RATE_INTERVAL) -> str:
    """Share of what a histogram observed that is not above a bound of its buckets; NaN where it observed nothing."""
    good = rate(metric, "_bucket", by=by, window=window, le=bound)
    return f"{good} / {rate(metric, '_count', by=by, window=window)}"


def uncached(*by: str, window: str = RATE_INTERVAL) -> str:
    """Prompt tokens per second that had to be evaluated."""
    whole = tokens("input", *by, window=window)
    return f"{whole} - ({rate(catalog.CACHED_TOKENS, by=by, window=window)} or 0 * {whole})"


def cached_share(*by: str, window: str = RATE_INTERVAL) -> str:
    """Share of the prompt tokens that came from the prompt cache."""
    return share(rate(catalog.CACHED_TOKENS, by=by, window=window), tokens("input", *by, window=window))
