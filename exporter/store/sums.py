"""What is summed up of requests, and by what: said once, for the roll-ups, the ragged edges of a period, the running
totals, and the check that they agree.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    Select,
    Subquery,
    Text,
    and_,
    bindparam,
    case,
    func,
    literal_column,
    or_,
    select,
    union_all,
)

from exporter.record import FAILURES, Outcome
from exporter.store.schema import REQUESTS, ROLLUPS
from exporter.store.spans import EDGES, WHOLES, Span

_R = REQUESTS.c
Expression = ColumnElement[Any]


def _count(condition: Expression) -> Expression:
    return case((condition, 1), else_=0)


_complete = _R.outcome == Outcome.COMPLETED.value
_first = case((_R.stream, _R.ttft_us), (_complete, _R.duration_us))
_last = case((_R.stream, _R.last_token_us), (_complete, _R.duration_us))
_timed = and_(_first.is_not(None), _last.is_not(None))

KEYS: dict[str, Expression] = {
    "instance": _R.instance,
    "model": func.coalesce(_R.model, ""),
    "tier": _R.tier,
    "origin": func.coalesce(_R.origin, ""),
    "outcome": _R.outcome,
    "stream": _R.stream,
    "status_code": func.coalesce(_R.status_code, 0),
    "error_type": func.coalesce(_R.error_type, ""),
    "finish_reason": func.coalesce(_R.finish_reason, ""),
}
"""What requests have in common whose sums stand in one row; '' and 0 are unknown."""

ADDENDS: dict[str, Expression] = {
    "requests": literal_column("1", Integer),
    "duration_us": _R.duration_us,
    "token_requests": _count(func.coalesce(_R.input_tokens, _R.output_tokens).is_not(None)),
    "input_tokens": func.coalesce(_R.input_tokens, 0),
    "output_tokens": func.coalesce(_R.output_tokens, 0),
    "timed_requests": _count(_timed),
    "first_token_us": case((_timed, _first), else_=0),
    "last_token_us": case((_timed, _last), else_=0),
    "speed_requests": _count(_R.speed.is_not(None)),
    "speed_sum": func.coalesce(_R.speed, 0),
}
"""What one request adds to each sum, as `Sums` names them."""

TOTAL_KEYS: dict[str, Expression] = {
    "instance": _R.instance,
    "provider": _R.provider,
    "model": func.coalesce(_R.model, ""),
    "stream": _R.stream,
}
TOTAL_ADDENDS: dict[str, Expression] = {
    "requests": literal_column("1", Integer),
    "failed": _count(or_(*(_R.outcome == outcome.value for outcome in sorted(FAILURES)))),
    "input_tokens": func.coalesce(_R.input_tokens, 0),
    "output_tokens": func.coalesce(_R.output_tokens, 0),
    "cached_tokens": func.coalesce(_R.cached_tokens, 0),
    "tool_calls": _R.tool_calls,
    "tool_uses": _R.tool_uses,
    "tool_results": _R.tool_results,
    "duration_us": _R.duration_us,
}


def each(*conditions: Expression) -> Select[Any]:
    """The requests that meet the conditions: what they have in common with others, and what they add."""
    columns = [expression.label(name) for name, expression in {**KEYS, **ADDENDS}.items()]
    return select(_R.finished_us, *columns).where(*conditions)


def rolled_up(step: int, *conditions: Expression) -> Select[Any]:
    """Rows for `rollups`: the sums over the requests that meet the conditions, by steps of so many seconds."""
    requests = each(*conditions).subquery("each")
    start = requests.c.finished_us - requests.c.finished_us % literal_column(str(step * 1_000_000), BigInteger)
    keys = [requests.c[name] for name in KEYS]
    sums = [func.sum(requests.c[name]).label(name) for name in ADDENDS]
    columns = literal_column(str(step), Integer).label("step"), start.label("start_us")
    return select(*columns, *keys, *sums).group_by(start, *keys)


def totalled(*conditions: Expression) -> Select[Any]:
    """Rows for `totals`: the sums over the requests that meet the conditions."""
    last = (_R.finished_us - _R.duration_us).label("last_started_us")
    columns = [expression.label(name) for name, expression in {**TOTAL_KEYS, **TOTAL_ADDENDS}.items()]
    requests = select(*columns, last).where(*conditions).subquery("each")
    keys = [requests.c[name] for name in TOTAL_KEYS]
    sums = [func.sum(requests.c[name]).label(name) for name in TOTAL_ADDENDS]
    return select(*keys, *sums, func.max(requests.c.last_started_us).label("last_started_us")).group_by(*keys)


def addends(*, of_instance: bool) -> Subquery:
    """What is to be summed up of a period, in the columns of `KEYS` and `ADDENDS`: of single requests in the spans
    `edge_N_start` to `edge_N_end`, of roll-ups in the spans `whole_N_start` to `whole_N_end` of steps `whole_N_step`;
    of one `instance`, or of all. `bounds` gives these parameters."""
    names = (*KEYS, *ADDENDS)
    parts = []
    for number in range(EDGES):
        start, end = bindparam(f"edge_{number}_start", 0, BigInteger), bindparam(f"edge_{number}_end", 0, BigInteger)
        requests = each(_R.finished_us >= start, _R.finished_us < end).subquery(f"edge_{number}")
        parts.append(select(*(requests.c[name] for name in names)))
    for number in range(WHOLES):
        start, end = bindparam(f"whole_{number}_start", 0, BigInteger), bindparam(f"whole_{number}_end", 0, BigInteger)
        step = bindparam(f"whole_{number}_step", 0, Integer)
        rollups = select(*(ROLLUPS.c[name] for name in names))
        parts.append(rollups.where(ROLLUPS.c.step == step, ROLLUPS.c.start_us >= start, ROLLUPS.c.start_us < end))
    if of_instance:
        instance = bindparam("instance", "", Text)
        parts = [part.where(part.selected_columns.instance == instance) for part in parts]
    return union_all(*parts).subquery("part")


def bounds(spans: Iterable[Span]) -> dict[str, int]:
    """The parameters of `addends`."""
    edges, wholes, found = count(), count(), {}
    for span in spans:
        if span.step:
            name = f"whole_{next(wholes)}"
            found[f"{name}_step"] = span.step
        else:
            name = f"edge_{next(edges)}"
        found[f"{name}_start"], found[f"{name}_end"] = span.start_us, span.end_us
    return found


def summed(part: Subquery) -> list[Expression]:
    """The sums of `addends`, in the order of `Sums`."""
    return [func.coalesce(func.sum(part.c[name]), 0) for name in ADDENDS]
