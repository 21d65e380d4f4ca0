"""Writes `docs/metrics.md` from the catalogue: `python -m exporter.telemetry.reference > docs/metrics.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from exporter.telemetry import catalog
from exporter.telemetry.buckets import Buckets
from exporter.telemetry.catalog import Kind, Metric
from exporter.telemetry.number import go_float

_INTRODUCTION = """\
# Metrics

Generated from `exporter/telemetry/catalog.py` by `python -m exporter.telemetry.reference`; do not edit.

`GET /metrics` on the admin listener shows all of this as Prometheus text (0.0.4, 1.0.0) or OpenMetrics (1.0.0, 0.0.1),
whichever the `Accept` header prefers, compressed when `Accept-Encoding` allows gzip. Nothing is measured at a scrape,
so scraping often is cheap.

- Where an OpenTelemetry convention names a metric, its Prometheus name is the one that the same metric has when it
  arrives by OTLP. Everything else is called `llm_` (requests, routing, upstreams) or `llm_sidecar_` (the sidecar
  itself).
- An unknown value is an absent series, never 0. An empty label is an absent label.
- OpenMetrics adds `_created` times and UNIT lines, and exemplars where traces are sent: beside a bucket of the
  histograms of requests (durations, speeds; not tokens) stand `trace_id` and `span_id` of the newest request in it
  whose trace is sampled.
- All buckets can be configured; the defaults are below.
"""

_LABELS = """\
## Labels

Labels that a client can choose (model, origin, finish reason, error type) are kept few. A model that an upstream
serves is always shown; of other values the first 100 models, 50 origins, 50 finish reasons and 50 error types are. What
comes later is shown as `other` and counted by `llm_sidecar_label_overflow_total`. Values are cut to 128 characters.

Queries that applications record (docs/client.md) are counted beside proxied requests, with the label values given
below.

In the tables below **R** stands for the labels of a request and **G** for those of a GPU.
"""

_MEANINGS = {
    "gen_ai_operation_name": "R. What was asked for: `chat`, `text_completion`, `responses`, `messages`, `embeddings`, "
    "`rerank`, `infill`, `tokenize`, ..., `other`; `query` for queries that applications recorded",
    "gen_ai_provider_name": "R. As configured for the upstream, `llama_cpp` unless changed; `recorded` for recorded "
    "queries",
    "gen_ai_request_model": "R. The model that the request asked for; when it named none, the model that answered; "
    "`unknown` when neither is known, and for recorded queries",
    "tier": "R. Tier of the upstream; `unknown` where it is not known; as the application gave it for recorded queries",
    "upstream": "R. Configured name of the upstream that answered or was tried last; empty when none was, and for "
    "recorded queries",
    "gen_ai_token_type": "`input` (tokens from the prompt cache included), `output`",
    "error_type": "Why a request failed: the server's own word, else `http_<status>` or the sidecar's; "
    "`recorded` for recorded queries; empty when it did not fail",
    "origin": "What the client says of where a request comes from: its `Origin` header, else the one that "
    "`proxy.client_name_header` names; a password in it is left out; `unknown` when there is neither, and for recorded "
    "queries; `other` also for new origins of requests that were refused",
    "outcome": "`completed`, `upstream_error`, `stream_error`, `client_gone`, `timeout`, `rejected`",
    "stream": "`true`, `false`",
    "http_response_status_code": "Status that the client was sent; empty when it left before that",
    "finish_reason": "As the server names it: `stop`, `length`, `tool_calls`, ...",
    "complexity": "As the client said (`X-Routing-Complexity`), else by the score: `SIMPLE`, `MODERATE`, `COMPLEX`",
    "fallback": "`true` when nobody of the wanted tier was well, or an upstream failed and another was tried; `false`",
    "result": "`answered`, `resent`, `connect_error`, `connect_timeout`, `disconnected`, `protocol_error`, `timeout`, "
    "`unavailable`, `abandoned`",
    "model": "A model of an upstream, by the name that clients use",
    "state": "Of a slot: `idle`, `processing`; of a model: `unloaded`, `loading`, `loaded`, `sleeping`, `downloading`, "
    "`failed`",
    "slot": "Number of the slot",
    "listener": "`proxy`, `admin`",
    "reason": "Of records that were dropped: `queue_full`, `refused` (the database would not have them), `shutdown`; "
    "of spans: `queue_full`, `export_failed`; of a GPU's clocks: why they are held down",
    "signal": "`traces`, `metrics`",
    "hw_id": "G. UUID (NVIDIA) or PCI address (AMD)",
    "hw_name": "G. Name of the product",
    "hw_vendor": "G. `nvidia`, `amd`",
    "gpu_index": "G. Number that the driver gives it; can change with a restart",
}

_GROUPS = (
    ("Requests", ("gen_ai_", "llm_"), "Histograms and token counters count requests that ran the model."),
    (
        "Routing",
        ("llm_routing_",),
        "Of requests that generate text, where there is a choice: several upstreams, or several models on one. `tier` "
        "is where the request went. At most 100 tiers are told apart; the rest are `other`.",
    ),
    ("Tiers and upstreams", ("llm_tier_", "llm_upstream"), ""),
    (
        "Host",
        ("system_",),
        "The conventions have no load average; these names are those of the OpenTelemetry Collector's host metrics.",
    ),
    ("Beside the models", ("llm_index_", "llm_redis_"), ""),
    ("The sidecar's process", ("process_",), ""),
    (
        "GPUs",
        ("hw_gpu",),
        'The conventions call most of these `hw.*` with `hw.type="gpu"`; here the type is in the name.',
    ),
    ("The sidecar itself", ("llm_sidecar_",), ""),
)

_MIRRORED = """\
## llama-server's own metrics

