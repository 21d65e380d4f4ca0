import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.accept import prefers, read_ranges

JSON = "application/json"
TEXTS = ("text/plain", "application/openmetrics-text")


@pytest.mark.parametrize(
    "accept",
    [
        JSON,
        "application/json, text/plain, */*",  # axios
        "application/json, */*",
        "application/json,text/plain;q=0.9",
        "application/json;q=0.5,text/*;q=0.4,application/openmetrics-text;q=0.3",
        "application/json;q=0.5,*/*;q=0.1",
        "application/json;q=0.001",
        "*/*,application/json",  # named more exactly
        "Application/JSON ; Q=1.0",
        "application/json; charset=utf-8",
        "text/html, application/json",
        "application/json, text/plain;q=nonsense",
        "application/*,text/plain;q=0.5,application/openmetrics-text;q=0",
    ],
)
def test_json_is_wanted(accept: str) -> None:
    assert prefers(accept, JSON, TEXTS)


@pytest.mark.parametrize(
    "accept",
    [
        None,
        "",
        "*/*",
        "application/*",
        "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8",
        "text/plain, application/json",
        "text/plain;version=0.0.4;q=1,*/*;q=0.1",
        "application/openmetrics-text, application/json",
        "application/json;q=0",
        "application/json;q=0,*/*",
        "application/json;q=2",
        "application/json;q=0.5,*/*",
        "application/json;q=0.5,text/plain",
        "application/json;q=0.5,text/plain;version=0.0.4;q=0.1,text/plain;version=1.0.0;q=0.6",
        "application/jsonp, application/vnd.api+json",
        "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
        "text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,"
        "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
        "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
    ],
)
def test_json_is_not_wanted(accept: str | None) -> None:
    assert not prefers(accept, JSON, TEXTS)


def test_elements() -> None:
    first, second = read_ranges('Text/Plain ; Version="0.0.4";q=0.5 ,, gzip')
    assert (first.name, first.parameters["version"], first.quality) == ("text/plain", "0.0.4", 0.5)
    assert (second.name, second.parameters, second.quality) == ("gzip", {}, 1.0)


def test_an_endless_header_is_not_read_to_its_end() -> None:
    assert not prefers("a/b," * 2000 + JSON, JSON, TEXTS)
    assert prefers("a/b," * 1000 + JSON, JSON, TEXTS)


qualities = st.integers(0, 1000).map(lambda thousandths: thousandths / 1000)


@given(qualities, qualities, st.booleans())
def test_the_higher_quality_wins_and_then_the_first(json_q: float, text_q: float, json_first: bool) -> None:
    ranges = [f"application/json;q={json_q}", f"text/plain;q={text_q}"]
    accept = ", ".join(ranges if json_first else reversed(ranges))
    wanted = json_q > text_q or (json_q == text_q and json_first)
    assert prefers(accept, JSON, TEXTS) == (wanted and json_q > 0)


@given(st.text(alphabet='aplictonjsex/*;q=0.15, "-\u00e9', max_size=80))
def test_any_header_has_an_answer(header: str) -> None:
    assert not (prefers(header, JSON, TEXTS) and prefers(header, TEXTS[0], (JSON, TEXTS[1])))
