"""Where the time goes: queueing, prefill, decode, the sidecar itself; as percentiles, distributions, and by model."""

from __future__ import annotations

from dashboards.generator import figures
from dashboards.generator.charts import heatmap, timeseries
from dashboards.generator.dashboard import DURATION_TARGET, TTFT_TARGET, Dashboard, Row
from dashboards.generator.figures import MODEL, TOKENS_PER_SECOND
from dashboards.generator.panel import HALF, THIRD, Panel, Query, override
from dashboards.generator.promql import RANGE, increase, mean, quantile, rate
from dashboards.generator.tables import table
from exporter.telemetry import catalog
from exporter.telemetry.catalog import Metric

PROMPTS = rate(catalog.TOKEN_USAGE, "_count", gen_ai_token_type="input")
TTFT = mean(catalog.TIME_TO_FIRST_TOKEN)
PER_REQUEST = f"/ {rate(catalog.TIME_TO_FIRST_TOKEN, '_count')}"


def course(title: str, meaning: str, metric: Metric, *, unit: str = "s") -> Panel:
    """p50, p95, p99 and mean of a histogram; its exemplars lead to traces."""
    shown = [(f"p{round(100 * q)}", quantile(q, metric)) for q in (0.5, 0.95, 0.99)]
    queries = [Query(expression, name, exemplar=name == "p99") for name, expression in (*shown, ("mean", mean(metric)))]
    dashed = override("mean", custom_lineStyle={"dash": [6, 6], "fill": "dash"}, custom_fillOpacity=0)
    return timeseries(title, meaning, *queries, unit=unit, fill=0, overrides=(dashed,))


def spread(title: str, meaning: str, metric: Metric) -> Panel:
    """A heatmap of a histogram's buckets."""
    return heatmap(title, meaning, rate(metric, "_bucket", by=("le",)), unit="s")


def by_model(title: str, meaning: str, metric: Metric, *, q: float = 0.95, unit: str = "s") -> Panel:
    """One percentile of a histogram, a line per model."""
    query = Query(quantile(q, metric, by=(MODEL,)), f"{{{{{MODEL}}}}}", exemplar=True)
    return timeseries(title, meaning, query, unit=unit, width=THIRD)


PERCENTILES = Row(
    "Percentiles",
    (
        course(
            "Time to first token",
            "From the head of a streamed request to the first chunk with content: queueing, prefill, and the first"
            " token.",
            catalog.TIME_TO_FIRST_TOKEN,
        ),
        course(
            "Inter-token latency",
            "Gap between two consecutive chunks with content, every gap of every stream: what a reader notices as"
            " stutter.",
            catalog.INTER_TOKEN_LATENCY,
        ),
        course(
            "Time per output token",
            "Time per token after the first, averaged over each completed stream.",
            catalog.TIME_PER_OUTPUT_TOKEN,
        ),
        course(
            "End-to-end duration",
            "From the head of a request to the end of its answer, streamed or not, requests whose client left"
            " included.",
            catalog.REQUEST_DURATION,
        ),
        course(
            "Queue time",
            "Waiting before the prompt was evaluated, most of it inside llama-server for a slot; of requests whose"
            " server gave timings.",
            catalog.QUEUE_TIME,
        ),
        course(
            "Sidecar overhead",
            "What the sidecar itself added before the upstream had the request.",
            catalog.PROXY_OVERHEAD,
        ),
    ),
)

DISTRIBUTIONS = Row(
    "Distributions",
    (
        spread(
            "Time to first token", "Requests per second by the time to their first token.", catalog.TIME_TO_FIRST_TOKEN
        ),
        spread("Inter-token latency", "Gaps between tokens per second, by their length.", catalog.INTER_TOKEN_LATENCY),
        spread(
            "Time per output token", "Streams per second by their mean time per token.", catalog.TIME_PER_OUTPUT_TOKEN
        ),
        spread("End-to-end duration", "Requests per second by their duration.", catalog.REQUEST_DURATION),
    ),
)

