"""Inside each llama-server: slots, queue, context, caches, speeds, speculative decoding, models."""

from __future__ import annotations

from dashboards.generator import figures
from dashboards.generator.charts import bars, stat, states, timeseries
from dashboards.generator.dashboard import Dashboard, Row
from dashboards.generator.figures import TOKENS_PER_SECOND, llamacpp
from dashboards.generator.panel import BLUE, GREEN, ORANGE, RED, TEXT, THIRD, WIDE, YELLOW, Query, thresholds
from dashboards.generator.promql import RANGE, quantile, rate, select, share, value
from dashboards.generator.tables import table
from exporter.telemetry import catalog
from exporter.telemetry.catalog import Kind

PROCESSING = llamacpp("requests_processing", Kind.GAUGE)
PROMPT_TOKENS = llamacpp("prompt_tokens")
PROMPT_TOKENS_CACHED = llamacpp("prompt_tokens_cached")
PROMPT_SECONDS = llamacpp("prompt_seconds")
PREDICTED_TOKENS = llamacpp("tokens_predicted")
PREDICTED_SECONDS = llamacpp("tokens_predicted_seconds")
DECODES = llamacpp("n_decode")
LONGEST = llamacpp("n_tokens_max", Kind.GAUGE)
BUSY_SLOTS = llamacpp("n_busy_slots_per_decode", Kind.GAUGE)
WHO = ("instance", "upstream", "model")
NAMED = "{{instance}} {{upstream}} {{model}}"
NOT_TOLD = "Not told by the server"
NO_DRAFTS = "No speculative decoding"
SERVED = {
    "instance": "Instance",
    "upstream": "Upstream",
    "tier": "Tier",
    "model": "Model",
    "quantization": "Quantization",
    "context_size": "Context",
    "parameters": "Parameters",
    "build": "Build",
}
STATES = {
    1: ("unloaded", TEXT),
    2: ("sleeping", BLUE),
    3: ("downloading", YELLOW),
    4: ("loading", ORANGE),
    5: ("loaded", GREEN),
    6: ("failed", RED),
}


def speed(tokens: str, seconds: str) -> str:
    """Tokens per second of work, idle time not counted."""
    return f"{tokens} / {seconds}"


def model_state() -> str:
    """The number in STATES of the state that a model is in."""
    parts = [
        f"{number} * {value(catalog.UPSTREAM_MODEL_STATE, by=WHO, operation='max', state=name)}"
        for number, (name, _) in STATES.items()
    ]
    return " + ".join(parts)


