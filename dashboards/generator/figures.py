"""Expressions that several dashboards show, so that the same figure is the same everywhere."""

from __future__ import annotations

from dashboards.generator.dashboard import Choice
from dashboards.generator.promql import RATE_INTERVAL, increase, rate, select, share, value
from exporter.telemetry import catalog
from exporter.telemetry.catalog import Kind, Metric

TO_MODELS = {
    "gen_ai_operation_name": "=~chat|text_completion|responses|messages|embeddings|rerank|infill|transcription|query"
}
"""Requests that ask something of a model, unlike health checks and lists of models."""
ASKED = TO_MODELS | {"outcome": "!=rejected", "http_response_status_code": "!~4.."}
"""Those that count for availability, as in prometheus/rules/objectives.yml: not refused, not the client's mistake."""
FAILED = ASKED | {"outcome": "=~upstream_error|stream_error|timeout"}
"""Those that failed."""
MODEL = "gen_ai_request_model"
TOKENS_PER_SECOND = "suffix: tok/s"


def llamacpp(name: str, kind: Kind = Kind.COUNTER) -> Metric:
    """A metric of llama-server that the sidecar mirrors; a counter is named without its `_total`."""
    return Metric(f"llamacpp:{name}", kind, "", catalog.Feed.SERVER, labels=("upstream", "tier", "model"))


DEFERRED = llamacpp("requests_deferred", Kind.GAUGE)


SIDECARS = f"count({select(catalog.SIDECAR_BUILD)})"
"""Sidecars that tell of themselves."""


def requests(*by: str, window: str = RATE_INTERVAL) -> str:
    """Finished requests to models per second."""
    return rate(catalog.REQUESTS, by=by, window=window, **TO_MODELS)


def requests_within(window: str, *by: str) -> str:
    """How many requests to models finished within the window."""
    return increase(catalog.REQUESTS, by=by, window=window, **TO_MODELS)


def failed_share(*by: str, window: str = RATE_INTERVAL) -> str:
    """Share of the requests that count for availability that failed."""
    failed = rate(catalog.REQUESTS, by=by, window=window, **FAILED)
    return share(failed, rate(catalog.REQUESTS, by=by, window=window, **ASKED))


def tokens(kind: str, *by: str, window: str = RATE_INTERVAL) -> str:
    """Tokens per second: `input` or `output`."""
    return rate(catalog.TOKEN_USAGE, "_sum", by=by, window=window, gen_ai_token_type=kind)


def within(metric: Metric, target: Choice, *, window: str = RATE_INTERVAL) -> str:
    """Share of what a histogram observed that is not above the chosen target; NaN where it observed nothing."""
    good = rate(metric, "_bucket", window=window, le=f"=~${target.name}")
    return f"{good} / {rate(metric, '_count', window=window)}"


def uncached(*by: str, window: str = RATE_INTERVAL) -> str:
    """Prompt tokens per second that had to be evaluated."""
    whole = tokens("input", *by, window=window)
    return f"{whole} - ({rate(catalog.CACHED_TOKENS, by=by, window=window)} or 0 * {whole})"


def cached_share(*by: str, window: str = RATE_INTERVAL) -> str:
    """Share of the prompt tokens that came from the prompt cache."""
    return share(rate(catalog.CACHED_TOKENS, by=by, window=window), tokens("input", *by, window=window))


def of_cards(metric: Metric, *by: str, operation: str = "sum", **matchers: str) -> str:
    """A figure of the GPUs, each counted once however many sidecars of its machine show it."""
    each = value(metric, by=("hw_id", *by), operation="max", **matchers)
    return f"{operation} by ({', '.join(by)}) ({each})" if by else f"{operation}({each})"


CARD = "{{gpu_index}} {{hw_name}} {{card}}"
"""What a GPU is called: its number, its name, and the beginning of its identity."""


def by_card(metric: Metric, *by: str, **matchers: str) -> str:
    """A figure of each GPU, with a label `card`: identities are too long for a legend."""
    short = f'label_replace({select(metric, **matchers)}, "card", "$1", "hw_id", "(?:GPU-|0000:)?(.{{1,8}}).*")'
    return f"max by ({', '.join(('gpu_index', 'hw_name', 'card', *by))}) ({short})"