PHASES = Row(
    "Where the time goes",
    (
        timeseries(
            "Mean time of a request, by phase",
            "Overhead: in the sidecar. Queue: until the prompt is evaluated, for a slot most of all. Prefill: the"
            " rest until the first token. Decode: from the first token to the last. Each is the mean of the requests"
            " that have it (prefill and decode: of streams; queue: where the server gave timings, else it is part of"
            " prefill), so the stack is about as high as the mean stream is long.",
            Query(mean(catalog.PROXY_OVERHEAD), "overhead"),
            Query(f"clamp_min({mean(catalog.QUEUE_TIME)} - {mean(catalog.PROXY_OVERHEAD)}, 0)", "queue"),
            Query(f"clamp_min({TTFT} - ({mean(catalog.QUEUE_TIME)} or 0 * ({TTFT})), 0)", "prefill"),
            Query(f"{rate(catalog.INTER_TOKEN_LATENCY, '_sum')} {PER_REQUEST}", "decode"),
            unit="s",
            stack=True,
        ),
        timeseries(
            "Time to first token and the prompt cache",
            "The mean time to first token beside the share of prompt tokens that came from the cache: when the share"
            " falls, prompts are evaluated anew and the first token comes later.",
            Query(mean(catalog.TIME_TO_FIRST_TOKEN), "TTFT, mean"),
            Query(figures.cached_share(), "cached prompt tokens"),
            long_names=True,
            unit="s",
            fill=0,
            overrides=(override("cached prompt tokens", unit="percentunit", custom_axisPlacement="right", max=1),),
        ),
        timeseries(
            "Prompt tokens per request",
            "Mean number of prompt tokens that had to be evaluated, and that came from the prompt cache: the first"
            " token waits for the former only.",
            Query(f"({figures.uncached()}) / {PROMPTS}", "evaluated"),
            Query(f"{rate(catalog.CACHED_TOKENS)} / {PROMPTS}", "cached"),
            unit="short",
            stack=True,
        ),
        timeseries(
            "In time",
            "Share of requests whose first token, and whose end, came within the targets chosen above.",
            Query(figures.within(catalog.TIME_TO_FIRST_TOKEN, TTFT_TARGET), "first token within ${slo_ttft:text}"),
            Query(figures.within(catalog.REQUEST_DURATION, DURATION_TARGET), "end within ${slo_duration:text}"),
            long_names=True,
            unit="percentunit",
            fill=0,
            max=1,
        ),
    ),
)

MODELS = Row(
    "By model",
    (
        by_model("TTFT by model, p95", "95 of 100 first tokens came within this.", catalog.TIME_TO_FIRST_TOKEN),
        by_model("Inter-token by model, p95", "95 of 100 gaps were no longer.", catalog.INTER_TOKEN_LATENCY),
        by_model("Duration by model, p95", "95 of 100 requests took no longer.", catalog.REQUEST_DURATION),
        by_model(
            "Decode speed by model, median",
            "Tokens per second of one request, as the server timed it, else measured.",
            catalog.OUTPUT_SPEED,
            q=0.5,
            unit=TOKENS_PER_SECOND,
        ),
        by_model(
            "Prefill speed by model, median",
            "Prompt tokens per second of one request, cached ones not counted.",
            catalog.PROMPT_SPEED,
            q=0.5,
            unit=TOKENS_PER_SECOND,
        ),
        timeseries(
            "Tokens per request, mean",
            "Prompt and answer: longer ones take longer.",
            Query(mean(catalog.TOKEN_USAGE, by=("gen_ai_token_type",)), "{{gen_ai_token_type}}"),
            unit="short",
            width=THIRD,
        ),
    ),
)

OPERATIONS = Row(
    "By operation and upstream",
    (
        table(
            "Operations",
            "Requests that ran the model, over the time shown, by what was asked for.",
            {
                "Requests": (increase(catalog.REQUEST_DURATION, "_count", by=("gen_ai_operation_name",)), "locale"),
                "p50": (quantile(0.5, catalog.REQUEST_DURATION, by=("gen_ai_operation_name",), window=RANGE), "s"),
                "p95": (quantile(0.95, catalog.REQUEST_DURATION, by=("gen_ai_operation_name",), window=RANGE), "s"),
                "p99": (quantile(0.99, catalog.REQUEST_DURATION, by=("gen_ai_operation_name",), window=RANGE), "s"),
            },
            labels={"gen_ai_operation_name": "Operation"},
        ),
        table(
            "Upstreams",
            "Requests to models, over the time shown, by the server that answered or was tried last; `-`: by none.",
            {
                "Requests": (figures.requests_within(RANGE, "upstream"), "locale"),
                "Failed": (figures.failed_share("upstream", window=RANGE), "percentunit"),
                "TTFT p95": (quantile(0.95, catalog.TIME_TO_FIRST_TOKEN, by=("upstream",), window=RANGE), "s"),
                "Duration p95": (quantile(0.95, catalog.REQUEST_DURATION, by=("upstream",), window=RANGE), "s"),
            },
            labels={"upstream": "Upstream"},
        ),
        timeseries(
            "Duration by operation, p95",
            "95 of 100 requests of an operation took no longer.",
            Query(
                quantile(0.95, catalog.REQUEST_DURATION, by=("gen_ai_operation_name",)),
                "{{gen_ai_operation_name}}",
                exemplar=True,
            ),
            unit="s",
            width=HALF,
        ),
        timeseries(
            "TTFT by upstream, p95",
            "95 of 100 first tokens of a server came within this.",
            Query(quantile(0.95, catalog.TIME_TO_FIRST_TOKEN, by=("upstream",)), "{{upstream}}", exemplar=True),
            unit="s",
            width=HALF,
        ),
    ),
)

BOARD = Dashboard(
    "llama-exporter-latency",
    "llama-exporter / Latency",
    "How long requests take and where the time goes: queueing, prefill, decode, the sidecar.",
    (PERCENTILES, DISTRIBUTIONS, PHASES, MODELS, OPERATIONS),
    (TTFT_TARGET, DURATION_TARGET),
)
