"""What OpenTelemetry costs: the same load on llama-exporter without it, with one request in a hundred traced, and with
all of them traced, in turns; the memory that each takes, and the time until it answers.

Metrics are pushed as well, at the interval that is the default. Spans are exported each second: each measured interval
then holds the exports of as many spans as are made in it, which are part of the cost.

`--proxy-command` adds one more variant. An earlier version in another folder, begun with `env -C FOLDER python -m
exporter serve ...`, shows what OpenTelemetry costs whoever does not use it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from tests.bench.arithmetic import of_rounds
from tests.bench.cases import Case, select
from tests.bench.load import Plan, Sample
from tests.bench.routing import folder
from tests.bench.scrape import Scraper, sample_sum
from tests.bench.summary import chunk_us, request_us
from tests.bench.targets import PROXY_COMMAND, Target, start_collector, start_ours, start_upstreams
from tests.bench.variants import ROUNDS, Cost, Rounds, Start, compare, measure_start, run_rounds

OFF, ONE_PERCENT, ALL, OTHER = "off", "1%", "100%", "command"
SAMPLED = {ONE_PERCENT: 0.01, ALL: 1.0}
"""The share of requests that are traced."""
LIMITS = {ONE_PERCENT: 0.1}
"""CPU time: at most so much more than without; as a share of that."""
CASES = ("json-1", "json-32", "stream-32")
EXPORT_SECONDS = 1
"""Between two exports of spans."""
SPANS = ("llm_sidecar_otlp_exported_spans_total", "llm_sidecar_otlp_dropped_spans_total")


@dataclass(frozen=True, slots=True)
class Spans:
    """What became of the spans of one case on one variant, as the sidecar says. Those that were dropped would have cost
    more."""

    case: str
    variant: str
    exported: int
    dropped: int


@dataclass(frozen=True, slots=True)
class OtelResult:
    """All of it."""

    costs: list[Cost]
    spans: list[Spans]
    starts: list[Start]


def met(cost: Cost) -> bool | None:
    """Whether the variant's target is met; None when it has none, or nothing was measured."""
    limit = LIMITS.get(cost.variant)
    return None if limit is None or cost.share is None else cost.share <= limit


def commands(collector_port: int, other: str | None) -> dict[str, str]:
    """The sidecar's command by name of the variant; `other` is that of one to be compared with the first."""
    found = {OFF: PROXY_COMMAND}
    for name, share in SAMPLED.items():
        words = [f"{variable}={value}" for variable, value in environment(collector_port, share).items()]
        found[name] = " ".join(["env", *words, PROXY_COMMAND])
    return found if other is None else found | {OTHER: other}


def environment(collector_port: int, share: float) -> dict[str, str]:
    """What a sidecar is told that is to trace this share of its requests."""
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector_port}",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": str(share),
        "OTEL_BSP_SCHEDULE_DELAY": str(EXPORT_SECONDS * 1000),
    }


def measure_otel(home: Path, other: str | None, rounds: int, seconds: float, tell: Callable[[str], None]) -> OtelResult:
    """`other` is the command of one more variant, None: there is none. Raises StartError."""
    with ExitStack() as stack:
        (port,) = stack.enter_context(start_upstreams(1))
        given = commands(stack.enter_context(start_collector()), other)
        tell("otel: starts")
        starts = [measure_start(home, port, name, command) for name, command in given.items()]
        targets = {
            name: stack.enter_context(start_ours(folder(home, f"otel-{name}"), port, command))
            for name, command in given.items()
        }
        costs, spans = measure_cases(targets, ROUNDS * rounds, seconds, tell)
    return OtelResult(costs, spans, starts)


def measure_cases(
    targets: Mapping[str, Target], rounds: int, seconds: float, tell: Callable[[str], None]
) -> tuple[list[Cost], list[Spans]]:
    """Every case on all of them."""
    costs: list[Cost] = []
    spans: list[Spans] = []
    found: dict[str, Mapping[str, Rounds]] = {}
    for case in select(CASES):
        tell(f"otel, {case.name}")
        before = {name: read_spans(targets[name]) for name in SAMPLED}
        found[case.name] = run_rounds(targets, partial(plan, case, seconds), rounds)
        costs += compare(case.name, found[case.name], partial(cost_us, case, json_costs(case, found)))
        spans += [account(case, name, before[name], read_spans(targets[name])) for name in SAMPLED]
    return costs, spans


def plan(case: Case, seconds: float, target: Target) -> Plan:
    """The load, which is the same for all: whole periods of exports, after a first one."""
    one = case.plan(target.port, target.pids, EXPORT_SECONDS * math.ceil(seconds / EXPORT_SECONDS))
    return replace(one, warmup_seconds=case.ramp_seconds + EXPORT_SECONDS)


def json_costs(case: Case, found: Mapping[str, Mapping[str, Rounds]]) -> dict[str, float | None]:
    """By variant: CPU microseconds per request of the JSON case that a stream's chunks are measured by."""
    rounds = found[case.base] if case.base else {}
    return {name: of_rounds(one.samples, request_us) for name, one in rounds.items()}


def cost_us(case: Case, json_us: Mapping[str, float | None], variant: str, sample: Sample) -> float | None:
    """CPU microseconds per chunk where the case streams, else per request."""
    return chunk_us(case, sample, json_us[variant]) if case.contents else request_us(sample)


def read_spans(target: Target) -> tuple[int, int]:
    """How many spans it has exported, and dropped."""
    assert target.admin_port is not None
    scraper = Scraper(target.admin_port)
    scraper.scrape()
    exported, dropped = (round(sample_sum(scraper.text, name)) for name in SPANS)
    return exported, dropped


def account(case: Case, variant: str, before: tuple[int, int], after: tuple[int, int]) -> Spans:
    """What became of the spans between two readings."""
    return Spans(case.name, variant, after[0] - before[0], after[1] - before[1])
