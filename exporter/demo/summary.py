"""The demo's live summary: it reads the admin listener's `/metrics` over HTTP, as any Prometheus would, and shows what
the demo says of itself (`News`).

`demo.run` starts `show`: one screen that is drawn anew on a terminal, a line every few seconds elsewhere. Needs `rich`.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Mapping

import httpx
from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from exporter.demo.figures import NAMES, Figures, Quantiles, TierFigures, figures
from exporter.demo.scrape import Scrape, parse
from exporter.record import Complexity

REFRESH_SECONDS = 1.0
PLAIN_SECONDS = 5.0
WINDOW_SCRAPES = 16
"""Rates and quantiles are those of the last 15 s, or of the time since the start."""
UNKNOWN = "-"


class Reader:
    """Scrapes one `/metrics` and remembers a window of scrapes."""

    def __init__(self, http: httpx.AsyncClient, url: str) -> None:
        self._http = http
        self._url = url
        self._window: deque[Scrape] = deque(maxlen=WINDOW_SCRAPES)

    async def read(self) -> Figures:
        """Scrape once. Raises httpx.HTTPError or ValueError when there is no usable answer."""
        answer = await self._http.get(self._url, headers={"accept": "text/plain;version=0.0.4"})
        answer.raise_for_status()
        self._window.append(parse(answer.text, at=time.monotonic(), names=NAMES))
        return figures(self._window[0], self._window[-1])


class News:
    """What the demo did to its servers, and when."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._started = time.monotonic()

    @property
    def elapsed_seconds(self) -> float:
        """Since the demo began."""
        return time.monotonic() - self._started

    def add(self, line: str) -> None:
        """It is so now."""
        self.lines.append(f"{_clock(self.elapsed_seconds)} {line}")


async def show(metrics_url: str, links: Mapping[str, str], news: News, console: Console) -> None:
    """Show the summary until cancelled. `links` are names and URLs for the top of the screen."""
    async with httpx.AsyncClient(timeout=REFRESH_SECONDS * 2, trust_env=False) as http:
        reader = Reader(http, metrics_url)
        if console.is_terminal and not console.is_dumb_terminal:  # there, a screen that is drawn anew stays empty
            with Live(console=console, auto_refresh=False) as live:
                while True:
                    now, trouble = await _read(reader)
                    live.update(screen(now, links, news, trouble), refresh=True)
                    await asyncio.sleep(REFRESH_SECONDS)
        await _read(reader)  # rates need one to begin with
        told = 0
        while True:
            await asyncio.sleep(PLAIN_SECONDS)
            now, trouble = await _read(reader)
            for line in news.lines[told:]:
                console.print(line, highlight=False, soft_wrap=True)
            told = len(news.lines)
            console.print(trouble if now is None else plain_line(now), highlight=False, soft_wrap=True)


async def _read(reader: Reader) -> tuple[Figures | None, str]:
    """The figures, or why there are none."""
    try:
        return await reader.read(), ""
    except (httpx.HTTPError, ValueError) as error:
        return None, f"no metrics: {str(error).partition(chr(10))[0] or type(error).__name__}"


def plain_line(now: Figures) -> str:
    """The figures as one line, for logs."""
    return "  ".join(
        [
            f"{_number(now.requests)} requests",
            f"{_number(now.requests_per_second, 1)}/s",
            f"{_number(now.in_flight)} in flight",
            f"tokens/s in {_number(now.input_tokens_per_second)} out {_number(now.output_tokens_per_second)}",
            f"TTFT p50 {_seconds(now.ttft.p50)} p95 {_seconds(now.ttft.p95)}",
            " ".join(f"{count.outcome} {_number(count.total)}" for count in now.outcomes) or UNKNOWN,
            *(_plain_tier(tier) for tier in now.tiers),
            f"fallbacks {_number(sum(now.decisions.fallbacks.values()))}",
        ]
    )


def _plain_tier(tier: TierFigures) -> str:
    return f"{tier.tier} {_state(tier.up)} {_number(tier.requests)} ({_number(tier.requests_per_second, 1)}/s)"


