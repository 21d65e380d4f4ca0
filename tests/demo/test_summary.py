from __future__ import annotations

import asyncio
import io
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import count

import httpx
import pytest

pytest.importorskip("rich", reason="needs rich: pip install 'llama-exporter[demo]'")

from rich.console import Console

from exporter.demo import summary
from exporter.demo.figures import Decisions, Figures, OutcomeCount, Quantiles, TierFigures
from exporter.record import Complexity
from exporter.tasks import cancel, spawn

LINKS = {"proxy": "http://127.0.0.1:8001", "metrics": "http://127.0.0.1:9464/metrics"}
OUTCOMES = ("completed", "client_gone", "upstream_error", "stream_error", "timeout", "rejected")

BUSY = Figures(
    requests=1_234_567,
    requests_per_second=123.45,
    in_flight=12,
    input_tokens_per_second=12345.6,
    output_tokens_per_second=2345.6,
    cached_ratio=0.423,
    ttft=Quantiles(0.0123, 1.234),
    inter_token=Quantiles(0.00082, 0.0154),
    duration=Quantiles(0.35, 163.84),
    outcomes=tuple(OutcomeCount(name, 1_234_567 / (n + 1), 12.345 / (n + 1)) for n, name in enumerate(OUTCOMES)),
    tiers=tuple(
        TierFigures(tier, up, 234_567 + n, 41.15 + n, 5 + n, 1_234.4 + n, 0.0123 + n, n)
        for n, (tier, up) in enumerate((("Q2", True), ("Q3", False), ("Q4", True)))
    ),
    decisions=Decisions(
        {(level, f"Q{n}"): 100 * n + 10 * m for n in (2, 3, 4) for m, level in enumerate(Complexity)},
        {level: 54 + n for n, level in enumerate(Complexity)},
    ),
    cpu_ratio=0.934,
    memory_used_bytes=7.3 * 2**30,
    memory_total_bytes=125.4 * 2**30,
)
UNKNOWN = Quantiles(None, None)
IDLE = Figures(
    None, None, None, None, None, None, UNKNOWN, UNKNOWN, UNKNOWN, (), (), Decisions({}, {}), None, None, None
)  # fmt: skip


class Minute(summary.News):
    """As after a minute and two seconds."""

    @property
    def elapsed_seconds(self) -> float:
        return 62.9


NEWS = Minute()
NEWS.add("Q2 stopped")
NEWS.add("Q3 stopped: killed, as in a crash; back in 10 s")