Every `llamacpp:*` metric of every upstream is mirrored under its own name, with the labels `upstream`, `tier` and
`model`, so dashboards made for llama-server keep working. `llamacpp:n_tokens_max`, a counter by its TYPE but a maximum
by nature, is a gauge here. llama-server's throughput gauges are averages since the last time somebody asked: let nobody
but the sidecar scrape it.
"""

_QUERIES = """\
## Queries

Time to first token, 95th percentile by model:

```promql
histogram_quantile(0.95, sum by (le, gen_ai_request_model) (rate(gen_ai_server_time_to_first_token_seconds_bucket[5m])))
```

Generated tokens per second, all requests together; and the median decode speed of one request:

```promql
sum by (gen_ai_request_model) (rate(gen_ai_client_token_usage_sum{gen_ai_token_type="output"}[5m]))
```

```promql
histogram_quantile(0.5, sum by (le, gen_ai_request_model) (rate(llm_output_tokens_per_second_bucket[5m])))
```

Share of chat requests that failed through no fault of the client's (not 4xx, gone or refused):

```promql
(
  sum(rate(llm_requests_total{
    gen_ai_operation_name="chat", outcome=~"upstream_error|stream_error|timeout", http_response_status_code!~"4.."
  }[5m])) or vector(0)
)
  / sum(rate(llm_requests_total{gen_ai_operation_name="chat"}[5m]))
```

Share of prompt tokens that came from the prompt cache:

```promql
sum(rate(llm_prompt_cached_tokens_total[5m])) / sum(rate(gen_ai_client_token_usage_sum{gen_ai_token_type="input"}[5m]))
```
"""


def render_reference() -> str:
    """The whole page, in Markdown."""
    groups = (_render_group(title, note, metrics) for title, note, metrics in grouped())
    return "\n".join((_INTRODUCTION, _LABELS, _render_labels(), *groups, _MIRRORED, _render_buckets(), _QUERIES))


def _render_labels() -> str:
    rows = (f"| `{name}` | {meaning} |" for name, meaning in _MEANINGS.items())
    return "\n".join(("| label | values |", "|---|---|", *rows, ""))


def grouped() -> Iterator[tuple[str, str, list[Metric]]]:
    """Title, note and metrics of each group; a metric is in the group whose prefix fits it best."""
    for title, prefixes, note in _GROUPS:
        yield title, note, [metric for metric in catalog.CATALOGUE if _best_prefix(metric) in prefixes]


def _best_prefix(metric: Metric) -> str:
    prefixes = (prefix for _, group, _ in _GROUPS for prefix in group if metric.name.startswith(prefix))
    return max(prefixes, key=len)


def _render_group(title: str, note: str, metrics: list[Metric]) -> str:
    head = f"## {title}\n\n{note}\n" if note else f"## {title}\n"
    table = ["| metric | type | unit | labels | meaning | from |", "|---|---|---|---|---|---|", *map(_row, metrics)]
    return "\n".join((head, *table, ""))


def _row(metric: Metric) -> str:
    convention = f" OpenTelemetry: `{metric.convention}`." if metric.convention else ""
    kind = f"{metric.kind} ([{metric.buckets}](#buckets))" if metric.kind is Kind.HISTOGRAM else metric.kind
    cells = (
        f"`{metric.sample_name}`",
        kind,
        metric.unit.replace("_", " "),
        _labels(metric),
        metric.help + convention,
        metric.feed,
    )
    return f"| {' | '.join(cells)} |"


def _labels(metric: Metric) -> str:
    for short, common in (("R", catalog.R), ("G", catalog.G)):
        if metric.labels[: len(common)] == common:
            return ", ".join((short, *(f"`{name}`" for name in metric.labels[len(common) :])))
    return ", ".join(f"`{name}`" for name in metric.labels)


def _render_buckets() -> str:
    defaults = Buckets()
    rows = [
        f"| {field} | {' '.join(map(go_float, getattr(defaults, field)))} | {used} |" for field, used in _uses().items()
    ]
    return "\n".join(("## Buckets\n", "| name | upper bounds | used by |", "|---|---|---|", *rows, ""))


def _uses() -> dict[str, str]:
    """Metrics by the field of `Buckets` that they use."""
    uses: dict[str, list[str]] = {}
    for metric in catalog.CATALOGUE:
        if metric.buckets:
            uses.setdefault(metric.buckets, []).append(f"`{metric.name}`")
    return {field: ", ".join(names) for field, names in uses.items()}


if __name__ == "__main__":
    sys.stdout.write(render_reference())
