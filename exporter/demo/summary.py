"""The demo's live summary: it reads the admin listener's `/metrics` over HTTP, as any Prometheus would; nothing else.

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

from exporter.demo.figures import NAMES, Figures, Quantiles, figures
from exporter.demo.scrape import Scrape, parse

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


async def show(metrics_url: str, links: Mapping[str, str], console: Console) -> None:
    """Show the summary until cancelled. `links` are names and URLs for the top of the screen."""
    started = time.monotonic()
    async with httpx.AsyncClient(timeout=REFRESH_SECONDS * 2, trust_env=False) as http:
        reader = Reader(http, metrics_url)
        if console.is_terminal:
            with Live(console=console, auto_refresh=False) as live:
                while True:
                    now, trouble = await _read(reader)
                    live.update(screen(now, links, time.monotonic() - started, trouble), refresh=True)
                    await asyncio.sleep(REFRESH_SECONDS)
        await _read(reader)  # rates need one to begin with
        while True:
            await asyncio.sleep(PLAIN_SECONDS)
            now, trouble = await _read(reader)
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
            f"inter-token p50 {_seconds(now.inter_token.p50)} p95 {_seconds(now.inter_token.p95)}",
            " ".join(f"{count.outcome} {_number(count.total)}" for count in now.outcomes) or UNKNOWN,
            " ".join(f"{name} {_state(up)}" for name, up in now.upstreams) or UNKNOWN,
        ]
    )


def screen(now: Figures | None, links: Mapping[str, str], elapsed_seconds: float, trouble: str = "") -> Group:
    """The whole screen; fits 80 columns and 24 lines."""
    head = Table.grid(padding=(0, 2))
    for name, url in links.items():
        head.add_row(Text(name, style="bold"), Text(url, style=f"cyan link {url}", overflow="fold"))
    minutes, seconds = divmod(int(elapsed_seconds), 60)
    title = f"llama-exporter demo   {minutes}:{seconds:02}   Ctrl-C ends it"
    body = Text(trouble, style="red") if now is None else _body(now)
    return Group(Panel(head, title=title, title_align="left", box=box.ROUNDED), body)


def _body(now: Figures) -> Table:
    body = Table.grid(expand=True, padding=(0, 1))
    body.add_column(ratio=1)
    body.add_column(ratio=1)
    body.add_row(_traffic(now), _outcomes(now))
    body.add_row(_latency(now), _machine(now))
    return body


def _traffic(now: Figures) -> Table:
    table = _table("Traffic", "")
    table.add_row("requests", _number(now.requests))
    table.add_row("requests/s", _number(now.requests_per_second, 1))
    table.add_row("in flight", _number(now.in_flight))
    table.add_row("input tokens/s", _number(now.input_tokens_per_second))
    table.add_row("output tokens/s", _number(now.output_tokens_per_second))
    table.add_row("from prompt cache", _percent(now.cached_ratio))
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


def _machine(now: Figures) -> Table:
    table = _table("Upstream, machine", "")
    for name, up in now.upstreams:
        table.add_row(name, Text(_state(up), style="green" if up else "bold red"))
    if not now.upstreams:
        table.add_row("upstream", UNKNOWN)
    table.add_row("slots busy", f"{_number(now.slots_processing)} of {_number(now.slots)}")
    table.add_row("CPU", _percent(now.cpu_ratio))
    table.add_row("memory", f"{_gibi(now.memory_used_bytes)} of {_gibi(now.memory_total_bytes)} GiB")
    return table


def _table(name: str, *columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, expand=True, pad_edge=False)
    table.add_column(name, overflow="ellipsis", no_wrap=True, ratio=1)  # gives way, so that values are shown whole
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


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


def _state(up: bool) -> str:
    return "up" if up else "down"
