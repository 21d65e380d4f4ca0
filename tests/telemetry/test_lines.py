import re
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import generate_latest
from prometheus_client.core import Metric as MetricFamily
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.telemetry.catalog import Feed, Kind, Metric
from exporter.telemetry.instruments import Counter, Exemplar, Histogram
from exporter.telemetry.lines import END, AnyFamily, Form, pieces
from exporter.telemetry.sampled import Sampled
from tests.telemetry.examples import example_sources

TEXT = Form(openmetrics=False)
OPENMETRICS = Form(openmetrics=True)
LABELS = ("zone", "kind", "le_after", "Upper")
THINGS = Metric(
    "test_things", Kind.COUNTER, 'Back\\slash, "quotes"\nand a line.', Feed.SELF, unit="things", labels=LABELS
)
WAIT = Metric("test_wait_seconds", Kind.HISTOGRAM, "Waiting.", Feed.SELF, unit="seconds", labels=LABELS)
STATE = Metric("test_state", Kind.GAUGE, "State.", Feed.SELF, labels=LABELS)
BUILD = Metric("test_build", Kind.INFO, "Build.", Feed.SELF, labels=LABELS)

# What an exposition can hold: everything that can be encoded.
values = st.text(st.characters(codec="utf-8"), max_size=12)
label_values = st.tuples(values, values, values, values)
amounts = st.floats(0, 1e15)


class Families:
    """What `generate_latest` takes for a registry, with or without the times of creation."""

    def __init__(self, families: Iterable[AnyFamily], *, created: bool) -> None:
        self._families = families
        self._created = created

    def collect(self) -> Iterator[MetricFamily]:
        for family in self._families:
            for collected in family.collect():
                if not self._created:
                    collected.samples = [s for s in collected.samples if not s.name.endswith("_created")]
                yield collected


def ours(families: Iterable[AnyFamily], form: Form) -> str:
    return "".join(piece for family in families for piece in pieces(family, form)) + END * form.openmetrics


def their_text(families: Iterable[AnyFamily], escaping: str = "underscores") -> str:
    return generate_latest(Families(families, created=False), escaping).decode()


def their_openmetrics(families: Iterable[AnyFamily], escaping: str = "underscores") -> str:
    text = generate_openmetrics(Families(families, created=True), escaping).decode()  # type: ignore[no-untyped-call]
    # It replaces the colon in the names of samples, though not in those of their families, where a colon is as valid.
    return re.sub(r"^llamacpp__?", "llamacpp:", text, flags=re.M)


def examples() -> list[AnyFamily]:
    return [family for source in example_sources() for family in source.families()]


def test_text_is_that_of_prometheus_client() -> None:
    assert ours(examples(), TEXT) == their_text(examples())


def test_openmetrics_is_that_of_prometheus_client() -> None:
    assert ours(examples(), OPENMETRICS) == their_openmetrics(examples())


@pytest.mark.parametrize("escaping", ["allow-utf-8", "values"])
def test_escapings_leave_our_names_alone(escaping: str) -> None:
    assert their_text(examples(), escaping) == ours(examples(), TEXT)


def test_dots_double_the_underscores_of_names() -> None:
    assert ours(examples(), Form(openmetrics=False, dots=True)) == their_text(examples(), "dots")
    assert ours(examples(), Form(openmetrics=True, dots=True)) == their_openmetrics(examples(), "dots")


def test_a_rendering_in_dots_leaves_no_trace_in_the_next_one() -> None:
    families = examples()[:17]
    before = ours(families, TEXT)
    ours(families, Form(openmetrics=False, dots=True))
    assert ours(families, TEXT) == before


def families_of(rows: list[tuple[tuple[str, ...], float]]) -> list[AnyFamily]:
    counter = Counter(THINGS, lambda: 1_700_000_000.125)
    histogram = Histogram(WAIT, (0.5, 2.0, 5e6), lambda: 1_700_000_000.125)
    for labels, value in rows:
        counter.series(labels).inc(value)
        histogram.series(labels).observe(value)
    unique = dict(rows)
    return [counter, histogram, Sampled(STATE, list(unique.items())), Sampled(BUILD, [(row, 1) for row in unique])]


@settings(deadline=None)
@given(st.lists(st.tuples(label_values, amounts), max_size=4))
def test_any_label_value_is_written_as_prometheus_client_does(rows: list[tuple[tuple[str, ...], float]]) -> None:
    families = families_of(rows)
    assert ours(families, TEXT) == their_text(families)
    assert ours(families, OPENMETRICS) == their_openmetrics(families)


