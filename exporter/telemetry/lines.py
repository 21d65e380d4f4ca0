"""The lines of an exposition: Prometheus text 0.0.4 and 1.0.0, and OpenMetrics 0.0.1 and 1.0.0.

`exposition` joins the pieces made here. A piece is a header or all lines of one series, and is never divided, so that
the buckets, count and sum of a histogram always agree. The text is the one that `prometheus_client` writes, but for two
points: `_created` series appear in OpenMetrics only (text 0.0.4 has no such notion, and Prometheus would store each as
one more series), and a colon in a sample's name survives OpenMetrics.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from exporter.telemetry.catalog import Kind, Metric
from exporter.telemetry.instruments import Counter, CounterSeries, Exemplar, Histogram, HistogramSeries
from exporter.telemetry.number import EXPONENT_FROM, go_float
from exporter.telemetry.sampled import Sampled

AnyFamily = Counter | Histogram | Sampled
END = "# EOF\n"


@dataclass(frozen=True, slots=True)
class Form:
    """How to write."""

    openmetrics: bool
    dots: bool = False
    """`escaping=dots`: underscores in names are doubled. The other schemes leave our names as they are."""

    def name(self, name: str) -> str:
        """A metric's or label's name as this form writes it."""
        return name.replace("_", "__") if self.dots else name


def pieces(family: AnyFamily, form: Form) -> Iterator[str]:
    """The header of a family, then the lines of each of its series. A sampled family without samples gives nothing."""
    if isinstance(family, Histogram):
        return _histogram_pieces(family, form)
    if isinstance(family, Counter):
        return _counter_pieces(family, form)
    return _sampled_pieces(family, form)


def header(metric: Metric, form: Form) -> str:
    """The HELP, TYPE and, in OpenMetrics, UNIT lines."""
    documentation = metric.help.replace("\\", r"\\").replace("\n", r"\n")
    if not form.openmetrics:
        name = form.name(metric.sample_name)
        kind = Kind.GAUGE if metric.kind is Kind.INFO else metric.kind
        return f"# HELP {name} {documentation}\n# TYPE {name} {kind}\n"
    name = form.name(metric.name)
    documentation = documentation.replace('"', r"\"")
    unit = f"# UNIT {name} {metric.suffix_unit}\n" if metric.suffix_unit else ""
    return f"# HELP {name} {documentation}\n# TYPE {name} {metric.kind}\n{unit}"


def escape(value: str) -> str:
    """A label's value, ready to be put between quotes."""
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


class _Labels:
    """Label names of a family, sorted, and where `le` stands among them."""

    def __init__(self, metric: Metric, form: Form) -> None:
        order = sorted(range(len(metric.labels)), key=metric.labels.__getitem__)
        self._names = [(form.name(metric.labels[index]), index) for index in order]
        self._before_le = sum(name < "le" for name in metric.labels)
        self._keep = not form.dots

    def around_le(self, series: HistogramSeries) -> tuple[str, str]:
        """Label text before and after `le`."""
        if series.text is not None and self._keep:
            return series.text
        pairs = self._pairs(series.labels)
        text = ",".join(pairs[: self._before_le]), ",".join(pairs[self._before_le :])
        if self._keep:
            series.text = text
        return text

    def braced(self, values: Sequence[str]) -> str:
        """All labels in braces; nothing when there are none."""
        return f"{{{','.join(self._pairs(values))}}}" if self._names else ""

    def braced_once(self, series: CounterSeries) -> str:
        """As `braced`, kept for the next scrape."""
        if series.text is not None and self._keep:
            return series.text[0]
        text = self.braced(series.labels)
        if self._keep:
            series.text = text, ""
        return text

    def _pairs(self, values: Sequence[str]) -> list[str]:
        return [f'{name}="{escape(values[index])}"' for name, index in self._names]


def _sampled_pieces(family: Sampled, form: Form) -> Iterator[str]:
    labels = _Labels(family.metric, form)
    name = form.name(family.metric.sample_name)
    start = header(family.metric, form)
    for values, value in family.samples():
        yield f"{start}{name}{labels.braced(values)} {go_float(value)}\n"
        start = ""


def _counter_pieces(family: Counter, form: Form) -> Iterator[str]:
    yield header(family.metric, form)
    labels = _Labels(family.metric, form)
    total, created = (form.name(family.metric.name + suffix) for suffix in ("_total", "_created"))
    for series in family.all():
        braced = labels.braced_once(series)
        line = f"{total}{braced} {go_float(series.value)}\n"
        yield f"{line}{created}{braced} {go_float(series.created)}\n" if form.openmetrics else line


def _histogram_pieces(family: Histogram, form: Form) -> Iterator[str]:
    yield header(family.metric, form)
    labels = _Labels(family.metric, form)
    names = _HistogramNames(family.metric, form)
    for series in family.all():
        around_le = labels.around_le(series)
        yield _bucket_lines(names, family.les, series, around_le) + _closing_lines(names, series, around_le)


class _HistogramNames:
    """Sample names of a histogram, and whether its exemplars and time of creation are written."""

    __slots__ = ("bucket", "count", "created", "openmetrics", "total")

    def __init__(self, metric: Metric, form: Form) -> None:
        self.bucket, self.count, self.total, self.created = (
            form.name(metric.name + suffix) for suffix in ("_bucket", "_count", "_sum", "_created")
        )
        self.openmetrics = form.openmetrics


def _bucket_lines(
    names: _HistogramNames, les: Sequence[str], series: HistogramSeries, around_le: tuple[str, str]
) -> str:
    before, after = around_le
    head = f'{names.bucket}{{{before},le="' if before else f'{names.bucket}{{le="'
    tail = f'",{after}}} ' if after else '"} '
    cumulative = tuple(accumulate(series.counts))
    if names.openmetrics and series.exemplars is not None:
        ends = map(_exemplar, series.exemplars)
        return "".join(
            f"{head}{le}{tail}{go_float(n)}{end}\n" for le, n, end in zip(les, cumulative, ends, strict=True)
        )
    if cumulative[-1] < EXPONENT_FROM:
        return "".join([f"{head}{le}{tail}{n}.0\n" for le, n in zip(les, cumulative, strict=True)])
    return "".join([f"{head}{le}{tail}{go_float(n)}\n" for le, n in zip(les, cumulative, strict=True)])


def _closing_lines(names: _HistogramNames, series: HistogramSeries, around_le: tuple[str, str]) -> str:
    labels = ",".join(filter(None, around_le))
    braced = f"{{{labels}}}" if labels else ""
    lines = f"{names.count}{braced} {go_float(series.count)}\n{names.total}{braced} {go_float(series.total)}\n"
    return f"{lines}{names.created}{braced} {go_float(series.created)}\n" if names.openmetrics else lines


def _exemplar(exemplar: Exemplar | None) -> str:
    if exemplar is None:
        return ""
    labels = ",".join(f'{name}="{escape(value)}"' for name, value in exemplar.labels.items())
    return f" # {{{labels}}} {go_float(exemplar.value)} {exemplar.timestamp}"
