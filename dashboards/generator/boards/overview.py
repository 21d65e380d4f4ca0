"""What a user opens first: is it up, how busy is it, how fast, and what goes wrong."""

from __future__ import annotations

from dashboards.generator import figures
from dashboards.generator.charts import bars, donut, stat, timeseries
from dashboards.generator.dashboard import (
    DURATION_TARGET,
    OBJECTIVE,
    TTFT_OBJECTIVE,
    TTFT_TARGET,
    Choice,
    Dashboard,
    Row,
    url,
)
from dashboards.generator.figures import MODEL, TOKENS_PER_SECOND
from dashboards.generator.panel import (
    GREEN,
    HALF,
    NO_DATA,
    QUARTER,
    RED,
    THIRD,
    YELLOW,
    Query,
    linked,
    override,
    thresholds,
)
from dashboards.generator.promql import RANGE, increase, quantile, rate, share, value
from dashboards.generator.tables import table
from exporter.telemetry import catalog

ERRORS = thresholds((0.01, YELLOW), (0.05, RED))
BUDGET = thresholds((0, YELLOW), (0.25, GREEN), base=RED)
AVAILABILITY = f"1 - {figures.failed_share(window=RANGE)}"
IN_TIME = figures.within(catalog.TIME_TO_FIRST_TOKEN, TTFT_TARGET, window=RANGE)
CHOICES = (TTFT_TARGET, DURATION_TARGET)
BY_TIER = url("llama-exporter-latency", *CHOICES, tier="${__field.labels.tier:percentencode}")
BY_MODEL = url("llama-exporter-latency", *CHOICES, model="${__data.fields.Model:percentencode}")
AT_THE_END = "Tokens are counted when their request ends: long answers come in bursts."


def budget_left(share: str, objective: Choice) -> str:
    """Of the bad requests that an objective allows, the share that is left."""
    return f"1 - (1 - ({share})) / (1 - ${objective.name})"


NOW = Row(
    "Now",
    (
        stat("Requests", "Finished requests to models per second.", figures.requests(), unit="reqps", course=True),
        stat(
            "Output tokens",
            f"Tokens generated per second, all requests together. {AT_THE_END}",
            figures.tokens("output"),
            unit=TOKENS_PER_SECOND,
            decimals=0,
            course=True,
        ),
        stat(
            "Input tokens",
            f"Prompt tokens per second, those from the prompt cache included. {AT_THE_END}",
            figures.tokens("input"),
            unit=TOKENS_PER_SECOND,
            decimals=0,
            course=True,
        ),
        stat(
            "Failed",
            "Share of the requests to models that failed through no fault of the client's: not 4xx, not refused, not"
            " left.",
            figures.failed_share(),
            unit="percentunit",
            steps=ERRORS,
            decimals=2,
            course=True,
        ),
        stat(
            "In flight",
            "Requests being served now.",
            value(catalog.REQUESTS_IN_FLIGHT),
            unit="short",
            course=True,
            empty=NO_DATA,
        ),
        stat(
            "Queued",
            "Requests that wait for a slot inside llama-server.",
            value(figures.DEFERRED),
            unit="short",
            steps=thresholds((1, YELLOW), (10, RED)),
            course=True,
            empty="Not told",
        ),
        stat(
            "TTFT p95",
            "95 of 100 streamed requests had their first token within this time.",
            quantile(0.95, catalog.TIME_TO_FIRST_TOKEN),
            unit="s",
            course=True,
        ),
        stat(
            "Inter-token p95",
            "95 of 100 gaps between two tokens of a stream were no longer than this.",
            quantile(0.95, catalog.INTER_TOKEN_LATENCY),
            unit="s",
            course=True,
        ),
        stat(
            "E2E p95",
            "95 of 100 requests took no longer than this, from their head to the end of the answer.",
            quantile(0.95, catalog.REQUEST_DURATION),
            unit="s",
            course=True,
        ),
        stat(
            "Tiers available",
            "Tiers with at least one model that can answer now, as a share of the tiers that are configured. A model"
            " that a router has not loaded does not count, though a request for it would load it.",
            f"(count({value(catalog.TIER_MODELS_AVAILABLE, by=('tier',))} > 0) or vector(0))"
            f" / count({value(catalog.TIER_MODELS_CONFIGURED, by=('tier',))})",
            unit="percentunit",
            steps=thresholds((1, GREEN), base=YELLOW),
            course=True,
            empty=NO_DATA,
        ),
        stat(
            "Availability",
            "Share of the requests to models, over the time shown, that did not fail; what the client did wrong, and"
            " what was refused, does not count.",
            AVAILABILITY,
            unit="percentunit",
            decimals=2,
        ),
        stat(
            "TTFT in time",
            "Share of streamed requests, over the time shown, whose first token came within the target chosen above.",
            IN_TIME,
            unit="percentunit",
            decimals=2,
        ),
    ),
)

