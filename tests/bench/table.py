"""The benchmark's report as plain text, the same in a terminal and in a log. Pure: figures in, lines out."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from tests.bench.arithmetic import Middle
from tests.bench.cases import CHUNK_LIMIT, REQUEST_LIMIT
from tests.bench.live import Crowded, LiveResult
from tests.bench.otel import LIMITS, OFF, OtelResult, met
from tests.bench.routing import DIFFERENCE_LIMIT, Comparison
from tests.bench.scrape import GapFigures, GapResult, MemoryResult
from tests.bench.store import StoreResult
from tests.bench.summary import Row
from tests.bench.variants import Cost, Start

MEMORY_TARGET_BYTES = 100_000_000

HEADINGS = (
    "case", "target", "req/s", "CPU %", "us/request", "us/chunk", "x nginx",
    "p50 ms", "p99 ms", "+p50", "+p99", "ttfb", "late", "reads", "errors", "RSS MB",
)  # fmt: skip

EXPLANATION = (
    "us/request: CPU time (user + system) of the proxy per answer, a whole stream being one;"
    " ~: how far the rounds lay apart, (largest - smallest) / median.",
    "us/chunk: (CPU time of the stream case - answers x us/request of the JSON case with as many connections) / chunks;"
    " idle-1000: CPU time / chunks, no request falls into its interval.",
    f"x nginx: us/chunk for streams (target <= {CHUNK_LIMIT:g}), else us/request"
    f" (target <= {REQUEST_LIMIT:g}); none for bursts, where the scheduler decides how many chunks merge, and uploads.",
    "+p50, +p99: latency (of the whole answer) beyond `direct` in the same closed loop; ttfb: to the first byte, p50;"
    " late: by how much a gap between chunks is longer than the pace, p99.",
    "reads: pieces in which one answer reached the client. A stream has 67 chunks; where fewer pieces arrive, chunks"
    " were merged on the way, and us/chunk is less than what a chunk by itself costs (stream-*, idle-*).",
    "no-traffic: what the proxy does by itself; the other cases contain it too.",
    "All figures are medians of the rounds, errors are sums. RSS: resident memory after the case.",
)


def number(value: float | None, digits: int = 1) -> str:
    """A number, or a dash where there is none."""
    return "-" if value is None else f"{value:,.{digits}f}"


def milliseconds(seconds: float | None) -> str:
    """Seconds as milliseconds."""
    return number(None if seconds is None else seconds * 1000, 2)


def megabytes(count: int) -> str:
    """Bytes as millions of bytes; a dash for 0."""
    return number(count / 1e6 if count else None, 0)


def with_spread(found: Middle | None) -> str:
    """A median and how far the rounds lay apart."""
    if found is None:
        return "-"
    return f"{found.value:,.1f}" + ("" if found.spread is None else f" ~{found.spread * 100:.0f}%")


def verdict(met: bool | None) -> str:
    """In a word."""
    return {None: "", True: "met", False: "NOT MET"}[met]


def cells(row: Row) -> tuple[str, ...]:
    """One line of the table as text."""
    one = row.figures
    return (
        row.case,
        row.target,
        number(one.requests_per_second, 0),
        number(None if one.cpu_share is None else one.cpu_share * 100),
        with_spread(one.request_us),
        with_spread(one.chunk_us),
        "" if row.ratio is None else f"{row.ratio:.1f} {verdict(row.met)}",
        milliseconds(one.p50),
        milliseconds(one.p99),
        milliseconds(row.added_p50),
        milliseconds(row.added_p99),
        milliseconds(one.ttfb_p50),
        milliseconds(one.late_p99),
        number(one.reads, 0),
        str(sum(one.errors.values())),
        megabytes(one.resident_bytes),
    )


def align(lines: Sequence[Sequence[str]], left: int = 2) -> list[str]:
    """Lines of cells as text in columns, the first `left` columns flush left, the others flush right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if index < left else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]


