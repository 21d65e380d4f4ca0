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
from exporter.telemetry.sampled import Row, Sampled

LABELS = ("upstream", "tier", "model")
HELP_LIMIT_CHARACTERS = 1024

_NAME = re.compile(r"llamacpp:[a-zA-Z0-9_]+")
_LABEL = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*")
_TOTAL = "_total"


@dataclass(slots=True)
class _Family:
    """Samples of one name as they are gathered, each with the values of `LABELS`."""

    first: MirroredSample
    members: list[tuple[tuple[str, str, str], MirroredSample]] = field(default_factory=list)

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
        if taken.isdisjoint(family.names):
            taken |= family.names
            yield _sampled(family)


def _gather(servers: Iterable[LlamaServerSnapshot]) -> Iterable[_Family]:
    families: dict[str, _Family] = {}
    for server in servers:
        for model in server.models:
            ours = server.upstream, model.tier, clean(model.id)
            for sample in model.mirrored:
                family = families.get(sample.name)
                if family is None:
                    if not _NAME.fullmatch(sample.name):
                        continue
                    family = families[sample.name] = _Family(sample)
                family.members.append((ours, sample))
    return families.values()


def _sampled(family: _Family) -> Sampled:
    theirs = {name: None for _, sample in family.members for name, _ in sample.labels if _is_theirs(name)}
    metric = Metric(family.base_name, family.kind, _help(family.first), Feed.SERVER, labels=(*LABELS, *theirs))
    return Sampled(metric, _rows(family, tuple(theirs)))


def _rows(family: _Family, theirs: tuple[str, ...]) -> Iterator[Row]:
    """Label values and values, made as they are read; a second sample with the same labels is left out."""
    is_counter = family.kind is Kind.COUNTER
    seen: set[tuple[str, ...]] = set()
    for ours, sample in family.members:
        if is_counter and not 0 <= sample.value < math.inf:
            continue  # No counter: OpenMetrics forbids it, and NaN would poison every rate.
        given = dict(sample.labels)
        labels = (*ours, *(clean(given.get(name, "")) for name in theirs))
        if labels not in seen:
            seen.add(labels)
            yield labels, sample.value


def _is_theirs(name: str) -> bool:
    return name not in LABELS and _LABEL.fullmatch(name) is not None


def _help(sample: MirroredSample) -> str:
    return clean(sample.help, HELP_LIMIT_CHARACTERS) or "Mirrored from llama-server."
