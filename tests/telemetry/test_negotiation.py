import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.telemetry.negotiation import accepts_gzip, negotiate

TEXT = "text/plain; version=0.0.4; charset=utf-8"
TEXT_1 = "text/plain; version=1.0.0; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
OPENMETRICS_0 = "application/openmetrics-text; version=0.0.1; charset=utf-8"

PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
    "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,"
    "text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)
PROMETHEUS_3_PROTOBUF = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6," + PROMETHEUS_3
)
VICTORIA = "text/plain;version=0.0.4;q=1,*/*;q=0.1"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (None, TEXT),
        ("", TEXT),
        ("*/*", TEXT),
        ("text/*", TEXT),
        ("text/plain", TEXT),
        (BROWSER, TEXT),
        (VICTORIA, TEXT),
        (PROMETHEUS_2, OPENMETRICS),
        (PROMETHEUS_3, OPENMETRICS + "; escaping=allow-utf-8"),
        (PROMETHEUS_3_PROTOBUF, OPENMETRICS + "; escaping=allow-utf-8"),
        # Media types that we do not have
        ("application/json", TEXT),
        ("image/png;q=0.5, nonsense", TEXT),
        ("application/*", OPENMETRICS),
        # Versions
        ("application/openmetrics-text", OPENMETRICS),
        ("application/openmetrics-text;version=0.0.1", OPENMETRICS_0),
        ("application/openmetrics-text;version=2.0.0", TEXT),
        ("application/openmetrics-text;version=2.0.0,application/openmetrics-text;version=1.0.0;q=0.1", OPENMETRICS),
        ("text/plain;version=1.0.0", TEXT_1),
        ("text/plain;version=9", TEXT),
        # Qualities, exclusions, order
        ("application/openmetrics-text;q=0.4,text/plain;q=0.5", TEXT),
        ("application/openmetrics-text;q=0.6,text/plain;q=0.5", OPENMETRICS),
        ("application/openmetrics-text,text/plain", OPENMETRICS),
        ("text/plain,application/openmetrics-text", TEXT),
        ("application/openmetrics-text,*/*", OPENMETRICS),
        ("text/plain;q=0,*/*", OPENMETRICS),
        ("text/plain;q=0,application/openmetrics-text;q=0", TEXT),
        ("*/*;q=0", TEXT),
        ("text/plain;q=0.1,*/*;q=0.9", OPENMETRICS),
        ("application/openmetrics-text;q=nonsense", TEXT),
        ("application/openmetrics-text;q=7", TEXT),
        ("application/openmetrics-text;q=nan", TEXT),
        # Spelling
        ("Application/OpenMetrics-Text ; Version=1.0.0 ; Q=0.5", OPENMETRICS),
        ('application/openmetrics-text;version="1.0.0"', OPENMETRICS),
        ("application/openmetrics-text; version=1.0.0; charset=utf-8", OPENMETRICS),
        (",,;;,application/openmetrics-text,", OPENMETRICS),
        # Escaping
        ("text/plain;version=0.0.4;escaping=underscores", TEXT + "; escaping=underscores"),
        ("text/plain;version=1.0.0;escaping=values", TEXT_1 + "; escaping=values"),
        ("application/openmetrics-text;escaping=dots", OPENMETRICS + "; escaping=dots"),
        ("application/openmetrics-text;escaping=none", OPENMETRICS),
        ("*/*;escaping=dots", TEXT),
    ],
)
def test_formats(accept: str | None, content_type: str) -> None:
    assert negotiate(accept).content_type == content_type


@pytest.mark.parametrize(
    ("accept_encoding", "compressed"),
    [
        (None, False),
        ("", False),
        ("gzip", True),
        ("GZIP", True),
        ("x-gzip", True),
        ("gzip, deflate, br", True),
        ("deflate", False),
        ("*", True),
        ("*;q=0", False),
        ("gzip;q=0", False),
        ("gzip;q=0, *", False),
        ("gzip;q=0.001", True),
        ("identity", False),
        ("gzip;q=0.5, identity", False),
        ("gzip, identity;q=0.5", True),
        ("identity;q=0, gzip;q=0.2", True),
    ],
)
def test_compression(accept_encoding: str | None, compressed: bool) -> None:
    assert accepts_gzip(accept_encoding) is compressed


@given(st.text(alphabet='text/plain*;q=0.15,versiogzpd "-\u00e9', max_size=80))
def test_any_header_has_an_answer(header: str) -> None:
    assert negotiate(header).content_type.startswith(("text/plain; version=", "application/openmetrics-text; version="))
    assert accepts_gzip(header) in (True, False)


def test_an_endless_header_is_not_read_to_its_end() -> None:
    assert negotiate("a/b," * 2000 + "application/openmetrics-text").content_type == TEXT
