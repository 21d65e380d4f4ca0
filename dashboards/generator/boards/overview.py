"""What a user opens first: is it up, how busy is it, how fast, and what goes wrong."""

from __future__ import annotations

from dashboards.generator import figures
from dashboards.generator.dashboard import DURATION_TARGET, OBJECTIVE, TTFT_TARGET, Dashboard, Row, url
from dashboards.generator.figures import FAILED, MODEL
from dashboards.generator.panels import (
    GREEN,
    HALF,
    QUARTER,
    RED,
    THIRD,
    YELLOW,
    Query,
    bars,
    donut,
    linked,
    override,
    stat,
    table,
    thresholds,
    timeseries,
)
from dashboards.generator.promql import RANGE, increase, quantile, rate, share, value
from exporter.telemetry import catalog

ERRORS = thresholds((0.01, YELLOW), (0.05, RED))
GOOD = thresholds((0.95, YELLOW), (0.99, GREEN), base=RED)
BUDGET = thresholds((0, YELLOW), (0.25, GREEN), base=RED)
AVAILABILITY = figures.availability(RANGE)
CHOICES = (TTFT_TARGET, DURATION_TARGET)
BY_TIER = url("llama-exporter-latency", *CHOICES, tier="${__field.labels.tier:percentencode}")
BY_MODEL = url("llama-exporter-latency", *CHOICES, model="${__data.fields.Model:percentencode}")

NOW = Row(
    "Now",
    (
        stat("Requests", "Finished requests per second.", figures.requests(), unit="reqps", decimals=2),
        stat(
            "Output tokens",
            "Tokens generated per second, all requests together.",
            figures.tokens("output"),
            unit="short",
        ),
        stat(
            "Input tokens",
            "Prompt tokens per second, those from the prompt cache included.",
            figures.tokens("input"),
            unit="short",
        ),
        stat(
            "Failed",
            "Share of requests that failed through no fault of the client's: not 4xx, not refused, not left.",
            figures.failed_share(),
            unit="percentunit",
            steps=ERRORS,
            decimals=2,
        ),
        stat(
            "In flight",
            "Requests being served now.",
            value(catalog.REQUESTS_IN_FLIGHT),
            unit="short",
        ),
        stat(
            "Queued",
            "Requests that wait for a slot inside llama-server.",
            value(figures.DEFERRED),
            unit="short",
            steps=thresholds((1, YELLOW), (10, RED)),
            empty="Not told",
        ),
        stat(
            "TTFT p95",
            "95 of 100 streamed requests had their first token within this time.",
            quantile(0.95, catalog.TIME_TO_FIRST_TOKEN),
            unit="s",
        ),
        stat(
            "Inter-token p95",
            "95 of 100 gaps between two tokens of a stream were no longer than this.",
            quantile(0.95, catalog.INTER_TOKEN_LATENCY),
            unit="s",
        ),
        stat(
            "E2E p95",
            "95 of 100 requests took no longer than this, from their head to the end of the answer.",
            quantile(0.95, catalog.REQUEST_DURATION),
            unit="s",
        ),
        stat(
            "Tiers available",
            "Tiers with at least one model that can answer now, as a share of the tiers that are configured.",
            f"(count({value(catalog.TIER_MODELS_AVAILABLE, by=('tier',))} > 0) or vector(0))"
            f" / count({value(catalog.TIER_MODELS_CONFIGURED, by=('tier',))})",
            unit="percentunit",
            steps=thresholds((0.5, YELLOW), (1, GREEN), base=RED),
        ),
        stat(
            "Availability",
            "Share of requests, over the time shown, that did not fail through our fault. The objective is"
            " chosen above.",
            AVAILABILITY,
            unit="percentunit",
            steps=GOOD,
            decimals=2,
        ),
        stat(
            "TTFT in time",
            "Share of streamed requests, over the time shown, whose first token came within the target chosen above.",
            figures.within(catalog.TIME_TO_FIRST_TOKEN, "$slo_ttft", window=RANGE),
            unit="percentunit",
            steps=GOOD,
            decimals=2,
        ),
    ),
)

ALERT = {
    "alertname": "Alert",
    "alertstate": "State",
    "severity": "Severity",
    "instance": "Instance",
    "tier": "Tier",
    "upstream": "Upstream",
}

