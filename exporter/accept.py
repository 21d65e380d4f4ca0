"""What a client takes, and what it takes most gladly: its `Accept` and `Accept-Encoding` headers (RFC 9110, 12.5).

`telemetry.negotiation` chooses an exposition format by it, the room of `/metrics` whether it is to be JSON.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

HEADER_LIMIT_CHARACTERS = 4096

Rank = tuple[float, int, int]
"""How gladly something is taken, to be compared: its q-value, how exactly it was named, and how early (negative)."""
NOT_TAKEN: Rank = (0.0, 0, 0)


@dataclass(frozen=True, slots=True)
class Range:
    """One element of such a header."""

    name: str
    """In lower case; a media range in `Accept`."""
    parameters: Mapping[str, str]
    """Names in lower case, values without quotation marks; `q` is among them."""
    quality: float
    """The q-value, 0 to 1: 1 where there is none, 0 where it is nonsense."""


def read_ranges(header: str | None) -> Iterator[Range]:
    """The elements of a header, in the client's order; nothing behind `HEADER_LIMIT_CHARACTERS` is read."""
    for element in (header or "")[:HEADER_LIMIT_CHARACTERS].split(","):
        name, *rest = (part.strip() for part in element.split(";"))
        if name:
            pairs = (part.partition("=") for part in rest)
            parameters = {key.strip().lower(): value.strip().strip('"') for key, _, value in pairs}
            yield Range(name.lower(), parameters, _quality(parameters.get("q")))


def specificity(media_type: str, wanted: Range) -> int | None:
    """How exactly a range names a media type: 2 by name, 1 for `type/*`, 0 for `*/*`; None: not at all."""
    if wanted.name == media_type:
        return 2
    if wanted.name == media_type.partition("/")[0] + "/*":
        return 1
    return 0 if wanted.name == "*/*" else None


def prefers(header: str | None, media_type: str, others: Sequence[str]) -> bool:
    """Whether an `Accept` header wants a media type more than each of the others: by q-value, then because it is named
    more exactly, then because it comes first. Parameters of media types do not matter."""
    ranges = list(read_ranges(header))
    mine = _rank(media_type, ranges)
    return mine[0] > 0 and all(mine > _rank(other, ranges) for other in others)


def _rank(media_type: str, ranges: Sequence[Range]) -> Rank:
    """By the ranges that name it most exactly, the best of them."""
    found = [(specificity(media_type, each), each.quality, -place) for place, each in enumerate(ranges)]
    ranks = [(exactness, quality, place) for exactness, quality, place in found if exactness is not None]
    exactness, quality, place = max(ranks, default=(0, 0.0, 0))
    return (quality, exactness, place) if quality > 0 else NOT_TAKEN


def _quality(text: str | None) -> float:
    if text is None:
        return 1.0
    try:
        quality = float(text)
    except ValueError:
        return 0.0
    return quality if 0.0 <= quality <= 1.0 else 0.0
