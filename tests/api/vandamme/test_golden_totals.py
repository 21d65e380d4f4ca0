"""Every captured report of the original. What we tell otherwise on purpose is stated here once, as data."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import pytest
import yaml

from exporter.api.views import UpstreamView, Views
from exporter.live.active import ActiveRequests
from exporter.live.query import read_query
from exporter.live.totals import Totals
from exporter.record import Outcome
from tests.api.vandamme.captures import capture, generated_at, headers_of, own_headers
from tests.api.vandamme.records import record
from tests.api.vandamme.traffic import get, in_flight
from tests.api.views import NOW, make_views

UPSTREAMS = (UpstreamView("Q2", "llama", "Q2", 8082), UpstreamView("Q3", "openai", "Q3", 8083))


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that the captured server saw."""

    provider: str
    model: str
    stream: bool
    milliseconds: float
    second: int
    """Of the minute 08:32, when it began."""
    failed: bool = False
    input_tokens: int = 0
    output_tokens: int = 0


SLOW_3 = Asked("llama", "slow-3", True, 3117.936849594116, 34)
SLOW_2 = Asked("openai", "slow-2", False, 2050.3456592559814, 35)
FINISHED = (
    SLOW_3,
    SLOW_2,
    Asked("llama", "fast-1", True, 5.929231643676758, 41),
    Asked("llama", "fast-1", False, 9.51242446899414, 41, input_tokens=11, output_tokens=5),
    Asked("llama", "err-500", True, 1387.3393535614014, 43),
    Asked("llama", "err-400", False, 2.6924610137939453, 44, failed=True),
)
FAILED_WITHOUT_END = (Asked("llama", "err-500", False, 0, 43), Asked("llama", "err-400", False, 0, 44))
"""The original never notices that these have failed."""
LLAMA, ERR_400, ERR_500 = "providers.llama.rollup", "providers.llama.models.err-400", "providers.llama.models.err-500"


@dataclass(frozen=True, slots=True)
class Case:
    """A captured report, what it told of, and what we tell otherwise."""

    name: str
    finished: int = 0
    """How many of `FINISHED`."""
    active: tuple[Asked, ...] = ()
    query: str = ""
    means: tuple[int, int] = (0, 0)
    """Of streamed requests and of the others: the original has no such keys."""
    once: Mapping[str, int] = field(default_factory=dict)
    """By path: a request in flight counts once, and in no average. The original counts it twice, with 0 ms."""


CASES = (
    Case("02-totals-empty.http"),
    Case("13-totals-two-active.http", active=(SLOW_3, SLOW_2), once={"summary.total_requests": 2}),
    Case("14-totals-two-active-excl.http", active=(SLOW_3, SLOW_2), query="?include_active=false"),
    Case("20-totals-after.http", 2, means=(3118, 2050)),
    Case("24-totals-filter-provider.http", 4, query="?provider=LLA*", means=(1562, 10)),
    Case("25-totals-filter-model.http", 4, query="?model=?low-*", means=(3118, 2050)),
    Case("26-totals-filter-both.http", 4, query="?provider=openai&model=slow*", means=(0, 2050)),
    Case("27-totals-filter-none.http", 4, query="?provider=nosuch"),
    Case(
        "35-totals-after-errors.http",
        6,
        FAILED_WITHOUT_END,
        means=(1504, 688),
        once={
            "summary.total_requests": 8,
            "summary.average_duration_ms": 1096,
            f"{LLAMA}.total.average_duration_ms": 905,
            f"{LLAMA}.non_streaming.average_duration_ms": 6,
            f"{ERR_400}.total.average_duration_ms": 3,
            f"{ERR_400}.non_streaming.average_duration_ms": 3,
            f"{ERR_500}.total.average_duration_ms": 1387,
        },
    ),
    Case(
        "36-totals-after-errors-excl.http",
        6,
        FAILED_WITHOUT_END,
        query="?include_active=false",
        means=(1504, 688),
    ),
)


def started_at(asked: Asked) -> float:
    return datetime.fromisoformat(f"2026-11-20T08:32:{asked.second}Z").timestamp()


def seconds_of(milliseconds: float) -> float:
    """Seconds that are exactly so many milliseconds in binary."""
    near = milliseconds / 1000
    candidates = (near, math.nextafter(near, 0), math.nextafter(near, math.inf))
    return next(each for each in candidates if each * 1000 == milliseconds)


def views_of(case: Case, moment: float) -> Views:
    sums, active = Totals(), ActiveRequests()
    for each in FINISHED[: case.finished]:
        ended = record(
            provider=each.provider,
            requested_model=each.model,
            stream=each.stream,
            started_at=started_at(each),
            duration_seconds=seconds_of(each.milliseconds),
            input_tokens=each.input_tokens,
            output_tokens=each.output_tokens,
            cached_tokens=0,
            outcome=Outcome.UPSTREAM_ERROR if each.failed else Outcome.COMPLETED,
        )
        sums.add(read_query(ended, each.model, NOW))
    for number, each in enumerate(case.active):
        observation = in_flight(
            number, started_at=started_at(each), provider=each.provider, model=each.model, stream=each.stream
        )
        active.start(observation)
    return make_views(active=active, totals=sums, upstreams=UPSTREAMS, wall=lambda: moment)


def expected(case: Case) -> str:
    """The captured text with our differences."""
    lines: list[str] = []
    path: list[str] = []
    once = dict(case.once)
    mean = ""
    for captured in capture(case.name).body.splitlines():
        line = re.sub(r"'(\S+T\S+)'", r"'\1Z'", captured)
        entry = re.fullmatch(r"( *)([\w-]+):.*", captured)
        if entry:
            indent, key = entry.groups()
            path = [*path[: len(indent) // 2], key]
            line = f"{indent}{key}: {once.pop('.'.join(path))}" if ".".join(path) in once else line
            if path[2:] == ["rollup", "total", "average_duration_ms"]:
                mean = line.split()[-1]
            elif path[2:] == ["models"]:
                lines.append(f"      avg_duration_ms: {mean}")
        lines.append(line)
        if path == ["summary", "total_duration_ms"] and entry:
            lines += [f"  {key}: {value}" for key, value in added_to_summary(case).items()]
    assert not once, "every difference is there"
    return "\n".join(lines) + "\n"


def added_to_summary(case: Case) -> dict[str, int]:
    """What the dashboard looks for and the original does not have."""
    streamed, others = case.means
    return {
        "cache_read_tokens": 0,
        "cache_creation_tokens": 0,
        "streaming_average_duration_ms": streamed,
        "non_streaming_average_duration_ms": others,
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_running_totals(case: Case) -> None:
    captured = capture(case.name)
    answer = await get(f"/metrics/running-totals{case.query}", views_of(case, generated_at(captured.body)))
    assert answer.text == expected(case)
    assert own_headers(answer) == headers_of(case.name)
    assert yaml.safe_load(answer.text)["summary"]["active_requests"] == len(case.active)
