"""`llama-exporter demo`: three real llama.cpp engines, the sidecar in front of them, clients, an engine that dies and
comes back, and a live summary.

`cli` calls `demo`. Everything runs on this machine, in five processes, and is gone when it returns.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from exporter import listeners
from exporter.demo.engines import SIZES, Engines, Size, engines_of
from exporter.demo.kinds import Kind
from exporter.demo.model import DEFAULT_SEED, extra
from exporter.demo.outage import run_outages, schedule
from exporter.demo.plan import AUTO
from exporter.demo.process import Child
from exporter.demo.sidecar import Address, Sidecar
from exporter.demo.traffic import TrafficCounts, run_traffic
from exporter.errors import StartupError
from exporter.tasks import cancel, spawn

if TYPE_CHECKING:
    from rich.console import Console

WATCH_SECONDS = 0.1
Work = Coroutine[Any, Any, object]
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
    outage: bool = True
    """Whether an engine is killed now and then, and started again."""
    users: int = 8
    think_seconds: float = 1.0
    """Mean pause of a user between two requests."""
    seed: int = DEFAULT_SEED
    sizes: tuple[Size, ...] = SIZES
    """The engines, from cheap to capable."""
    slots: int = 2
    """Of each engine."""

    @property
    def victim(self) -> str:
        """The tier whose engine is killed: one with another above and below it."""
        return self.sizes[len(self.sizes) // 2].tier


def demo(duration: float | None, proxy_listen: str, admin_listen: str, cache_dir: Path, *, outage: bool = True) -> int:
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
        outage=outage,
    )
    asyncio.run(run_demo(options, Console()))
    return 0


async def run_demo(options: DemoOptions, console: Console) -> TrafficCounts:
    """Start everything, wait for the end, stop everything in reverse order. Raises StartupError."""
    for address in (options.proxy, options.admin):
        check_free(address)
    counts = TrafficCounts()
    with _stop_signals() as stop, TemporaryDirectory(prefix="llama-exporter-demo-") as folder:
        store = Path(folder) / "history.db"
        async with engines_of(options.sizes, options.cache_dir, parallel=options.slots) as engines:
            sidecar = Sidecar(upstreams=engines.urls, proxy=options.proxy, admin=options.admin, store=store)
            async with sidecar:
                started = time.monotonic()
                console.print(introduction(options, engines.urls), highlight=False, soft_wrap=True)
                works = _works(options, console, counts, engines)
                await _run(works, options.duration_seconds, engines, sidecar, stop)
    console.print(conclusion(counts, time.monotonic() - started), highlight=False, soft_wrap=True)
    return counts


async def _run(
    works: Mapping[str, Work], duration_seconds: float | None, engines: Engines, sidecar: Child, stop: asyncio.Event
) -> None:
    """Clients, outages and summary, until the end or until a server dies."""
    tasks = [spawn(work, name=f"demo {name}") for name, work in works.items()]
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(duration_seconds):
                while not stop.is_set():
                    _check(engines, sidecar, tasks)
                    with suppress(TimeoutError):
                        await asyncio.wait_for(stop.wait(), WATCH_SECONDS)
    finally:
        for task in reversed(tasks):
            await cancel(task)


def _works(options: DemoOptions, console: Console, counts: TrafficCounts, engines: Engines) -> dict[str, Work]:
    """What goes on at the same time, by name."""
    from exporter.demo.summary import News, show  # noqa: PLC0415 - needs the demo extra

    news = News()
    works: dict[str, Work] = {
        "traffic": run_traffic(
            options.proxy.url,
            seed=options.seed,
            users=options.users,
            pace=options.think_seconds,
            kinds=frozenset(Kind),
            model=AUTO,
            counts=counts,
        ),
        "summary": show(f"{options.admin.url}/metrics", links(options), news, console),
    }
    if options.outage:
        times = schedule(options.duration_seconds)
        works["outages"] = run_outages(engines, options.victim, times, news.add)
    return works


def _check(engines: Engines, sidecar: Child, tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Raise StartupError when a server has died, and whatever ended one of the tasks."""
    engines.check()
    if not sidecar.running:
        raise StartupError(f"the {sidecar.name} died: {sidecar.last_words()}")
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


def introduction(options: DemoOptions, urls: Mapping[str, str]) -> str:
    """The lines before the summary: what runs where, and commands to try."""
    body = '{"model": "%s", "messages": [{"role": "user", "content": "%s"}], "max_tokens": 24}'
    chat = f"  curl -i {options.proxy.url}/v1/chat/completions -d '{body}'"
    engines = ", ".join(f"{tier} on {url}" for tier, url in urls.items())
    return "\n".join(
        [
            f"llama.cpp with tiny random models: {engines}; the sidecar's proxy on {options.proxy.url}.",
            *([_announcement(options)] if options.outage else []),
            "Try, in another terminal (the X-Routing headers of the answer tell who it is from):",
            chat % (AUTO, "hello"),
            chat % (AUTO, "Analyze step by step whether a prompt cache pays off."),
            chat % (options.sizes[-1].alias, "hello"),
            f"  curl -s {options.admin.url}/metrics | grep routing_decisions",
            f"Or open {options.admin.url}/monitoring in a browser: what is happening now.",
            "",
        ]
    )


def _announcement(options: DemoOptions) -> str:
    times, duration = schedule(options.duration_seconds), options.duration_seconds
    again = duration is None or duration > times.first_after + times.every
    return (
        f"{options.victim} is killed after {times.first_after:.0f} s and started again {times.lasts:.0f} s later"
        f"{f', every {times.every:.0f} s' if again else ''}."
    )


def conclusion(counts: TrafficCounts, seconds: float) -> str:
    """The closing line: what the clients saw, and whether they should have."""
    results = ", ".join(f"{count} {result.value}" for result, count in counts.by_result().items())
    seen = f"{results} (some were wrong on purpose)" if results else "none was answered"
    line = f"The clients sent {counts.total} requests in {seconds:.0f} s: {seen}."
    trouble = []
    if counts.cut_off:
        trouble.append(f"{counts.cut_off} cut off in the middle of the answer, where no other engine can go on")
    if counts.failed:
        trouble.append(f"{counts.failed} not answered as they should have been")
    return f"{line} Not on purpose: {'; '.join(trouble)}." if trouble else line
