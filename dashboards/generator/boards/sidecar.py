"""The sidecar itself: what it costs, whether it keeps up, whether what it shows is fresh, and whether it is kept and
pushed."""

from __future__ import annotations

from dashboards.generator import figures
from dashboards.generator.charts import bars, heatmap, stat, states, timeseries
from dashboards.generator.dashboard import Dashboard, Row
from dashboards.generator.panel import GREEN, NO_DATA, RED, THIRD, YELLOW, Panel, Query, thresholds
from dashboards.generator.promql import EVERYWHERE, increase, mean, quantile, rate, value
from dashboards.generator.tables import table
from exporter.telemetry import catalog
from exporter.telemetry.catalog import Metric

ANY = thresholds((1, RED))
BUILD = {"instance": "Instance", "version": "Version", "python_version": "Python"}


def trouble(title: str, meaning: str, metric: Metric, label: str) -> Panel:
    """How often something went wrong that should not, by what it was."""
    query = Query(rate(metric, by=(label,)), f"{{{{{label}}}}}")
    return timeseries(title, meaning, query, unit="ops", width=THIRD, stack=True, least_top=0.1, empty=NO_DATA)


def count(title: str, meaning: str, metric: Metric) -> Panel:
    """The same over the time shown, as one number."""
    return stat(title, meaning, increase(metric), unit="short", steps=ANY, decimals=0, empty=NO_DATA)


def share(part: Metric, whole: Metric) -> str:
    """How much of one gauge another is, by instance."""
    return " / ".join(value(each, by=("instance",)) for each in (part, whole))


QUEUE_USED = share(catalog.SIDECAR_STORE_QUEUE_LENGTH, catalog.SIDECAR_STORE_QUEUE_LIMIT)
TIME_PER_RECORD = " / ".join(
    rate(each, by=("instance",)) for each in (catalog.SIDECAR_STORE_WRITE_TIME, catalog.SIDECAR_STORE_WRITTEN)
)
SPANS_WAITING = share(catalog.SIDECAR_OTLP_QUEUE_LENGTH, catalog.SIDECAR_OTLP_QUEUE_LIMIT)
SPANS_PER_REQUEST = (
    f"{rate(catalog.SIDECAR_OTLP_EXPORTED_SPANS, by=('instance',))}"
    f" / {rate(catalog.REQUESTS, by=('instance',), **EVERYWHERE)}"
)
FAILING = f"count({value(catalog.SIDECAR_COLLECTOR_SUCCESS, by=('instance', 'collector'), operation='min')} == 0)"

HEALTH = Row(
    "Health",
    (
        stat(
            "Up for",
            "Time since the sidecar was started; of several, the youngest.",
            value(catalog.PROCESS_UPTIME, operation="min"),
            unit="s",
        ),
        stat(
            "Collectors failing",
            "Collectors whose last run failed: what they show is old.",
            f"{FAILING} or 0 * {figures.SIDECARS}",
            unit="short",
            steps=ANY,
            decimals=0,
        ),
        count(
            "Records lost",
            "Finished requests, over the time shown, that a consumer of records failed on: its figures lack them.",
            catalog.SIDECAR_SINK_ERRORS,
        ),
        count(
            "Parse errors",
            "Answers, over the time shown, that could not be understood; they were forwarded all the same.",
            catalog.SIDECAR_PARSE_ERRORS,
        ),
        count(
            "Label overflow",
            "Label values, over the time shown, that became `other` because too many different ones had been seen.",
            catalog.SIDECAR_LABEL_OVERFLOW,
        ),
        count(
            "Task restarts",
            "Restarts of background work, over the time shown.",
            catalog.SIDECAR_TASK_RESTARTS,
        ),
    ),
)