BUSY = Row(
    "Slots and queue",
    (
        stat(
            "Slots busy",
            "Slots that work on a request, as a share of all slots.",
            f"{value(catalog.UPSTREAM_SLOTS, state='processing')} / {value(catalog.UPSTREAM_SLOTS)}",
            unit="percentunit",
            steps=thresholds((1, YELLOW)),
            course=True,
            empty=NOT_TOLD,
        ),
        stat(
            "Slots",
            "All slots of all models that are loaded.",
            value(catalog.UPSTREAM_SLOTS),
            unit="short",
            course=True,
            empty=NOT_TOLD,
        ),
        stat(
            "Deferred",
            "Requests that wait for a slot.",
            value(figures.DEFERRED),
            unit="short",
            steps=thresholds((1, YELLOW), (10, RED)),
            course=True,
            empty=NOT_TOLD,
        ),
        stat(
            "Context used, most",
            "The fullest slot: the share of its context that its last or present prompt and answer fill.",
            value(catalog.UPSTREAM_CONTEXT_USED, operation="max"),
            unit="percentunit",
            steps=thresholds((0.95, YELLOW)),
            course=True,
            empty=NOT_TOLD,
        ),
        stat(
            "Prompt cache",
            "Share of the prompt tokens, over the time shown, that came from the prompt cache.",
            figures.cached_share(window=RANGE),
            unit="percentunit",
        ),
        stat(
            "Drafts accepted",
            "Share of the drafted tokens, over the time shown, that the model accepted.",
            share(rate(catalog.DRAFT_TOKENS_ACCEPTED, window=RANGE), rate(catalog.DRAFT_TOKENS, window=RANGE)),
            unit="percentunit",
            empty=NO_DRAFTS,
        ),
        timeseries(
            "Slots by state",
            "Slots of all models.",
            Query(value(catalog.UPSTREAM_SLOTS, by=("state",)), "{{state}}"),
            unit="short",
            width=THIRD,
            stack=True,
            empty=NOT_TOLD,
        ),
        timeseries(
            "Slots busy by model",
            "Slots that work on a request.",
            Query(value(catalog.UPSTREAM_SLOTS, by=WHO, state="processing"), NAMED),
            unit="short",
            width=THIRD,
            empty=NOT_TOLD,
        ),
        timeseries(
            "Processing and deferred",
            "Requests that llama-server works on, and those that wait for a slot.",
            Query(value(PROCESSING, by=("upstream",)), "{{upstream}} processing"),
            Query(value(figures.DEFERRED, by=("upstream",)), "{{upstream}} deferred"),
            unit="short",
            width=THIRD,
            empty=NOT_TOLD,
        ),
        timeseries(
            "Queue time, p95",
            "95 of 100 requests waited no longer for a slot; of those whose server gave timings.",
            Query(quantile(0.95, catalog.QUEUE_TIME, by=("upstream",)), "{{upstream}}", exemplar=True),
            unit="s",
            width=THIRD,
            fill=0,
        ),
        timeseries(
            "Busy slots per decode",
            "How many slots took part in each step of decoding, on average since the server's start: 1 means that"
            " nothing is batched.",
            Query(value(BUSY_SLOTS, by=WHO, operation="max"), NAMED),
            unit="short",
            width=THIRD,
            fill=0,
            empty=NOT_TOLD,
        ),
        timeseries(
            "Decode steps",
            "Calls of llama_decode per second.",
            Query(rate(DECODES, by=WHO), NAMED),
            unit="ops",
            width=THIRD,
            empty=NOT_TOLD,
        ),
    ),
)

CONTEXT = Row(
    "Context and caches",
    (
        timeseries(
            "Context used by slot",
            "Share of each slot's context that its last or present prompt and answer fill: what the KV cache holds.",
            Query(select(catalog.UPSTREAM_CONTEXT_USED), "{{instance}} {{upstream}} {{model}} {{slot}}"),
            unit="percentunit",
            fill=0,
            max=1,
            empty=NOT_TOLD,
        ),
        timeseries(
            "Longest context seen",
            "The largest number of tokens in a slot since the server's start.",
            Query(value(LONGEST, by=WHO, operation="max"), NAMED),
            unit="short",
            fill=0,
            empty=NOT_TOLD,
        ),
        timeseries(
            "Prompt-cache hit ratio by model",
            "Share of the prompt tokens of requests that came from the prompt cache, as the answers told it.",
            Query(figures.cached_share("tier", figures.MODEL), f"{{{{tier}}}} {{{{{figures.MODEL}}}}}"),
            unit="percentunit",
            width=THIRD,
            max=1,
        ),
        timeseries(
            "Prompt-cache hit ratio of the server",
            "The same as llama-server counts it: cached tokens among all prompt tokens.",
            Query(
                f"{rate(PROMPT_TOKENS_CACHED, by=('upstream',))} / ({rate(PROMPT_TOKENS_CACHED, by=('upstream',))}"
                f" + {rate(PROMPT_TOKENS, by=('upstream',))})",
                "{{upstream}}",
            ),
            unit="percentunit",
            width=THIRD,
            max=1,
            empty=NOT_TOLD,
        ),
        timeseries(
            "Prompt tokens",
            "Prompt tokens per second that had to be evaluated, and that were cached.",
            Query(figures.uncached(), "evaluated"),
            Query(rate(catalog.CACHED_TOKENS), "cached"),
            unit=TOKENS_PER_SECOND,
            width=THIRD,
            stack=True,
        ),
    ),
)

