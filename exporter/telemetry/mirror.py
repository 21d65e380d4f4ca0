"""llama-server's own metrics under their own names, so that dashboards made for it keep working.

`snapshot` calls it at each scrape. Samples come from other processes: what is odd is left out, and never an error.
Labels say which upstream, tier and model a sample is from; samples of one name from several upstreams make one family.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from exporter.system.snapshot import LlamaServerSnapshot, MirroredSample
from exporter.telemetry.catalog import Feed, Kind, Metric
from exporter.telemetry.guard import clean
from exporter.telemetry.sampled import Sampled

LABELS = ("upstream", "tier", "model")
HELP_LIMIT_CHARACTERS = 1024

_NAME = re.compile(r"llamacpp:[a-zA-Z0-9_]+")
_LABEL = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*")
_TOTAL = "_total"


@dataclass(slots=True)
class _Family:
    """Samples of one name as they are gathered, by their label sets: a second one with the same labels is left out."""

    first: MirroredSample
    rows: dict[tuple[tuple[str, str], ...], float] = field(default_factory=dict)

    @property
    def kind(self) -> Kind:
        # llama-server calls `n_tokens_max`, a maximum, a counter; OpenMetrics would have to add `_total` to its name.
        return Kind.COUNTER if self.first.type == "counter" and self.first.name.endswith(_TOTAL) else Kind.GAUGE

    @property
    def base_name(self) -> str:
        return self.first.name.removesuffix(_TOTAL) if self.kind is Kind.COUNTER else self.first.name

    @property
    def names(self) -> set[str]:
        """All names that the family occupies in an exposition."""
        created = {self.base_name + "_created", self.first.name} if self.kind is Kind.COUNTER else set()
        return {self.base_name, *created}


def mirrored_families(servers: Iterable[LlamaServerSnapshot]) -> Iterator[Sampled]:
    """The mirrored families of all upstreams, in the order in which their names are first seen."""
    taken: set[str] = set()
    for family in _gather(servers):
        if family.rows and taken.isdisjoint(family.names):
            taken |= family.names
            yield _sampled(family)


def _gather(servers: Iterable[LlamaServerSnapshot]) -> Iterable[_Family]:
    families: dict[str, _Family] = {}
    for server in servers:
        for model in server.models:
            ours = {"upstream": server.upstream, "tier": server.tier, "model": clean(model.id)}
            for sample in model.mirrored:
                if _NAME.fullmatch(sample.name):
                    _add(families.setdefault(sample.name, _Family(sample)), sample, ours)
    return families.values()


def _add(family: _Family, sample: MirroredSample, ours: dict[str, str]) -> None:
    if family.kind is Kind.COUNTER and not 0 <= sample.value < math.inf:
        return  # No counter: OpenMetrics forbids it, and NaN would poison every rate.
    theirs = {name: clean(value) for name, value in sample.labels if _LABEL.fullmatch(name)}
    family.rows.setdefault(tuple(sorted({**theirs, **ours}.items())), sample.value)


def _sampled(family: _Family) -> Sampled:
    names = tuple(dict.fromkeys((*LABELS, *(name for labels in family.rows for name, _ in labels))))
    metric = Metric(family.base_name, family.kind, _help(family.first), Feed.SERVER, labels=names)
    rows = ((dict(labels), value) for labels, value in family.rows.items())
    return Sampled(metric, ((tuple(labels.get(name, "") for name in names), value) for labels, value in rows))


def _help(sample: MirroredSample) -> str:
    return clean(sample.help, HELP_LIMIT_CHARACTERS) or "Mirrored from llama-server."
