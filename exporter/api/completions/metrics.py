"""The figures of a period as the contract shows them: pure functions of what the store has summed up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TypeVar

from exporter.api.completions.documents import (
    AllRequests,
    ErrorType,
    Metrics,
    NonStreamedRequests,
    Requests,
    StreamedRequests,
    Timing,
    Tokens,
)
from exporter.api.completions.errors import error_word
from exporter.record import Outcome
from exporter.store.figures import Figures, Group, Sums
from exporter.utc import utc

Name = TypeVar("Name", bound=str)
TOP = 5
DIGITS = 2
MILLISECOND_US = 1000
SPEED_SCALE = 1_000_000
"""`Sums.speed_sum` is tokens per so many seconds."""


def metrics(figures: Figures, wall: float) -> Metrics:
    """The document of `GET /metrics` at `wall`, UTC seconds since the epoch."""
    groups = figures.groups
    whole, successful = sum_up(groups), sum_up(filter(is_successful, groups))
    streamed = sum_up(group for group in groups if group.stream)
    return {
        "total_requests": whole.requests,
        "successful_requests": successful.requests,
        "failed_requests": whole.requests - successful.requests,
        "recent_requests_24h": figures.recent,
        "streaming_requests": streamed.requests,
        "non_streaming_requests": whole.requests - streamed.requests,
        "total_tokens_used": whole.input_tokens + whole.output_tokens,
        "avg_tokens_per_request": mean(whole.input_tokens + whole.output_tokens, whole.token_requests),
        "avg_response_time_ms": mean_ms(successful.duration_us, successful.requests),
        "avg_tokens_per_second": mean(whole.speed_sum, whole.speed_requests, SPEED_SCALE),
        "avg_time_to_first_token_ms": mean_ms(streamed.first_token_us, streamed.timed_requests),
        "avg_time_to_last_token_ms": mean_ms(streamed.last_token_us, streamed.timed_requests),
        "avg_completion_duration_ms": mean_ms(_completion_us(streamed), streamed.timed_requests),
        "top_models": [{"model": name, "count": count} for name, count in figures.models[:TOP]],
        "top_origins": [{"origin": name, "count": count} for name, count in figures.origins[:TOP]],
        "finish_reasons": [{"reason": reason, "count": count} for reason, count in ranked(finish_reasons(groups))],
        "error_types": [{"type": word, "count": count} for word, count in ranked(error_types(groups))],
        "requests": requests(groups),
        "model_distribution": dict(figures.models),
        "origin_distribution": dict(figures.origins),
        "success_rate": share(successful.requests, whole.requests),
        "streaming_percentage": share(streamed.requests, whole.requests),
        "avg_prompt_tokens": mean(whole.input_tokens, whole.token_requests),
        "avg_completion_tokens": mean(whole.output_tokens, whole.token_requests),
        "avg_total_tokens": mean(whole.input_tokens + whole.output_tokens, whole.token_requests),
        "timestamp": utc(wall),
    }


def requests(groups: Sequence[Group]) -> Requests:
    """The nested figures."""
    whole, successful = sum_up(groups), sum_up(filter(is_successful, groups))
    total: AllRequests = {
        "total": whole.requests,
        "successful": successful.requests,
        "failed": whole.requests - successful.requests,
        "avg_response_time_ms": mean_ms(whole.duration_us, whole.requests) or 0.0,
    }
    of_streams = [group for group in groups if group.stream]
    sums = sum_up(of_streams)
    streamed: StreamedRequests = {
        **one_kind(of_streams),
        "avg_response_time_ms": mean_ms(sums.duration_us, sums.requests) or 0.0,
    }
    others = one_kind([group for group in groups if not group.stream])
    return {"total": total, "streamed": streamed, "non_streamed": others}


def one_kind(groups: Sequence[Group]) -> NonStreamedRequests:
    """Of streamed requests, or of the others."""
    whole, successful = sum_up(groups), sum_up(filter(is_successful, groups))
    return {
        "total": whole.requests,
        "successful": successful.requests,
        "failed": whole.requests - successful.requests,
        "tokens": tokens(whole),
        "error_types": dict(ranked(error_types(groups))),
        **timing(whole),
    }


def tokens(sums: Sums) -> Tokens:
    """What servers reported."""
    reported: Tokens = {
        "reported_count": sums.token_requests,
        "total": sums.input_tokens + sums.output_tokens,
        "prompt_total": sums.input_tokens,
        "completion_total": sums.output_tokens,
    }
    speed = mean(sums.speed_sum, sums.speed_requests, SPEED_SCALE)
    if speed is not None:
        reported["avg_tokens_per_second"] = speed
    return reported


def timing(sums: Sums) -> Timing:
    """Means of what is known."""
    count = sums.timed_requests
    first, last = mean_ms(sums.first_token_us, count), mean_ms(sums.last_token_us, count)
    completion = mean_ms(_completion_us(sums), count)
    if first is None or last is None or completion is None:
        return {}
    return {
        "avg_time_to_first_token_ms": first,
        "avg_time_to_last_token_ms": last,
        "avg_completion_duration_ms": completion,
    }


def sum_up(groups: Iterable[Group]) -> Sums:
    """All of them together."""
    whole = Sums()
    for group in groups:
        whole = whole.plus(group.sums)
    return whole


def is_successful(group: Group) -> bool:
    """Whether its requests were answered in full, without an error."""
    return group.outcome == Outcome.COMPLETED


def finish_reasons(groups: Iterable[Group]) -> Counter[str]:
    """Requests by the reason that the server gave."""
    found: Counter[str] = Counter()
    for group in groups:
        if group.finish_reason:
            found[group.finish_reason] += group.sums.requests
    return found


def error_types(groups: Iterable[Group]) -> Counter[ErrorType]:
    """Failures by the contract's words."""
    found: Counter[ErrorType] = Counter()
    for group in groups:
        word = error_word(group.outcome, group.status_code, group.error_type, stream=group.stream)
        if word is not None:
            found[word] += group.sums.requests
    return found


def ranked(counts: Counter[Name]) -> list[tuple[Name, int]]:
    """The most frequent first, then by name."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def mean(total: int, count: int, scale: int = 1) -> float | None:
    """`total` / `scale` / `count`, divided once and rounded once; None without data."""
    return round(total / (count * scale), DIGITS) if count else None


def share(part: int, whole: int) -> float:
    """Percent; 0 of nothing."""
    return round(100 * part / whole, DIGITS) if whole else 0.0


def mean_ms(total_us: int, count: int) -> float | None:
    """Milliseconds of microseconds."""
    return mean(total_us, count, MILLISECOND_US)


def _completion_us(sums: Sums) -> int:
    """From the first tokens to the last."""
    return sums.last_token_us - sums.first_token_us