def render(rows: Sequence[Row]) -> str:
    """The table, a rule below its headings and a blank line between two cases."""
    heading, *lines = align([HEADINGS, *map(cells, rows)])
    text = [heading, "-" * max(map(len, [heading, *lines]))]
    for name, group in groupby(zip(rows, lines, strict=True), key=lambda pair: pair[0].case):
        first, *others = (line for _, line in group)
        text += [first, *(" " * len(name) + line.removeprefix(name) for line in others), ""]
    return "\n".join([*text, *EXPLANATION])


def _gap_line(name: str, one: GapFigures) -> tuple[str, ...]:
    return (name, milliseconds(one.p99), milliseconds(one.longest), str(one.errors))


def render_gap(result: GapResult, wanted: int) -> str:
    """What scraping does to one paced stream."""
    lines = [
        ("a chunk each 10 ms", "p99 ms late", "longest ms late", "errors"),
        _gap_line("direct", result.direct),
        _gap_line("llama-exporter, not scraped", result.quiet),
        _gap_line("llama-exporter, scraped each second", result.scraped),
    ]
    shortfall = "" if result.series >= wanted else f" (fewer than the {wanted:,} that were wanted)"
    scrapes = (
        f"{result.scrapes} scrapes of {result.series:,} series{shortfall}: p50 {milliseconds(result.scrape_p50)} ms,"
        f" longest {milliseconds(result.scrape_longest)} ms; RSS {megabytes(result.resident_bytes)} MB"
    )
    return "\n".join([*align(lines, left=1), scrapes])


def percent(share: float | None) -> str:
    """A difference as a percentage with its sign."""
    return "-" if share is None else f"{share * 100:+.1f} %"


def _routing_line(one: Comparison) -> tuple[str, ...]:
    interval = one.interval
    return (
        one.case,
        with_spread(one.one_us),
        with_spread(one.three_us),
        number(one.decision_us),
        percent(one.difference),
        f"{percent(interval[0])} to {percent(interval[1])}" if interval else "-",
        verdict(one.met),
        milliseconds(one.one_p50),
        milliseconds(one.three_p50),
        str(one.errors),
    )


def render_routing(found: Sequence[Comparison]) -> str:
    """What choosing among three upstreams costs."""
    headings = (
        "model: auto", "1 upstream us/request", "3 upstreams us/request", "decision us",
        "difference", "95 %",
        f"target <= {percent(DIFFERENCE_LIMIT)}", "p50 ms, 1", "p50 ms, 3", "errors",
    )  # fmt: skip
    explanation = (
        "difference: median over the rounds of CPU per request with three upstreams over that with one, measured right"
        " after one another; 95 %: where that median lies in 19 of 20 cases; decision: the mean, as the sidecar says."
    )
    return "\n".join([*align([headings, *map(_routing_line, found)], left=1), explanation])


def _cost_line(one: Cost) -> tuple[str, ...]:
    interval = one.interval if any(one.differences) else None
    return (
        one.case,
        one.variant,
        number(one.requests_per_second, 0),
        with_spread(one.middle_us),
        number(one.difference) if interval else "",
        f"{interval[0]:.0f} to {interval[1]:.0f}" if interval else "",
        milliseconds(one.p50),
        milliseconds(one.p99),
        str(one.errors),
    )


def render_store(result: StoreResult) -> str:
    """What history costs."""
    costs = [
        ("history", "store", "requests/s", "CPU us/request", "more", "95 %", "p50 ms", "p99 ms", "errors"),
        *map(_cost_line, result.costs),
    ]
    explanation = (
        "more: median over the rounds of CPU per request less that without a store, measured right after one another;"
        " 95 %: where that median lies in 19 of 20 cases; start: until /-/healthy is answered, with its tables made;"
        " RSS: without traffic."
    )
    return "\n".join([*align(costs), "", *_start_lines(result.starts), explanation])


def _otel_line(one: Cost) -> tuple[str, ...]:
    interval, share_interval = one.interval, one.share_interval
    more: tuple[str, ...] = ("", "", "", "")
    if one.variant != OFF and interval and share_interval:
        more = (
            number(one.difference),
            " to ".join(map(number, interval)),
            percent(one.share),
            " to ".join(map(percent, share_interval)),
        )
    return (
        one.case,
        one.variant,
        number(one.requests_per_second, 0),
        with_spread(one.middle_us),
        *more,
        verdict(met(one)),
        milliseconds(one.p50),
        milliseconds(one.p99),
        str(one.errors),
    )


