"""Tiers and routing: who got what, why, and how well the decision turned out. The panels of S.Y.N.A.P.S.E.'s metrics
page are among them.
"""

from __future__ import annotations

from dashboards.generator import figures
from dashboards.generator.charts import bars, heatmap, stat, states, timeseries
from dashboards.generator.dashboard import Dashboard, Row
from dashboards.generator.figures import TOKENS_PER_SECOND
from dashboards.generator.panel import (
    BLUE,
    GREEN,
    NO_DATA,
    ORANGE,
    QUARTER,
    RED,
    THIRD,
    WIDE,
    YELLOW,
    Query,
    thresholds,
)
from dashboards.generator.promql import RANGE, increase, mean, quantile, rate, share, value
from dashboards.generator.tables import matrix, table
from exporter.telemetry import catalog

DECISIONS = increase(catalog.ROUTING_DECISIONS)
FALLBACKS = increase(catalog.ROUTING_DECISIONS, fallback="true")
CELLS = thresholds((1, BLUE), (100, GREEN), (1000, YELLOW), (10000, ORANGE), base="transparent")
NO_CHOICE = "No decisions"

QUERIES = Row(
    "Queries, last 30 minutes",
    (
        timeseries(
            "Query rate",
            "Finished requests to models per second; choose 'Last 30 minutes' for the window of the metrics page.",
            Query(figures.requests(), "queries"),
            unit="reqps",
            width=10,
        ),
        stat(
            "Queries",
            "Finished requests to models in the last 30 minutes.",
            figures.requests_within("30m"),
            unit="locale",
            decimals=0,
            height=8,
        ),
        stat(
            "Mean latency",
            "Mean duration of the requests of the last 30 minutes that ran the model.",
            mean(catalog.REQUEST_DURATION, window="30m"),
            unit="s",
            height=8,
        ),
        bars(
            "Queries by tier",
            "Finished requests to models in the last 30 minutes.",
            Query(figures.requests_within("30m", "tier"), "{{tier}}", instant=True),
            unit="locale",
            decimals=0,
            width=QUARTER,
        ),
    ),
)

TIERS = Row(
    "Tiers",
    (
        timeseries(
            "Decode speed by tier",
            "Median tokens per second of one request.",
            Query(quantile(0.5, catalog.OUTPUT_SPEED, by=("tier",)), "{{tier}}", exemplar=True),
            unit=TOKENS_PER_SECOND,
            width=THIRD,
            fill=0,
        ),
        timeseries(
            "Tokens by tier",
            "Tokens generated per second, all requests of a tier together; counted when a request ends.",
            Query(figures.tokens("output", "tier"), "{{tier}}"),
            unit=TOKENS_PER_SECOND,
            width=THIRD,
            stack=True,
        ),
        timeseries(
            "Latency by tier, mean",
            "Mean duration of the requests that ran the model.",
            Query(mean(catalog.REQUEST_DURATION, by=("tier",)), "{{tier}}"),
            unit="s",
            width=THIRD,
            fill=0,
        ),
        table(
            "Tiers compared",
            "Over the time shown: requests, the share that failed, mean duration, 95th percentile of the time to"
            " first token, median decode speed, models that can answer and models there are.",
            {
                "Requests": (figures.requests_within(RANGE, "tier"), "locale"),
                "Failed": (figures.failed_share("tier", window=RANGE), "percentunit"),
                "Latency": (mean(catalog.REQUEST_DURATION, by=("tier",), window=RANGE), "s"),
                "TTFT p95": (quantile(0.95, catalog.TIME_TO_FIRST_TOKEN, by=("tier",), window=RANGE), "s"),
                "Decode speed": (quantile(0.5, catalog.OUTPUT_SPEED, by=("tier",), window=RANGE), TOKENS_PER_SECOND),
                "Available": (value(catalog.TIER_MODELS_AVAILABLE, by=("tier",)), "short"),
                "Models": (value(catalog.TIER_MODELS_CONFIGURED, by=("tier",)), "short"),
            },
            labels={"tier": "Tier"},
            width=16,
        ),
        bars(
            "Model availability",
            "Models that can answer now, as a share of the models of the tier; those that a router has not loaded do"
            " not count.",
            Query(
                f"{value(catalog.TIER_MODELS_AVAILABLE, by=('tier',))}"
                f" / {value(catalog.TIER_MODELS_CONFIGURED, by=('tier',))}",
                "{{tier}}",
                instant=True,
            ),
            unit="percentunit",
            steps=thresholds((1, GREEN), base=YELLOW),
            max=1,
            empty=NO_DATA,
        ),
    ),
)

