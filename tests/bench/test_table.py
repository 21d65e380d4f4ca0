from __future__ import annotations

from tests.bench.arithmetic import Middle
from tests.bench.scrape import GapFigures, GapResult, MemoryResult
from tests.bench.summary import Figures, Row
from tests.bench.table import EXPLANATION, align, megabytes, milliseconds, number, render, render_gap, render_memory


def figures(request_us: Middle | None, resident_bytes: int = 0) -> Figures:
    return Figures(
        requests_per_second=48763.4,
        cpu_share=None,
        request_us=request_us,
        chunk_us=None,
        p50=0.00066,
        p99=0.0011,
        ttfb_p50=0.00066,
        reads=1.0,
        late_p99=None,
        errors={"connection lost": 2, "status 502": 1},
        resident_bytes=resident_bytes,
    )


ROWS = [
    Row("json-32", "direct", figures(None), None, None, None, None),
    Row("json-32", "nginx", figures(Middle(18.14, 0.137), 16_100_000), 0.0004, -0.00055, None, None),
    Row("json-32", "llama-exporter", figures(Middle(350.0, None), 61_000_000), 0.003, 0.004, 19.3, 18.0),
    Row("json-1", "direct", figures(None), None, None, None, None),
]


def test_the_unknown_is_a_dash() -> None:
    assert (number(None), milliseconds(None), megabytes(0)) == ("-", "-", "-")
    assert (number(1234.56), milliseconds(0.00066), megabytes(61_000_000)) == ("1,234.6", "0.66", "61")


def test_columns_line_up() -> None:
    assert align([["a", "name", "1"], ["long", "x", "100"]]) == ["a     name    1", "long  x     100"]


def test_the_table_in_a_log() -> None:
    text = render(ROWS)
    heading, rule, direct, nginx, ours, blank, other = text.splitlines()[:7]
    assert heading.split()[:4] == ["case", "target", "req/s", "CPU"]
    assert set(rule) == {"-"}
    assert direct.split()[:3] == ["json-32", "direct", "48,763"]
    assert nginx.split()[:2] == ["nginx", "48,763"]
    assert "18.1 ~14%" in nginx
    assert "-0.55" in nginx
    assert "19.3 NOT MET" in ours
    assert blank == ""
    assert other.startswith("json-1 ")
    assert len({len(line) for line in (heading, direct, nginx, ours)}) == 1
    assert "\x1b" not in text
    assert text.endswith(EXPLANATION[-1])


def test_the_gap_report_says_how_many_series_there_were() -> None:
    quiet, scraped = GapFigures(0.0004, 0.0024, 0), GapFigures(None, 0.0036, 1)
    result = GapResult(quiet, quiet, scraped, 4_000, 14, 0.05, 0.04, 61_000_000)
    *table, last = render_gap(result, 5_000).splitlines()
    assert [line.split()[-3:] for line in table[1:]] == [
        ["0.40", "2.40", "0"],
        ["0.40", "2.40", "0"],
        ["-", "3.60", "1"],
    ]
    assert "14 scrapes of 4,000 series (fewer than the 5,000 that were wanted): p50 40.00 ms, longest 50.00 ms" in last
    assert "fewer" not in render_gap(result, 4_000)


def test_the_memory_report_has_a_verdict() -> None:
    def report(after_bytes: int) -> str:
        return render_memory(MemoryResult(100_000, 10_000, 41.2, 50_000_000, after_bytes, 99_900_000, 6_000, 0))

    assert "99 MB resident after 100,000 requests with 10,000 model names in 41 s (target < 100 MB: met)" in report(
        99_000_000
    )
    assert "NOT MET" in report(100_000_000)
