"""What `llama-exporter store check` says: figures and complaints as lines. `commands` fills it; it is pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from exporter.dates import write_time
from exporter.store.check import Difference, TotalsKey
from exporter.store.spans import DAY, HOUR, MINUTE
from exporter.store.sums import KEYS

LINES = 20
"""Of one list, at most."""
NAMES = {DAY: "day", HOUR: "hour", MINUTE: "minute"}
UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


@dataclass(slots=True)
class Report:
    """Filled while the check goes on."""

    place: str
    """Without secrets."""
    revision: str
    size_bytes: int | None = None
    kept_since_us: int = 0
    samples: int = 0
    days: int = 0
    requests: Counter[str] = field(default_factory=Counter)
    """By sidecar."""
    oldest_us: int | None = None
    newest_us: int | None = None
    damages: Sequence[str] | None = None
    """What SQLite says is wrong with its file; None for a server, of which nothing is asked."""
    differences: list[Difference] = field(default_factory=list)
    """The first of them."""
    differing: int = 0
    """Roll-ups that are not what their rows add up to."""
    too_small: Sequence[TotalsKey] = ()
    """Running totals that are less than their requests."""
    too_large: Sequence[TotalsKey] = ()
    """Running totals that are more than their requests, although none was ever deleted."""

    @property
    def well(self) -> bool:
        """Whether all is well."""
        return not (self.damages or self.differing or self.too_small or self.too_large)

    def lines(self) -> Iterator[str]:
        """The whole report."""
        size = "" if self.size_bytes is None else f", {write_size(self.size_bytes)}"
        yield f"{self.place}: revision {self.revision}{size}"
        yield from self._figures()
        if self.damages is not None:
            yield from _finding("file", "sound", "damaged", len(self.damages), self.damages)
        sums = [describe(difference) for difference in self.differences]
        yield from _finding(
            "roll-ups", f"equal to their requests, on {_many(self.days, 'day')}", "wrong", self.differing, sums
        )
        wrong = [f"{_name(key)}: less than its requests" for key in self.too_small]
        wrong += [f"{_name(key)}: more than its requests, and none was ever deleted" for key in self.too_large]
        yield from _finding("totals", "no less than their requests", "wrong", len(wrong), wrong)

    def _figures(self) -> Iterator[str]:
        if self.kept_since_us:
            yield _line("kept", f"what finished since {write_time(self.kept_since_us)}")
        period = ""
        if self.oldest_us is not None and self.newest_us is not None:
            period = f", from {write_time(self.oldest_us)} to {write_time(self.newest_us)}"
        yield _line("requests", f"{self.requests.total():,}{period}")
        yield from _bounded([f"{count:,} of {name}" for name, count in self.requests.most_common()])
        yield _line("samples", f"{self.samples:,}")


def describe(difference: Difference) -> str:
    """One line."""
    names = ("instance", *(name for name in KEYS if name != "instance"))
    keys = dict(zip(KEYS, difference.keys, strict=True))
    where = ", ".join(f"{name} {keys[name]}" for name in names if keys[name] not in ("", 0, None))
    return f"{NAMES[difference.step]} {write_time(difference.start_us)[:16]}Z, {where}: {_what(difference)}"


def _what(difference: Difference) -> str:
    stored, counted = difference.sums.get("requests", (None, None))
    if stored == 0:
        return f"missing; there are requests: {counted}"
    if counted == 0:
        return f"there are no such requests; it says {stored}"
    return "; ".join(f"{name} {have}, should be {is_}" for name, (have, is_) in difference.sums.items())


def write_size(size_bytes: float) -> str:
    """`12.3 MiB`."""
    unit = 0
    while size_bytes >= 1024 and unit < len(UNITS) - 1:
        size_bytes, unit = size_bytes / 1024, unit + 1
    return f"{size_bytes:,.1f} {UNITS[unit]}" if unit else f"{size_bytes:,} {UNITS[0]}"


def _finding(name: str, well: str, ill: str, found: int, details: Sequence[str]) -> Iterator[str]:
    if not found:
        yield _line(name, well)
        return
    yield _line(name, f"{ill.upper()}: {found:,}" if found > 1 else ill.upper())
    yield from _bounded(details, found)


def _bounded(lines: Sequence[str], found: int | None = None) -> Iterator[str]:
    yield from (f"  {line}" for line in lines[:LINES])
    more = (len(lines) if found is None else found) - min(len(lines), LINES)
    if more > 0:
        yield f"  and {more:,} more"


def _line(name: str, text: str) -> str:
    return f"{name:<10}{text}"


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def _name(key: TotalsKey) -> str:
    instance, provider, model, stream = key
    return ", ".join(part for part in (instance, provider, model, "streamed" if stream else "not streamed") if part)