@pytest.fixture(autouse=True)
def drawing_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that knows how to draw, wherever the tests run."""
    monkeypatch.setenv("TERM", "xterm-256color")


def render(now: Figures | None, width: int, trouble: str = "") -> list[str]:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None, legacy_windows=False)
    with console.capture() as captured:
        console.print(summary.screen(now, LINKS, NEWS, trouble))
    return captured.get().splitlines()


@pytest.mark.parametrize("width", [80, 100, 120])
@pytest.mark.parametrize("now", [BUSY, IDLE], ids=["busy", "idle"])
def test_screen_fits_a_terminal(now: Figures, width: int) -> None:
    lines = render(replace(now, outcomes=now.outcomes[:4]), width)
    assert len(lines) <= 24
    assert len(render(now, width)) <= 30
    assert max(len(line) for line in lines) <= width


@pytest.mark.parametrize("width", [80, 100, 120])
def test_screen_shows_every_figure_whole(width: int) -> None:
    text = "\n".join(render(BUSY, width))
    for shown in (
        *LINKS.values(),
        *OUTCOMES,
        *("1:02", "1,234,567", "123.5", "12,346", "2,346", "42%", "12.3 ms", "1.23 s", "0.8 ms", "15.4 ms", "163.84 s"),
        *("93%, 7.3 of 125.4 GiB", "failed tries", "fell back"),
    ):
        assert shown in text


@pytest.mark.parametrize("width", [80, 120])
def test_screen_has_a_row_for_each_tier_and_for_each_complexity(width: int) -> None:
    rows = {line.split()[0]: line[: width // 2].split()[1:] for line in render(BUSY, width) if line.strip()}
    assert rows["simple"] == ["200", "300", "400", "54"]
    assert rows["complex"] == ["220", "320", "420", "56"]
    (row,) = (line.split() for line in render(BUSY, width) if line.startswith("Q3"))
    assert row == ["Q3", "down", "234,568", "42.1", "6", "1,235", "1.01", "s", "1"]


def test_screen_shows_the_latest_news_alone() -> None:
    text = "\n".join(render(BUSY, 80))
    assert "1:02 Q3 stopped: killed, as in a crash; back in 10 s" in text
    assert "Q2 stopped" not in text


def test_what_is_unknown_is_a_dash_and_never_a_zero() -> None:
    text = "\n".join(render(IDLE, 80))
    figures = "\n".join(text.splitlines()[4:]).replace("p50", "").replace("p95", "")
    assert not any(character.isdigit() for character in figures)
    assert figures.count(" -") + figures.count("\n-") == 8 + 3 + 3 + 6 + 2 + 2 + 1 + 3


def test_trouble_is_shown_in_place_of_figures() -> None:
    assert "no metrics: refused" in "\n".join(render(None, 80, "no metrics: refused"))


def test_plain_line_is_one_line() -> None:
    assert summary.plain_line(replace(BUSY, outcomes=BUSY.outcomes[:2])) == (
        "1,234,567 requests  123.5/s  12 in flight  tokens/s in 12,346 out 2,346  TTFT p50 12.3 ms p95 1.23 s  "
        "completed 1,234,567 client_gone 617,284  "
        "Q2 up 234,567 (41.1/s)  Q3 down 234,568 (42.1/s)  Q4 up 234,569 (43.1/s)  fallbacks 165"
    )
    assert "\n" not in summary.plain_line(IDLE)


@asynccontextmanager
async def metrics(body: Callable[[], bytes]) -> AsyncIterator[str]:
    """A server that answers everything with this body."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        text = body()
        status = b"200 OK" if text else b"503 Service Unavailable"
        writer.write(b"HTTP/1.1 %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (status, len(text), text))
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/metrics"


async def shown(url: str, console: Console, text: Callable[[], str], until: str, news: summary.News = NEWS) -> None:
    """Run the summary until it has shown that."""
    task = spawn(summary.show(url, LINKS, news, console), name="summary")
    try:
        async with asyncio.timeout(10):
            while until not in text() and not task.done():
                await asyncio.sleep(0.005)
    finally:
        await cancel(task)
    assert until in text()


@pytest.mark.parametrize(("terminal", "kind"), [(True, "xterm"), (True, "dumb"), (False, "xterm")])
async def test_summary_scrapes_and_shows(terminal: bool, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", kind)
    monkeypatch.setattr(summary, "REFRESH_SECONDS", 0.02)
    monkeypatch.setattr(summary, "PLAIN_SECONDS", 0.02)
    finished = iter(range(7, 10_000))
    out = io.StringIO()
    console = Console(file=out, width=100, force_terminal=terminal, color_system=None, legacy_windows=False)
    async with metrics(lambda: b'llm_requests_total{outcome="completed"} %d\n' % next(finished)) as url:
        await shown(url, console, out.getvalue, "9")
    draws = terminal and kind != "dumb"
    assert ("\x1b[" in out.getvalue()) is draws
    assert ("╭─" in out.getvalue()) is draws
    if not draws:
        *news, first = out.getvalue().splitlines()[:3]
        assert news == NEWS.lines
        assert re.match(r"8 requests  [\d,.]+/s  - in flight", first)


async def test_news_are_printed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summary, "PLAIN_SECONDS", 0.01)
    news = summary.News()
    finished = count(1)

    def answer() -> bytes:
        number = next(finished)
        if number % 3 == 0:
            news.add(f"event {number}")
        return b"llm_requests_total %d\n" % number

    out = io.StringIO()
    async with metrics(answer) as url:
        await shown(url, Console(file=out, width=100), out.getvalue, "10 requests", news)
    told = [line for line in out.getvalue().splitlines() if "event" in line]
    assert told[:3] == ["0:00 event 3", "0:00 event 6", "0:00 event 9"]
    assert len(set(told)) == len(told)


async def test_summary_lives_through_a_sidecar_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summary, "PLAIN_SECONDS", 0.01)
    answers = iter([b"", b"", b'llm_requests_total{x="1"} many\n'])
    out = io.StringIO()
    async with metrics(lambda: next(answers, b"llm_requests_total 5\n")) as url:
        await shown(url, Console(file=out, width=100), out.getvalue, "5 requests")
    _, _, failed, malformed, *_ = out.getvalue().splitlines()
    assert failed.startswith("no metrics: Server error '503")
    assert malformed.startswith("no metrics: could not convert")


async def test_reader_forgets_what_is_older_than_its_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summary, "WINDOW_SCRAPES", 2)
    counts = iter([100, 200, 203])
    async with (
        metrics(lambda: b"llm_requests_total %d\n" % next(counts)) as url,
        httpx.AsyncClient(trust_env=False) as http,
    ):
        reader = summary.Reader(http, url)
        speeds = [(await reader.read()).requests_per_second for _ in range(3)]
    assert speeds[0] is None
    assert speeds[1] is not None
    assert speeds[2] is not None
    assert speeds[2] < speeds[1]