DECIDED = Row(
    "Decisions",
    (
        stat(
            "Decisions",
            "Requests that were routed, over the time shown.",
            DECISIONS,
            unit="locale",
            empty=NO_CHOICE,
            decimals=0,
            width=QUARTER,
        ),
        stat(
            "Fallback rate",
            "Share of decisions, over the time shown, that did not go where they were meant to, because nobody of the"
            " wanted tier was well, or because an upstream failed and another was tried.",
            share(FALLBACKS, DECISIONS),
            unit="percentunit",
            steps=thresholds((0.05, YELLOW), (0.2, RED)),
            decimals=1,
            empty=NO_CHOICE,
            width=QUARTER,
        ),
        stat(
            "Decision time",
            "Mean time that it took to decide, over the time shown.",
            mean(catalog.ROUTING_DECISION_DURATION, window=RANGE),
            unit="s",
            empty=NO_CHOICE,
            width=QUARTER,
        ),
        stat(
            "Decision time p99",
            "99 of 100 decisions took no longer, over the time shown.",
            quantile(0.99, catalog.ROUTING_DECISION_DURATION, window=RANGE),
            unit="s",
            empty=NO_CHOICE,
            width=QUARTER,
        ),
        matrix(
            "Decision matrix",
            "Requests over the time shown, by how complex they were taken to be and by the tier that they went to."
            " Only requests with a choice are routed: several upstreams, or several models on one.",
            increase(catalog.ROUTING_DECISIONS, by=("complexity", "tier")),
            rows="complexity",
            columns="tier",
            unit="locale",
            steps=CELLS | {"decimals": 0},
            width=THIRD,
            empty=NO_CHOICE,
        ),
        matrix(
            "Mean score",
            "Mean complexity score of the requests in each cell of the decision matrix, over the time shown.",
            mean(catalog.ROUTING_SCORE, by=("complexity", "tier"), window=RANGE),
            rows="complexity",
            columns="tier",
            unit="short",
            steps=thresholds((0, BLUE), (3, GREEN), (7, YELLOW), (10, ORANGE), base="transparent"),
            missing="null",
            width=THIRD,
            empty="-",
        ),
        heatmap(
            "Score distribution",
            "Routed requests per second by their complexity score.",
            rate(catalog.ROUTING_SCORE, "_bucket", by=("le",)),
            exemplar=False,
            unit="short",
            width=THIRD,
            empty=NO_CHOICE,
        ),
        timeseries(
            "Decisions by tier",
            "Requests routed per second, by the tier that they went to.",
            Query(rate(catalog.ROUTING_DECISIONS, by=("tier",)), "{{tier}}"),
            unit="reqps",
            width=QUARTER,
            stack=True,
            empty=NO_CHOICE,
        ),
        timeseries(
            "Decisions by complexity",
            "Requests routed per second, by how complex they were taken to be.",
            Query(rate(catalog.ROUTING_DECISIONS, by=("complexity",)), "{{complexity}}"),
            unit="reqps",
            width=QUARTER,
            stack=True,
            empty=NO_CHOICE,
        ),
        timeseries(
            "Fallback rate by tier",
            "Share of the decisions for a tier that were fallbacks to it.",
            Query(
                share(
                    rate(catalog.ROUTING_DECISIONS, by=("tier",), fallback="true"),
                    rate(catalog.ROUTING_DECISIONS, by=("tier",)),
                ),
                "{{tier}}",
            ),
            unit="percentunit",
            least_top=0.05,
            width=QUARTER,
            empty=NO_CHOICE,
        ),
        timeseries(
            "Score by complexity, median",
            "Median score of the requests that were taken for simple, moderate and complex.",
            Query(quantile(0.5, catalog.ROUTING_SCORE, by=("complexity",)), "{{complexity}}"),
            unit="short",
            width=QUARTER,
            fill=0,
            empty=NO_CHOICE,
        ),
    ),
)

UPSTREAMS = Row(
    "Upstreams",
    (
        states(
            "Upstreams over time",
            "Whether the last health check found each upstream ready.",
            Query(
                value(catalog.UPSTREAM_UP, by=("instance", "upstream"), operation="max"), "{{instance}} {{upstream}}"
            ),
            names={0: ("down", RED), 1: ("up", GREEN)},
            empty=NO_DATA,
        ),
        timeseries(
            "Models available by tier",
            "Models that can answer now: loaded or sleeping, on an upstream that is ready.",
            Query(value(catalog.TIER_MODELS_AVAILABLE, by=("tier",)), "{{tier}}"),
            unit="short",
            fill=0,
            empty=NO_DATA,
        ),
        timeseries(
            "Attempts by result",
            "Tries per second to have an upstream answer. `answered` is the good one; `resent`: a retired connection"
            " was replaced unseen; `abandoned`: the client left; the rest failed, and another upstream was tried"
            " where there was one.",
            Query(rate(catalog.UPSTREAM_ATTEMPTS, by=("result",)), "{{result}}"),
            unit="reqps",
            width=THIRD,
            stack=True,
        ),
        timeseries(
            "Attempts by upstream",
            "Tries per second to have an upstream answer.",
            Query(rate(catalog.UPSTREAM_ATTEMPTS, by=("upstream",)), "{{upstream}}"),
            unit="reqps",
            width=THIRD,
            stack=True,
        ),
        timeseries(
            "Failed attempts by upstream",
            "Share of an upstream's tries that it did not answer; those whose client left do not count as such.",
            Query(
                share(
                    rate(catalog.UPSTREAM_ATTEMPTS, by=("upstream",), result="!~answered|resent|abandoned"),
                    rate(catalog.UPSTREAM_ATTEMPTS, by=("upstream",)),
                ),
                "{{upstream}}",
            ),
            unit="percentunit",
            least_top=0.05,
            width=THIRD,
        ),
        timeseries(
            "Health checks, p95",
            "95 of 100 health checks that were answered took no longer: a server that answers slowly is busy.",
            Query(quantile(0.95, catalog.UPSTREAM_HEALTH_CHECK, by=("upstream",)), "{{upstream}}"),
            unit="s",
            width=WIDE,
            height=6,
            fill=0,
        ),
    ),
)

BOARD = Dashboard(
    "llama-exporter-routing",
    "llama-exporter / Tiers and routing",
    "Which tier answers what, how requests are routed, and which upstreams are well.",
    (QUERIES, TIERS, DECIDED, UPSTREAMS),
)