SLO = Row(
    "Service levels over the time shown, and alerts",
    (
        stat(
            "Error budget left",
            "Of the failures that the objective allows over the time shown, the share that is left; below 0 it is"
            " missed.",
            f"1 - (1 - ({AVAILABILITY})) / (1 - $slo_objective)",
            unit="percentunit",
            steps=BUDGET,
            height=6,
        ),
        stat(
            "TTFT budget left",
            "Of the late first tokens that the objective allows over the time shown, the share that is left.",
            f"1 - (1 - ({figures.within(catalog.TIME_TO_FIRST_TOKEN, '$slo_ttft', window=RANGE)}))"
            " / (1 - $slo_objective)",
            unit="percentunit",
            steps=BUDGET,
            height=6,
        ),
        stat(
            "E2E in time",
            "Share of requests, over the time shown, that ended within the target chosen above.",
            figures.within(catalog.REQUEST_DURATION, "$slo_duration", window=RANGE),
            unit="percentunit",
            steps=GOOD,
            decimals=2,
            height=6,
        ),
        table(
            "Alerts",
            "Alerts of prometheus/alerts that are firing or about to; docs/runbook.md says what to do about each.",
            {"Value": (f'max by ({", ".join(ALERT)}) (ALERTS{{alertname=~"Llama.+"}})', "short")},
            labels=ALERT,
            hidden=("Value",),
            overrides=(override("Alert", custom_width=230),),
            height=6,
            empty="No alerts",
        ),
    ),
)

TIERS = Row(
    "By tier",
    (
        linked(
            timeseries(
                "Requests by tier",
                "Finished requests per second.",
                Query(figures.requests("tier"), "{{tier}}"),
                unit="reqps",
                width=THIRD,
                stack=True,
            ),
            "Latency of this tier",
            BY_TIER,
        ),
        linked(
            timeseries(
                "Failed requests by tier",
                "Share of requests that failed through no fault of the client's.",
                Query(figures.failed_share("tier"), "{{tier}}"),
                unit="percentunit",
                width=THIRD,
                least_top=0.05,
            ),
            "Latency of this tier",
            BY_TIER,
        ),
        linked(
            timeseries(
                "Duration by tier, p95",
                "95 of 100 requests took no longer than this.",
                Query(quantile(0.95, catalog.REQUEST_DURATION, by=("tier",)), "{{tier}}", exemplar=True),
                unit="s",
                width=THIRD,
            ),
            "Latency of this tier",
            BY_TIER,
        ),
        timeseries(
            "Output tokens by tier",
            "Tokens generated per second, all requests of a tier together.",
            Query(figures.tokens("output", "tier"), "{{tier}}"),
            unit="short",
            width=THIRD,
            stack=True,
        ),
        timeseries(
            "TTFT by tier, p95",
            "95 of 100 streamed requests had their first token within this time.",
            Query(quantile(0.95, catalog.TIME_TO_FIRST_TOKEN, by=("tier",)), "{{tier}}", exemplar=True),
            unit="s",
            width=THIRD,
        ),
        timeseries(
            "In flight by tier",
            "Requests being served.",
            Query(value(catalog.REQUESTS_IN_FLIGHT, by=("tier",)), "{{tier}}"),
            unit="short",
            width=THIRD,
            stack=True,
        ),
    ),
)

