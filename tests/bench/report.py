"""All that one run of the benchmark found, for people and for programs. `__main__` fills it in."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass
from typing import Any

from tests.bench import table
from tests.bench.live import LiveResult
from tests.bench.models import ModelsResult
from tests.bench.models_table import render_models
from tests.bench.otel import OtelResult
from tests.bench.page import PageResult
from tests.bench.page_table import render_page
from tests.bench.rounds import Results
from tests.bench.routing import Comparison
from tests.bench.scrape import SERIES_WANTED, GapResult, MemoryResult
from tests.bench.store import StoreResult
from tests.bench.summary import Row


@dataclass(slots=True)
class Report:
    """All that one run found."""

    rows: list[Row]
    results: Results
    gap: GapResult | None
    memory: MemoryResult | None
    routing: list[Comparison]
    """Empty when it was not asked for."""
    store: StoreResult | None
    otel: OtelResult | None
    live: LiveResult | None
    models: ModelsResult | None
    page: PageResult | None
    complaints: list[str]
    """What could not be measured, or was wrong."""
    load_averages: tuple[float, float]
    """Of the machine in the last minute, before and after the run: latencies on a busy one are not ours alone."""

    def text(self) -> str:
        """For people."""
        loads = " and ".join(f"{one:.1f}" for one in self.load_averages)
        machine = f"{platform.platform()}, {os.cpu_count()} CPUs, Python {platform.python_version()}"
        parts = [f"{machine}; load average before and after: {loads}"]
        if self.rows:
            parts.append(table.render(self.rows))
        if self.gap is not None:
            parts.append(table.render_gap(self.gap, SERIES_WANTED))
        if self.routing:
            parts.append(table.render_routing(self.routing))
        if self.store is not None:
            parts.append(table.render_store(self.store))
        if self.otel is not None:
            parts.append(table.render_otel(self.otel))
        if self.memory is not None:
            parts.append(table.render_memory(self.memory))
        if self.live is not None:
            parts.append(table.render_live(self.live))
        if self.models is not None:
            parts.append(render_models(self.models))
        if self.page is not None:
            parts.append(render_page(self.page))
        return "\n\n".join([*parts, *self.complaints])

    def document(self) -> dict[str, Any]:
        """For programs: everything, each round included."""
        return {
            "machine": {"platform": platform.platform(), "cpus": os.cpu_count(), "python": platform.python_version()},
            "load_averages": self.load_averages,
            "rows": [asdict(row) | {"met": row.met} for row in self.rows],
            "rounds": {case: {name: asdict(one) for name, one in by.items()} for case, by in self.results.items()},
            "gap": None if self.gap is None else asdict(self.gap),
            "routing": [asdict(one) | {"difference": one.difference, "met": one.met} for one in self.routing],
            "store": None if self.store is None else asdict(self.store),
            "otel": None if self.otel is None else asdict(self.otel),
            "memory": None if self.memory is None else asdict(self.memory),
            "live": None if self.live is None else asdict(self.live),
            "models": None if self.models is None else asdict(self.models),
            "page": None if self.page is None else asdict(self.page),
            "complaints": self.complaints,
        }
