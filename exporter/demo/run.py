"""`llama-exporter demo`: a real llama.cpp engine, the sidecar in front of it, clients, and a live summary.

`cli` calls `demo`. Everything runs on this machine, in three processes, and is gone when it returns.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exporter import listeners
from exporter.demo.engine import Engine, EngineOptions
from exporter.demo.model import DEFAULT_SEED, cached_model, extra
from exporter.demo.process import Child
from exporter.demo.sidecar import Address, Sidecar
from exporter.demo.traffic import TrafficCounts, run_traffic
from exporter.errors import StartupError
from exporter.tasks import cancel, spawn

if TYPE_CHECKING:
    from rich.console import Console

WATCH_SECONDS = 0.1
EXTRA = ("xllamacpp", "gguf", "numpy", "rich")


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What the demo does."""

    proxy: Address
    admin: Address
    cache_dir: Path
    """Where the model is kept."""
    duration_seconds: float | None = None
    """None: until Ctrl-C or SIGTERM."""
    users: int = 6
    think_seconds: float = 1.0
    """Mean pause of a user between two requests."""
    seed: int = DEFAULT_SEED
    layers: int = 6
    embedding: int = 256
    """A model slow enough for figures like those of a real one: hundreds of tokens/s on one core, not thousands."""


def demo(duration: float | None, proxy_listen: str, admin_listen: str, cache_dir: Path) -> int:
    """Run the demo for `duration` seconds, or until Ctrl-C; returns the exit code 0.

    Raises StartupError, with one line for the operator, when a part is missing, cannot start, or dies.
    """
    for module in EXTRA:
        extra(module)
    from rich.console import Console  # noqa: PLC0415 - only the demo extra has it

    options = DemoOptions(
        proxy=Address.parse(proxy_listen),
        admin=Address.parse(admin_listen),
        cache_dir=cache_dir,
        duration_seconds=duration,
    )
    asyncio.run(run_demo(options, Console()))
    return 0


async def run_demo(options: DemoOptions, console: Console) -> TrafficCounts:
    """Start everything, wait for the end, stop everything in reverse order. Raises StartupError."""
    for address in (options.proxy, options.admin):
        check_free(address)
    counts = TrafficCounts()
    with _stop_signals() as stop:
        model = cached_model(options.cache_dir, layers=options.layers, embedding=options.embedding)
        engine = Engine(EngineOptions(model=model, parallel=max(2, options.users - 2)))
        async with engine:
            sidecar = Sidecar(upstream_url=engine.url, proxy=options.proxy, admin=options.admin)
            async with sidecar:
                started = time.monotonic()
                console.print(introduction(options, engine.url), highlight=False, soft_wrap=True)
                await _run(options, console, counts, (engine, sidecar), stop)
    console.print(conclusion(counts, time.monotonic() - started), highlight=False, soft_wrap=True)
    return counts


async def _run(
    options: DemoOptions, console: Console, counts: TrafficCounts, servers: Sequence[Child], stop: asyncio.Event
) -> None:
    """Clients and summary, until the end or until a server dies."""
    from exporter.demo.summary import show  # noqa: PLC0415 - needs the demo extra

    users = run_traffic(
        options.proxy.url, seed=options.seed, users=options.users, pace=options.think_seconds, counts=counts
    )
    tasks: list[asyncio.Task[Any]] = [
        spawn(users, name="demo traffic"),
        spawn(show(f"{options.admin.url}/metrics", links(options), console), name="demo summary"),
    ]
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(options.duration_seconds):
                while not stop.is_set():
                    _check(servers, tasks)
                    with suppress(TimeoutError):
                        await asyncio.wait_for(stop.wait(), WATCH_SECONDS)
    finally:
        for task in reversed(tasks):
            await cancel(task)


def _check(servers: Sequence[Child], tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Raise StartupError when a server has died, and whatever ended the traffic or the summary."""
    for server in servers:
        if not server.running:
            raise StartupError(f"the {server.name} died: {server.last_words()}")
    for task in tasks:
        if task.done():
            task.result()


def check_free(address: Address) -> None:
    """Raise StartupError when nobody could listen there, most likely because somebody does.

    Without this the sidecar's own failure could be missed: whoever has the port might answer for it.
    """
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        socket.create_server((address.host, address.port), family=family).close()
    except OSError as error:
        reason = listeners.explain(error)
        raise StartupError(f"{address.text}: {reason}; see --proxy-listen and --admin-listen") from None


@contextmanager
def _stop_signals() -> Iterator[asyncio.Event]:
    """An event that SIGINT and SIGTERM set, instead of what they did."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    signals = (signal.SIGINT, signal.SIGTERM)
    for number in signals:
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


def links(options: DemoOptions) -> dict[str, str]:
    """What there is to open."""
    return {"proxy": options.proxy.url, "metrics": f"{options.admin.url}/metrics"}


def introduction(options: DemoOptions, engine_url: str) -> str:
    """The lines before the summary: what runs where, and commands to try."""
    body = '{"messages": [{"role": "user", "content": "hello"}], "max_tokens": 24, "stream": true}'
    return "\n".join(
        [
            f"llama.cpp with a tiny random model on {engine_url}, the sidecar's proxy on {options.proxy.url}.",
            "Try, in another terminal:",
            f"  curl {options.proxy.url}/v1/chat/completions -d '{body}'",
            f"  curl -s {options.admin.url}/metrics | grep time_to_first_token",
            "",
        ]
    )


def conclusion(counts: TrafficCounts, seconds: float) -> str:
    """The closing line: what the clients saw."""
    results = ", ".join(f"{count} {result.value}" for result, count in counts.by_result().items())
    seen = f"{results} (some were wrong on purpose)" if results else "none was answered"
    return f"The clients sent {counts.total} requests in {seconds:.0f} s: {seen}."
