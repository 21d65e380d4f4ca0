"""What is summed up of requests, and by what: said once, for the roll-ups, the ragged edges of a period, the running
totals, and the check that they agree.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Integer, Select, Subquery, and_, case, func, literal_column, select

from exporter.record import FAILURES, Outcome
from exporter.store.schema import REQUESTS, ROLLUPS
from exporter.store.spans import Span

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
    "failed": _count(_R.outcome.in_(sorted(outcome.value for outcome in FAILURES))),
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


def addends(span: Span, instance: str | None) -> Select[Any]:
    """What is to be summed up of a span: roll-ups, or single requests, in the same columns."""
    if span.step == 0:
        of_instance = [] if instance is None else [_R.instance == instance]
        requests = each(_R.finished_us >= span.start_us, _R.finished_us < span.end_us, *of_instance).subquery("each")
        return select(*(requests.c[name] for name in (*KEYS, *ADDENDS)))
    rollups = select(*(ROLLUPS.c[name] for name in (*KEYS, *ADDENDS)))
    rollups = rollups.where(ROLLUPS.c.step == span.step)
    rollups = rollups.where(ROLLUPS.c.start_us >= span.start_us, ROLLUPS.c.start_us < span.end_us)
    return rollups if instance is None else rollups.where(ROLLUPS.c.instance == instance)


def summed(part: Subquery) -> list[Expression]:
    """The sums of `addends`, in the order of `Sums`."""
    return [func.coalesce(func.sum(part.c[name]), 0) for name in ADDENDS]