def screen(now: Figures | None, links: Mapping[str, str], news: News, trouble: str = "") -> Group:
    """The whole screen; fits 80 columns and, with up to four outcomes, 24 lines."""
    head = Text(overflow="fold")
    for name, url in links.items():
        head.append(f"{name} ", style="bold").append(url, style=f"cyan link {url}").append("  ")
    for line in news.lines[-1:]:
        head.append(f"\n{line}", style="yellow")
    title = f"llama-exporter demo   {_clock(news.elapsed_seconds)}   Ctrl-C ends it"
    panel = Panel(head, title=title, title_align="left", box=box.ROUNDED)
    return Group(panel, Text(trouble, style="red")) if now is None else Group(panel, _tiers(now), "", _body(now))


def _tiers(now: Figures) -> Table:
    columns = ("server", "requests", "/s", "in flight", "tokens/s", "TTFT p50", "failed tries")
    table = _table("Tier", *columns)
    for tier in now.tiers:
        table.add_row(
            Text(tier.tier, style="bold"),
            Text(_state(tier.up), style="green" if tier.up else "bold red"),
            _number(tier.requests),
            _number(tier.requests_per_second, 1),
            _number(tier.in_flight),
            _number(tier.output_tokens_per_second),
            _seconds(tier.ttft_p50),
            _number(tier.failed_attempts),
        )
    if not now.tiers:
        table.add_row(*[UNKNOWN] * (1 + len(columns)))
    return table


def _body(now: Figures) -> Table:
    body = Table.grid(expand=True, padding=(0, 2))
    body.add_column(ratio=1)
    body.add_column(ratio=1)
    body.add_row(_decisions(now), _outcomes(now))
    body.add_row("", "")
    body.add_row(_latency(now), _traffic(now))
    return body


def _decisions(now: Figures) -> Table:
    """Complexity by tier. Off the diagonal is what fell back, and what a client chose itself."""
    tiers = [tier.tier for tier in now.tiers]
    table = _table("Complexity", *tiers, "fell back")
    for level in Complexity:
        counts = [now.decisions.counts.get((level, tier)) for tier in tiers]
        fell_back = now.decisions.fallbacks.get(level)
        table.add_row(
            level.lower(), *map(_count, counts), Text(_number(fell_back), style="yellow" if fell_back else "dim")
        )
    return table


def _outcomes(now: Figures) -> Table:
    table = _table("Outcome", "requests", "/s")
    for count in now.outcomes:
        style = "green" if count.outcome == "completed" else "yellow"
        table.add_row(Text(count.outcome, style=style), _number(count.total), _number(count.per_second, 2))
    if not now.outcomes:
        table.add_row(UNKNOWN, UNKNOWN, UNKNOWN)
    return table


def _latency(now: Figures) -> Table:
    table = _table("Latency", "p50", "p95")
    rows: dict[str, Quantiles] = {
        "first token": now.ttft,
        "between tokens": now.inter_token,
        "whole request": now.duration,
    }
    for name, quantiles in rows.items():
        table.add_row(name, _seconds(quantiles.p50), _seconds(quantiles.p95))
    return table


def _traffic(now: Figures) -> Table:
    table = _table("All together", "")
    table.add_row("requests", f"{_number(now.requests)}, {_number(now.requests_per_second, 1)}/s")
    table.add_row(
        "tokens/s in, out", f"{_number(now.input_tokens_per_second)}, {_number(now.output_tokens_per_second)}"
    )
    table.add_row("from prompt cache", _percent(now.cached_ratio))
    memory = f"{_gibi(now.memory_used_bytes)} of {_gibi(now.memory_total_bytes)} GiB"
    table.add_row("CPU, memory", f"{_percent(now.cpu_ratio)}, {memory}")
    return table


def _table(name: str, *columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, expand=True, show_edge=False, pad_edge=False, padding=(0, 0, 0, 1))
    # The names give way, so that the values are shown whole.
    table.add_column(name, overflow="ellipsis", no_wrap=True, ratio=1, min_width=4)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _count(value: float | None) -> Text:
    """Where there is nothing the eye need not stop."""
    return Text(_number(value), style="" if value else "dim")


def _number(value: float | None, decimals: int = 0) -> str:
    return UNKNOWN if value is None else f"{value:,.{decimals}f}"


def _percent(ratio: float | None) -> str:
    return UNKNOWN if ratio is None else f"{ratio:.0%}"


def _seconds(value: float | None) -> str:
    if value is None:
        return UNKNOWN
    return f"{value * 1000:.1f} ms" if value < 1 else f"{value:.2f} s"


def _gibi(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value / 2**30:.1f}"


def _state(up: bool | None) -> str:
    return UNKNOWN if up is None else "up" if up else "down"


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    return f"{minutes}:{seconds:02}"
