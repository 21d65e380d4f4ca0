"""llama-server's own `/metrics` as samples to be mirrored under their own names. Pure; called by `model_watch`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from exporter.system.snapshot import MirroredSample

PREFIX = "llamacpp:"
"""Whatever else a server exposes (vLLM does; so does a reverse proxy) could clash with our own names."""
LIMIT_SAMPLES = 1000
TYPED = re.compile(r"^# TYPE (\S+) ", re.MULTILINE)
OURS = re.compile(rf"^(?:# (?:TYPE|HELP) )?{PREFIX}")


def parse_exposition(body: bytes) -> tuple[MirroredSample, ...]:
    """Samples whose name begins with `llamacpp:`, in their order; empty when there are none or the text is broken."""
    lines = [line for line in body.decode(errors="replace").split("\n") if OURS.match(line)]
    text = "\n".join([*lines, ""])
    names = frozenset(TYPED.findall(text))
    try:
        samples = [sample for family in text_string_to_metric_families(text) for sample in _samples(family, names)]
    except (ValueError, IndexError, KeyError):
        return ()
    return tuple(samples[:LIMIT_SAMPLES])


def _samples(family: Metric, names: frozenset[str]) -> Iterator[MirroredSample]:
    for sample in family.samples:
        name = sample.name
        # The parser gives every counter the suffix _total; llamacpp:n_tokens_max is one that has none.
        if name not in names and name.removesuffix("_total") in names:
            name = name.removesuffix("_total")
        labels = tuple(sorted(sample.labels.items()))
        yield MirroredSample(name, family.type, family.documentation, labels, sample.value)


def value_of(samples: Sequence[MirroredSample], name: str) -> int | None:
    """The whole number that `llamacpp:<name>` shows, without labels; None when it is missing."""
    for sample in samples:
        if sample.name == PREFIX + name and sample.value == sample.value // 1:
            return int(sample.value)
    return None


def counters(samples: Sequence[MirroredSample]) -> tuple[MirroredSample, ...]:
    """Those that change only when the model works."""
    return tuple(sample for sample in samples if sample.type == "counter")