MODELS = Row(
    "By model",
    (
        linked(
            table(
                "Models",
                "What each model was asked for over the time shown, and how fast it was: TTFT and duration are 95th"
                " percentiles, the decode speed is the median.",
                {
                    "Requests": (increase(catalog.REQUESTS, by=(MODEL,)), "locale"),
                    "Failed": (figures.failed_share(MODEL, window=RANGE), "percentunit"),
                    "Input tokens": (
                        increase(catalog.TOKEN_USAGE, "_sum", by=(MODEL,), gen_ai_token_type="input"),
                        "short",
                    ),
                    "Output tokens": (
                        increase(catalog.TOKEN_USAGE, "_sum", by=(MODEL,), gen_ai_token_type="output"),
                        "short",
                    ),
                    "TTFT": (quantile(0.95, catalog.TIME_TO_FIRST_TOKEN, by=(MODEL,), window=RANGE), "s"),
                    "Duration": (quantile(0.95, catalog.REQUEST_DURATION, by=(MODEL,), window=RANGE), "s"),
                    "Tokens/s": (quantile(0.5, catalog.OUTPUT_SPEED, by=(MODEL,), window=RANGE), "short"),
                },
                labels={MODEL: "Model"},
                width=16,
            ),
            "Latency of this model",
            BY_MODEL,
        ),
        bars(
            "Top models",
            "The ten models that were asked for most, over the time shown.",
            Query(f"topk(10, {increase(catalog.REQUESTS, by=(MODEL,))})", f"{{{{{MODEL}}}}}", instant=True),
            unit="locale",
            decimals=0,
        ),
        timeseries(
            "Requests by model",
            "Finished requests per second.",
            Query(figures.requests(MODEL), f"{{{{{MODEL}}}}}"),
            unit="reqps",
            stack=True,
        ),
        timeseries(
            "Output tokens by model",
            "Tokens generated per second, all requests of a model together.",
            Query(figures.tokens("output", MODEL), f"{{{{{MODEL}}}}}"),
            unit="short",
            stack=True,
        ),
    ),
)

REASONS = Row(
    "Endings and errors",
    (
        timeseries(
            "Outcomes",
            "Finished requests per second by how they ended. `client_gone`: the client left before the end; `rejected`:"
            " the sidecar refused.",
            Query(rate(catalog.REQUESTS, by=("outcome",)), "{{outcome}}"),
            unit="reqps",
            stack=True,
            width=THIRD,
        ),
        timeseries(
            "Error types",
            "Failed requests per second by the server's own word, else by status, else by the sidecar's.",
            Query(rate(catalog.REQUEST_DURATION, "_count", by=("error_type",), error_type="!="), "{{error_type}}"),
            unit="reqps",
            stack=True,
            width=THIRD,
            empty="No errors",
        ),
        timeseries(
            "Statuses",
            "Finished requests per second by the status that the client was sent.",
            Query(
                rate(catalog.REQUESTS, by=("http_response_status_code",), http_response_status_code="!="),
                "{{http_response_status_code}}",
            ),
            unit="reqps",
            stack=True,
            width=THIRD,
        ),
        donut(
            "Finish reasons",
            "Why generation ended, over the time shown. `length`: the answer was cut at its token limit.",
            Query(increase(catalog.FINISH_REASONS, by=("finish_reason",)), "{{finish_reason}}", instant=True),
            width=QUARTER,
        ),
        donut(
            "Streaming",
            "Requests with a streamed answer (`true`) and without, over the time shown.",
            Query(increase(catalog.REQUESTS, by=("stream",)), "{{stream}}", instant=True),
            width=QUARTER,
        ),
        donut(
            "Operations",
            "What was asked for, over the time shown.",
            Query(increase(catalog.REQUESTS, by=("gen_ai_operation_name",)), "{{gen_ai_operation_name}}", instant=True),
            width=QUARTER,
        ),
        bars(
            "Top origins",
            "The ten origins with most requests, over the time shown: the page that sent them, or the name that the"
            " client gave itself.",
            Query(f"topk(10, {increase(catalog.ORIGIN_REQUESTS, by=('origin',))})", "{{origin}}", instant=True),
            unit="locale",
            width=QUARTER,
            decimals=0,
        ),
        timeseries(
            "Streaming share",
            "Share of requests with a streamed answer, by tier.",
            Query(share(rate(catalog.REQUESTS, by=("tier",), stream="true"), figures.requests("tier")), "{{tier}}"),
            unit="percentunit",
            max=1,
        ),
        timeseries(
            "Failures by tier",
            "Requests per second that failed through no fault of the client's.",
            Query(
                f"{rate(catalog.REQUESTS, by=('tier',), **FAILED)} or 0 * {figures.requests('tier')}",
                "{{tier}}",
            ),
            unit="reqps",
            width=HALF,
            least_top=0.1,
            stack=True,
        ),
    ),
)

BOARD = Dashboard(
    "llama-exporter-overview",
    "llama-exporter / Overview",
    "Traffic through the sidecar at a glance: how much, how fast, what failed, by tier and by model.",
    (NOW, SLO, TIERS, MODELS, REASONS),
    (*CHOICES, OBJECTIVE),
)