COST = Row(
    "What it costs",
    (
        timeseries(
            "Overhead per request",
            "What the sidecar itself adds before the upstream has the request.",
            *(
                Query(quantile(q, catalog.PROXY_OVERHEAD), f"p{round(100 * q)}", exemplar=q == 0.99)
                for q in (0.5, 0.95, 0.99)
            ),
            Query(mean(catalog.PROXY_OVERHEAD), "mean"),
            unit="s",
            fill=0,
            width=THIRD,
        ),
        timeseries(
            "Event-loop lag",
            "How late a timer of the event loop is: how long the sidecar was busy with something else. Streams wait"
            " as long.",
            *(Query(quantile(q, catalog.SIDECAR_EVENT_LOOP_LAG), f"p{round(100 * q)}") for q in (0.5, 0.95, 0.99)),
            unit="s",
            fill=0,
            width=THIRD,
            lines_at=thresholds((0.05, YELLOW), (0.2, RED)),
        ),
        heatmap(
            "Event-loop lag, distribution",
            "Timers per second by their lateness.",
            rate(catalog.SIDECAR_EVENT_LOOP_LAG, "_bucket", by=("le",)),
            exemplar=False,
            unit="s",
            width=THIRD,
        ),
        timeseries(
            "CPU",
            "CPUs that the sidecar keeps busy; it has one event loop, so 1 is its limit.",
            Query(rate(catalog.PROCESS_CPU_TIME, by=("instance",)), "{{instance}}"),
            unit="percentunit",
            width=THIRD,
            lines_at=thresholds((0.7, YELLOW), (0.9, RED)),
        ),
        timeseries(
            "CPU time per request",
            "CPU time of the sidecar divided by finished requests; scrapes, samples and dashboards are in it.",
            Query(
                f"{rate(catalog.PROCESS_CPU_TIME, by=('instance',))}"
                f" / {rate(catalog.REQUESTS, by=('instance',), **EVERYWHERE)}",
                "{{instance}}",
            ),
            unit="s",
            width=THIRD,
        ),
        timeseries(
            "Memory",
            "Physical memory of the sidecar.",
            Query(value(catalog.PROCESS_MEMORY, by=("instance",)), "{{instance}}"),
            unit="bytes",
            width=THIRD,
        ),
        timeseries(
            "Connections",
            "Clients that are connected: to the proxy, and to live streams of the admin listener.",
            Query(value(catalog.SIDECAR_OPEN_CONNECTIONS, by=("instance", "listener")), "{{instance}} {{listener}}"),
            unit="short",
            width=THIRD,
        ),
        timeseries(
            "File descriptors",
            "Open files and connections of the sidecar; the system limits them (`ulimit -n`).",
            Query(value(catalog.PROCESS_OPEN_FDS, by=("instance",)), "{{instance}}"),
            unit="short",
            width=THIRD,
        ),
        timeseries(
            "Threads",
            "Threads of the sidecar: one serves, the others take samples, write to the store and push.",
            Query(value(catalog.PROCESS_THREADS, by=("instance",)), "{{instance}}"),
            unit="short",
            width=THIRD,
        ),
    ),
)

COLLECTORS = Row(
    "Collectors",
    (
        states(
            "Collectors over time",
            "Whether the last run of each collector succeeded, on every instance that is chosen.",
            Query(
                value(catalog.SIDECAR_COLLECTOR_SUCCESS, by=("collector",), operation="min"),
                "{{collector}}",
            ),
            names={0: ("failed", RED), 1: ("well", GREEN)},
            width=THIRD,
        ),
        timeseries(
            "Age of samples",
            "Time since each collector last succeeded; the oldest of the instances that are chosen.",
            Query(
                value(catalog.SIDECAR_SAMPLE_AGE, by=("collector",), operation="max"),
                "{{collector}}",
            ),
            unit="s",
            fill=0,
            width=THIRD,
        ),
        timeseries(
            "Duration of collectors",
            "Time that each collector's last run took, on the slowest instance; none of it is spent at a scrape.",
            Query(
                value(catalog.SIDECAR_COLLECTOR_DURATION, by=("collector",), operation="max"),
                "{{collector}}",
            ),
            unit="s",
            fill=0,
            width=THIRD,
        ),
    ),
)

STORE = Row(
    "Store",
    (
        states(
            "Store over time",
            "Whether the store of each sidecar is open and took the last batch. While it is away, records wait, and"
            " traffic goes on. No data: none is configured.",
            Query(value(catalog.SIDECAR_STORE_UP, by=("instance",), operation="min"), "{{instance}}"),
            names={0: ("away", RED), 1: ("well", GREEN)},
            width=THIRD,
            empty=NO_DATA,
        ),
        timeseries(
            "Records waiting, share of the limit",
            "How full the queue of finished requests and samples is that wait to be written. At 100 % what comes next"
            " is dropped; when all is well they wait for a second or so.",
            Query(QUEUE_USED, "{{instance}}"),
            unit="percentunit",
            width=THIRD,
            lines_at=thresholds((0.5, YELLOW), (1, RED)),
            least_top=0.1,
            empty=NO_DATA,
        ),
        trouble(
            "Records dropped by reason",
            "Finished requests and samples per second that the store will never have: more waited than may"
            " (`queue_full`), the database would not have them (`refused`), or it was away until the end (`shutdown`).",
            catalog.SIDECAR_STORE_DROPPED,
            "reason",
        ),
        timeseries(
            "Records written",
            "Finished requests and samples per second that were written. Samples come all the time, so that 0 means"
            " trouble; a peak is what had waited.",
            Query(rate(catalog.SIDECAR_STORE_WRITTEN, by=("instance",)), "{{instance}}"),
            unit="ops",
            width=THIRD,
            empty=NO_DATA,
        ),
        timeseries(
            "Time per record written",
            "Time spent with writing, divided by what was written: a batch is one transaction, so it falls when there"
            " is more to write. Traffic does not wait for it.",
            Query(TIME_PER_RECORD, "{{instance}}"),
            unit="s",
            width=THIRD,
            empty=NO_DATA,
        ),
        timeseries(
            "Store size",
            "Disk space of everything in the store. Sidecars that share a PostgreSQL all show the whole of it.",
            Query(value(catalog.SIDECAR_STORE_SIZE, by=("instance",), operation="max"), "{{instance}}"),
            unit="bytes",
            width=THIRD,
            empty=NO_DATA,
        ),
    ),
)