ALERT = {
    "alertname": "Alert",
    "alertstate": "State",
    "severity": "Severity",
    "instance": "Instance",
    "what": "Of what",
}
WHAT = ("tier", "upstream", "model", "slo", "collector", "hw_id")
"""Labels of alerts that say what is wrong."""
SHOWN = "job, instance, alertname, alertstate, severity"
FIRING = 'ALERTS{alertname=~"Llama.+", job=~"$job|", instance=~"$instance|"}'
QUOTED = ", ".join(f'"{label}"' for label in WHAT)
ALERTS = f'label_join(max by ({SHOWN}, {", ".join(WHAT)}) ({FIRING}), "what", " ", {QUOTED})'

SLO = Row(
    "Service levels over the time shown, and alerts",
    (
        stat(
            "Sidecars",
            "Sidecars that tell of themselves now.",
            figures.SIDECARS,
            unit="short",
            width=3,
            height=6,
            empty=NO_DATA,
        ),
        stat(
            "Error budget left",
            "Of the failures that the objective allows over the time shown, the share that is left; below 0 it is"
            " missed.",
            budget_left(AVAILABILITY, OBJECTIVE),
            unit="percentunit",
            steps=BUDGET,
            decimals=0,
            width=3,
            height=6,
        ),
        stat(
            "TTFT budget left",
            "Of the late first tokens that the objective allows over the time shown, the share that is left.",
            budget_left(IN_TIME, TTFT_OBJECTIVE),
            unit="percentunit",
            steps=BUDGET,
            decimals=0,
            width=3,
            height=6,
        ),
        stat(
            "E2E in time",
            "Share of requests, over the time shown, that ended within the target chosen above.",
            figures.within(catalog.REQUEST_DURATION, DURATION_TARGET, window=RANGE),
            unit="percentunit",
            decimals=2,
            width=3,
            height=6,
        ),
        table(
            "Alerts",
            "Alerts of prometheus/alerts that are firing or about to; docs/runbook.md says what to do about each.",
            {"Value": (ALERTS, "short")},
            labels=ALERT,
            hidden=("Value", "job", *WHAT),
            height=6,
            overrides=(override("Alert", custom_width=230),),
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
                "Finished requests to models per second.",
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
            f"Tokens generated per second, all requests of a tier together. {AT_THE_END}",
            Query(figures.tokens("output", "tier"), "{{tier}}"),
            unit=TOKENS_PER_SECOND,
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
                    "Requests": (figures.requests_within(RANGE, MODEL), "locale"),
                    "Failed": (figures.failed_share(MODEL, window=RANGE), "percentunit"),
                    "Input tokens": (
                        increase(catalog.TOKEN_USAGE, "_sum", by=(MODEL,), gen_ai_token_type="input"),
                        "short",
                    ),
                    "Output tokens": (
                        increase(catalog.TOKEN_USAGE, "_sum", by=(MODEL,), gen_ai_token_type="output"),
                        "short",
                    ),
                    "TTFT p95": (quantile(0.95, catalog.TIME_TO_FIRST_TOKEN, by=(MODEL,), window=RANGE), "s"),
                    "Duration p95": (quantile(0.95, catalog.REQUEST_DURATION, by=(MODEL,), window=RANGE), "s"),
                    "Decode speed": (
                        quantile(0.5, catalog.OUTPUT_SPEED, by=(MODEL,), window=RANGE),
                        TOKENS_PER_SECOND,
                    ),
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
            Query(f"topk(10, {figures.requests_within(RANGE, MODEL)})", f"{{{{{MODEL}}}}}", instant=True),
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
            f"Tokens generated per second, all requests of a model together. {AT_THE_END}",
            Query(figures.tokens("output", MODEL), f"{{{{{MODEL}}}}}"),
            unit=TOKENS_PER_SECOND,
            stack=True,
        ),
    ),
)

REASONS = Row(
    "Endings and errors",
    (
        timeseries(
            "Outcomes",
            "Finished requests per second by how they ended. `client_gone`: the client left before the end;"
            " `rejected`: the sidecar refused.",
            Query(rate(catalog.REQUESTS, by=("outcome",)), "{{outcome}}"),
            unit="reqps",
            stack=True,
            width=THIRD,
        ),
        timeseries(
            "Error types",
            "Requests per second that did not end well, whoever's fault it was, by the server's own word, else by"
            " status, else by the sidecar's.",
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
            Query(increase(catalog.REQUESTS, by=("stream",), **figures.TO_MODELS), "{{stream}}", instant=True),
            width=QUARTER,
        ),
        donut(
            "Operations",
            "What was asked for, over the time shown; requests of every kind.",
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
            "Share of the requests to models with a streamed answer, by tier.",
            Query(
                share(
                    rate(catalog.REQUESTS, by=("tier",), stream="true", **figures.TO_MODELS), figures.requests("tier")
                ),
                "{{tier}}",
            ),
            unit="percentunit",
            max=1,
        ),
        timeseries(
            "Failures by tier",
            "Requests per second that failed through no fault of the client's.",
            Query(
                f"{rate(catalog.REQUESTS, by=('tier',), **figures.FAILED)} or 0 * {figures.requests('tier')}",
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
    (*CHOICES, OBJECTIVE, TTFT_OBJECTIVE),
)