@settings(deadline=None)
@given(st.lists(st.tuples(label_values, amounts), min_size=1, max_size=3))
def test_any_label_value_is_read_back(rows: list[tuple[tuple[str, ...], float]]) -> None:
    families = families_of(rows)
    expected = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for collected in family.collect()
        for sample in collected.samples
    }
    read = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for collected in parse_openmetrics(ours(families, OPENMETRICS))  # type: ignore[no-untyped-call]
        for sample in collected.samples
    }
    assert read == expected


def test_awkward_label_values_are_read_back_from_text() -> None:
    awkward = ('say "hi"', "back\\slash\\n", "two\nlines", "🦙 = {a,b} # 1")
    read = [
        sample.labels
        for collected in parse_text(ours(families_of([(awkward, 1.0)]), TEXT))
        for sample in collected.samples
        if "le" not in sample.labels
    ]
    assert len(read) == 5
    assert all(labels == dict(zip(LABELS, awkward, strict=True)) for labels in read)


def test_the_golden_examples_are_read_back_with_their_values() -> None:
    families = examples()
    text = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for collected in parse_text(ours(families, TEXT))
        for sample in collected.samples
    }
    openmetrics = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for collected in parse_openmetrics(ours(examples(), OPENMETRICS))  # type: ignore[no-untyped-call]
        for sample in collected.samples
        if not sample.name.endswith("_created")
    }
    assert text == openmetrics
    assert len(text) > 400


def test_counts_of_a_million_and_more() -> None:
    family = Histogram(WAIT, (0.5, 2.0), lambda: 1.0)
    series = family.series(("a", "b", "c", "d"))
    series.merge((999_999, 1, 1_234_567), 5.0)
    assert ours([family], TEXT) == their_text([family])
    assert 'le="0.5",le_after="c",zone="a"} 999999.0\n' in ours([family], TEXT)
    assert 'le="+Inf",le_after="c",zone="a"} 2.234567e+06\n' in ours([family], TEXT)


@pytest.mark.parametrize("labels", [(), ("a",), ("z",), ("a", "z")])
def test_le_finds_its_place_among_any_labels(labels: tuple[str, ...]) -> None:
    family = Histogram(Metric("test", Kind.HISTOGRAM, "Test.", Feed.SELF, labels=labels), (1.0,), lambda: 1.0)
    family.series(tuple("v" for _ in labels)).observe(0.5)
    assert ours([family], TEXT) == their_text([family])
    assert ours([family], OPENMETRICS) == their_openmetrics([family])


def test_exemplars_are_in_openmetrics_only() -> None:
    family = Histogram(WAIT, (0.5, 2.0), lambda: 1.0)
    series = family.series(("a", "b", "c", "d"))
    series.observe(0.25, Exemplar("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", 0.25, 1_700_000_000.5))
    series.observe(1.5)
    openmetrics = ours([family], OPENMETRICS)
    assert openmetrics == their_openmetrics([family])
    assert (
        ' 1.0 # {span_id="b7ad6b7169203331",trace_id="0af7651916cd43dd8448eb211c80319c"} 0.25 1700000000.5\n'
        in openmetrics
    )
    (read,) = parse_openmetrics(openmetrics)  # type: ignore[no-untyped-call]
    assert [sample.exemplar.value for sample in read.samples if sample.exemplar] == [0.25]
    assert "#" not in ours([family], TEXT).split("histogram\n")[1]


def test_times_of_creation_are_in_openmetrics_only() -> None:
    assert "_created" not in ours(examples(), TEXT)
    assert ours(examples(), OPENMETRICS).count("llm_requests_created{") == 4


def test_a_sampled_family_without_samples_shows_nothing() -> None:
    unknown = Sampled(STATE, [(("a", "b", "c", "d"), None)])
    assert ours([unknown], TEXT) == ""
    assert list(Sampled(STATE, []).collect()) == []


def test_an_instrument_without_series_shows_what_will_come() -> None:
    assert ours([Counter(THINGS)], TEXT) == (
        '# HELP test_things_total Back\\\\slash, "quotes"\\nand a line.\n# TYPE test_things_total counter\n'
    )
    assert ours([Counter(THINGS)], OPENMETRICS) == (
        '# HELP test_things Back\\\\slash, \\"quotes\\"\\nand a line.\n# TYPE test_things counter\n'
        "# UNIT test_things things\n# EOF\n"
    )
