"""PromQL made from the metric catalogue: a label that a metric has not cannot be written.

`boards` writes its queries with these. Every selector is limited to what the dashboard's variables choose: `job` and
`instance` always, `tier`, `upstream` and the model where the metric has them.
"""

from __future__ import annotations

from collections.abc import Iterable

from exporter.telemetry.catalog import Kind, Metric

RATE_INTERVAL = "$__rate_interval"
RANGE = "$__range"
"""The whole time that the dashboard shows."""
TARGET_LABELS = ("job", "instance")
"""What Prometheus itself adds to a scraped series, and the OTLP receiver to a pushed one."""
VARIABLES = {"tier": "tier", "upstream": "upstream", "gen_ai_request_model": "model"}
"""Labels that are limited by a variable of the dashboard. `model` is not: what a client asks for (`auto`) need not be
what a server has."""
OF_TIER = "of_tier"
"""A hidden variable: the upstreams of the tiers that are chosen, for metrics that know upstreams and no tiers."""
EVERYWHERE = {"tier": "=~.*", "upstream": "=~.*", "gen_ai_request_model": "=~.*"}
"""Requests whatever is chosen: what a whole machine does is divided by these."""
OPERATORS = ("=~", "!~", "!=")
SAMPLES = {Kind.HISTOGRAM: ("_bucket", "_count", "_sum")}


def select(metric: Metric, suffix: str = "", **matchers: str) -> str:
    """A selector of `metric`: of its samples called `..._bucket`, `..._count` or `..._sum` where `suffix` says so.

    A matcher is a value, or an operator with a value (`"=~a|b"`, `"!~4.."`, `"!=x"`). Raises ValueError for a label
    that the metric has not.
    """
    if suffix not in SAMPLES.get(metric.kind, ("",)):
        raise ValueError(f"{metric.name} is a {metric.kind}; it has no samples called {metric.sample_name}{suffix}")
    _check_labels(metric, matchers, suffix)
    scope = {name: f"=~${name}" for name in TARGET_LABELS}
    scope |= {name: f"=~${VARIABLES[name]}" for name in metric.labels if name in VARIABLES}
    written = [_matcher(name, value) for name, value in (scope | matchers).items()]
    if "upstream" in metric.labels and "tier" not in metric.labels:
        written.append(_matcher("upstream", f"=~${OF_TIER}"))
    return f"{metric.sample_name}{suffix}{{{', '.join(written)}}}"


def rate(
    metric: Metric, suffix: str = "", *, by: tuple[str, ...] = (), window: str = RATE_INTERVAL, **matchers: str
) -> str:
    """Increase per second of a counter or of a part of a histogram, summed by these labels."""
    return _over("rate", metric, suffix, by, f"{select(metric, suffix, **matchers)}[{window}]")


def increase(
    metric: Metric, suffix: str = "", *, by: tuple[str, ...] = (), window: str = RANGE, **matchers: str
) -> str:
    """Increase of a counter or of a part of a histogram within the window, summed by these labels."""
    return _over("increase", metric, suffix, by, f"{select(metric, suffix, **matchers)}[{window}]")


def quantile(
    q: float, metric: Metric, *, by: tuple[str, ...] = (), window: str = RATE_INTERVAL, **matchers: str
) -> str:
    """The `q` quantile (0 to 1) of a histogram by these labels; NaN where nothing was observed in the window."""
    buckets = rate(metric, "_bucket", by=("le", *by), window=window, **matchers)
    return f"histogram_quantile({q}, {buckets})"


def mean(metric: Metric, *, by: tuple[str, ...] = (), window: str = RATE_INTERVAL, **matchers: str) -> str:
    """The mean of what a histogram observed by these labels; NaN where that is nothing."""
    total = rate(metric, "_sum", by=by, window=window, **matchers)
    return f"{total} / {rate(metric, '_count', by=by, window=window, **matchers)}"


def value(metric: Metric, *, by: tuple[str, ...] = (), operation: str = "sum", **matchers: str) -> str:
    """A gauge, aggregated by these labels."""
    return f"{_aggregated(operation, metric, by)} ({select(metric, **matchers)})"


def share(part: str, whole: str) -> str:
    """`part / whole`, by the labels that both have; 0 where the part has not happened, NaN where there is no whole."""
    return f"(({part}) or 0 * ({whole})) / ({whole})"


def _over(function: str, metric: Metric, suffix: str, by: tuple[str, ...], samples: str) -> str:
    if metric.kind not in (Kind.COUNTER, Kind.HISTOGRAM):
        raise ValueError(f"{metric.name} is a {metric.kind}: {function}() means nothing")
    return f"{_aggregated('sum', metric, by, suffix)} ({function}({samples}))"


def _aggregated(operation: str, metric: Metric, by: tuple[str, ...], suffix: str = "") -> str:
    _check_labels(metric, by, suffix)
    return f"{operation} by ({', '.join(by)})" if by else operation


def _check_labels(metric: Metric, names: Iterable[str], suffix: str) -> None:
    known = {*metric.labels, *TARGET_LABELS, *(("le",) if suffix == "_bucket" else ())}
    for name in names:
        if name not in known:
            raise ValueError(f"{metric.name} has no label {name}; it has {', '.join(metric.labels) or 'none'}")


def _matcher(name: str, value: str) -> str:
    operator = next((each for each in OPERATORS if value.startswith(each)), "=")
    return f'{name}{operator}"{value.removeprefix(operator)}"'