def render_otel(result: OtelResult) -> str:
    """What OpenTelemetry costs."""
    targets = ", ".join(f"{name} <= {percent(limit)}" for name, limit in LIMITS.items())
    costs = [
        ("case", "traced", "req/s", "CPU us", "more", "95 %", "more", "95 %", targets, "p50 ms", "p99 ms", "errors"),
        *map(_otel_line, result.costs),
    ]
    spans = [
        ("case", "traced", "spans exported", "dropped"),
        *((one.case, one.variant, f"{one.exported:,}", f"{one.dropped:,}") for one in result.spans),
    ]
    explanation = (
        "CPU us: per request; of stream-* per chunk, less what a JSON request takes; exports of spans, one a second,"
        " are in it; more: median over the rounds of what it is more than off, measured right after one another; 95 %:"
        " where that median lies in 19 of 20 cases; start: until /-/healthy is answered; RSS: without traffic."
    )
    return "\n".join([*align(costs), "", *align(spans), "", *_start_lines(result.starts), explanation])


def _start_lines(starts: Sequence[Start]) -> list[str]:
    lines = ((one.variant, number(one.seconds, 2), megabytes(one.resident_bytes)) for one in starts)
    return align([("", "start s", "RSS MB"), *lines], left=1)


def render_memory(result: MemoryResult) -> str:
    """Resident memory after the long run."""
    met = verdict(result.after_bytes < MEMORY_TARGET_BYTES)
    return (
        f"memory: {megabytes(result.after_bytes)} MB resident after {result.requests:,} requests with {result.models:,}"
        f" model names in {result.seconds:.0f} s (target < {megabytes(MEMORY_TARGET_BYTES)} MB: {met});"
        f" before {megabytes(result.before_bytes)} MB, peak {megabytes(result.peak_bytes)} MB,"
        f" series {'-' if result.series is None else format(result.series, ',')}, errors {result.errors}"
    )


def render_live(result: LiveResult) -> str:
    """What the live contracts cost."""
    answers = [
        ("answers while 32 streams pass", "answers", "p50 ms", "p95 ms", "longest ms", "errors"),
        *(
            (one.path, str(one.answers), *map(milliseconds, (one.p50, one.p95, one.longest)), str(one.errors))
            for one in result.routes
        ),
    ]
    period = result.period
    crowds = [
        ("1,000 readers, 32 streams", "RSS MB", "KB/reader", "CPU %", "late", "messages", "fewest", "MB/s", "errors"),
        *map(_crowd_line, result.crowds),
    ]
    evenness = (
        f"WebSocket, one reader, {period.messages} messages: period {milliseconds(period.period_mean)} ms on average,"
        f" p99 {milliseconds(period.jitter_p99)} ms off, at most {milliseconds(period.jitter_max)} ms"
    )
    explanation = (
        "RSS, CPU, late: with the streams alone, and what the readers add; late: p99 of by how much the gap between two"
        " chunks of a stream is longer than the pace, in ms. fewest: messages of the reader that got fewest."
    )
    return "\n".join([*align(answers, left=1), "", evenness, "", *align(crowds, left=1), explanation])


def _crowd_line(one: Crowded) -> tuple[str, ...]:
    reading = one.reading
    return (
        one.path,
        f"{megabytes(one.quiet_resident_bytes)} + {megabytes(one.resident_bytes)}",
        number(one.resident_bytes / reading.connected / 1000 if reading.connected else None),
        f"{number(one.quiet_cpu_share * 100)} + {number(one.cpu_share * 100)}",
        f"{milliseconds(one.quiet_late)} + {milliseconds(one.late)}",
        f"{reading.messages:,}",
        str(reading.fewest),
        number(reading.bytes / reading.seconds / 1e6),
        str(sum(reading.errors.values())),
    )