SPEED = Row(
    "Speed",
    (
        timeseries(
            "Decode speed of one request, median",
            "Tokens per second, as the server timed it, else measured.",
            Query(quantile(0.5, catalog.OUTPUT_SPEED, by=("upstream",)), "{{upstream}}", exemplar=True),
            unit=TOKENS_PER_SECOND,
            width=THIRD,
            fill=0,
        ),
        timeseries(
            "Prefill speed of one request, median",
            "Prompt tokens per second, cached ones not counted.",
            Query(quantile(0.5, catalog.PROMPT_SPEED, by=("upstream",)), "{{upstream}}", exemplar=True),
            unit=TOKENS_PER_SECOND,
            width=THIRD,
            fill=0,
        ),
        timeseries(
            "Speed while at work",
            "Tokens per second of decoding and of prefill, from llama-server's own counters; its idle time is not"
            " counted.",
            Query(
                speed(rate(PREDICTED_TOKENS, by=("tier",)), rate(PREDICTED_SECONDS, by=("tier",))), "{{tier}} decode"
            ),
            Query(speed(rate(PROMPT_TOKENS, by=("tier",)), rate(PROMPT_SECONDS, by=("tier",))), "{{tier}} prefill"),
            unit=TOKENS_PER_SECOND,
            width=THIRD,
            fill=0,
            empty=NOT_TOLD,
        ),
        timeseries(
            "Time at work",
            "Share of the time in which llama-server was decoding or evaluating prompts. It counts when a request"
            " ends: long answers show as peaks above 1, and so do several slots at work.",
            Query(rate(PREDICTED_SECONDS, by=("upstream",)), "{{upstream}} decode"),
            Query(rate(PROMPT_SECONDS, by=("upstream",)), "{{upstream}} prefill"),
            unit="percentunit",
            width=THIRD,
            stack=True,
            empty=NOT_TOLD,
        ),
        timeseries(
            "Speculative decoding: accepted",
            "Share of the drafted tokens that the model accepted.",
            Query(
                share(rate(catalog.DRAFT_TOKENS_ACCEPTED, by=("tier",)), rate(catalog.DRAFT_TOKENS, by=("tier",))),
                "{{tier}}",
            ),
            unit="percentunit",
            width=THIRD,
            max=1,
            empty=NO_DRAFTS,
        ),
        timeseries(
            "Speculative decoding: tokens",
            "Tokens drafted and accepted per second.",
            Query(rate(catalog.DRAFT_TOKENS, by=("tier",)), "{{tier}} drafted"),
            Query(rate(catalog.DRAFT_TOKENS_ACCEPTED, by=("tier",)), "{{tier}} accepted"),
            unit=TOKENS_PER_SECOND,
            width=THIRD,
            fill=0,
            empty=NO_DRAFTS,
        ),
    ),
)

MODELS = Row(
    "Models",
    (
        states(
            "Model states",
            "What state each model is in; a llama-server in router mode loads, sleeps and unloads its models.",
            Query(model_state(), NAMED),
            names=STATES,
            width=16,
        ),
        bars(
            "Models loaded",
            "Models that are loaded, by upstream.",
            Query(
                value(catalog.UPSTREAM_MODEL_STATE, by=("upstream",), state="loaded"),
                "{{upstream}}",
                instant=True,
            ),
            unit="short",
            decimals=0,
        ),
        table(
            "What is served",
            "What each upstream says of itself; a cell is empty where it does not tell. Context: tokens per slot.",
            {"Up": (value(catalog.UPSTREAM_INFO, by=tuple(SERVED), operation="max"), "short")},
            labels=SERVED,
            width=WIDE,
            hidden=("Value",),
            empty=NOT_TOLD,
        ),
    ),
)

BOARD = Dashboard(
    "llama-exporter-llama-server",
    "llama-exporter / llama-server",
    "Inside each llama-server: slots, queue, context, caches, speeds, speculative decoding, models.",
    (BUSY, CONTEXT, SPEED, MODELS),
)