OPENTELEMETRY = Row(
    "OpenTelemetry",
    (
        timeseries(
            "Exports by signal",
            "Pushes of traces and of metrics per second that the receiver has taken. Metrics are pushed all the time,"
            " traces when there are some. No data: nothing is pushed.",
            Query(rate(catalog.SIDECAR_OTLP_EXPORTS, by=("instance", "signal")), "{{instance}} {{signal}}"),
            unit="ops",
            width=THIRD,
            empty=NO_DATA,
        ),
        trouble(
            "Failed exports by signal",
            "Pushes per second that were given up after all repetitions. Of metrics nothing is lost, since the next"
            " push has all of them; the spans are.",
            catalog.SIDECAR_OTLP_EXPORT_FAILURES,
            "signal",
        ),
        trouble(
            "Spans dropped by reason",
            "Spans per second that nobody will ever have: more waited than may (`queue_full`), or the receiver did not"
            " take them (`export_failed`).",
            catalog.SIDECAR_OTLP_DROPPED_SPANS,
            "reason",
        ),
        timeseries(
            "Spans exported",
            "Spans per second that the receiver has taken.",
            Query(rate(catalog.SIDECAR_OTLP_EXPORTED_SPANS, by=("instance",)), "{{instance}}"),
            unit="ops",
            width=THIRD,
            empty=NO_DATA,
        ),
        timeseries(
            "Spans per request",
            "Spans that the receiver has taken, divided by finished requests: one of the request and one of each"
            " attempt, of the share of requests that is sampled.",
            Query(SPANS_PER_REQUEST, "{{instance}}"),
            unit="short",
            width=THIRD,
            empty=NO_DATA,
        ),
        timeseries(
            "Spans waiting, share of the limit",
            "How full the queue of spans is that wait to be exported. At 100 % what comes next is dropped; traffic does"
            " not wait.",
            Query(SPANS_WAITING, "{{instance}}"),
            unit="percentunit",
            width=THIRD,
            lines_at=thresholds((0.5, YELLOW), (1, RED)),
            least_top=0.1,
            empty=NO_DATA,
        ),
    ),
)

TROUBLE = Row(
    "Trouble",
    (
        trouble(
            "Records lost by sink",
            "Finished requests per second that a consumer of records failed on.",
            catalog.SIDECAR_SINK_ERRORS,
            "sink",
        ),
        trouble(
            "Parse errors by dialect",
            "Answers per second that could not be understood.",
            catalog.SIDECAR_PARSE_ERRORS,
            "dialect",
        ),
        trouble(
            "Label overflow by label",
            "Label values per second that became `other`.",
            catalog.SIDECAR_LABEL_OVERFLOW,
            "label",
        ),
        trouble(
            "Restarts by task",
            "Restarts of background work per second.",
            catalog.SIDECAR_TASK_RESTARTS,
            "task",
        ),
        bars(
            "Uptime",
            "Time since each sidecar was started.",
            Query(value(catalog.PROCESS_UPTIME, by=("instance",)), "{{instance}}", instant=True),
            unit="s",
            width=THIRD,
        ),
        table(
            "Versions",
            "What runs where.",
            {"Seen": (value(catalog.SIDECAR_BUILD, by=tuple(BUILD), operation="max"), "short")},
            labels=BUILD,
            hidden=("Value",),
            width=THIRD,
        ),
    ),
)

BOARD = Dashboard(
    "llama-exporter-sidecar",
    "llama-exporter / Sidecar",
    "The sidecar itself: what it costs, whether it keeps up, whether what it shows is fresh, and whether it is kept and"
    " pushed.",
    (HEALTH, COST, COLLECTORS, STORE, OPENTELEMETRY, TROUBLE),
)
