"""Which exposition format a scraper wants, and whether compressed: its `Accept` and `Accept-Encoding` headers.

`exposition` calls it; `exporter.accept` reads the headers. q-values are honoured, a more specific media range counts
before a wildcard, and among equals the client's order decides. A header that names nothing we have is answered in
Prometheus text 0.0.4, which all can read.
"""

from __future__ import annotations

from dataclasses import dataclass

from exporter.accept import NOT_TAKEN, Range, read_ranges, specificity

TEXT = "text/plain"
OPENMETRICS = "application/openmetrics-text"
ESCAPINGS = frozenset({"allow-utf-8", "underscores", "dots", "values"})


@dataclass(frozen=True, slots=True)
class Format:
    """One format as negotiated."""

    media_type: str
    version: str
    escaping: str | None = None
    """How names outside the old character set are to be written; None when the client did not ask."""

    @property
    def openmetrics(self) -> bool:
        """Whether it is OpenMetrics, not Prometheus text."""
        return self.media_type == OPENMETRICS

    @property
    def content_type(self) -> str:
        """The `Content-Type` of the answer; an escaping is named only to those who asked for one."""
        escaping = f"; escaping={self.escaping}" if self.escaping else ""
        return f"{self.media_type}; version={self.version}; charset=utf-8{escaping}"


OFFERS = (Format(TEXT, "0.0.4"), Format(OPENMETRICS, "1.0.0"), Format(OPENMETRICS, "0.0.1"), Format(TEXT, "1.0.0"))
"""What we have, the preferred first; the first of a media type is the one meant where no version is asked for."""
DEFAULT = OFFERS[0]


def negotiate(accept: str | None) -> Format:
    """The format to answer in."""
    ranges = list(read_ranges(accept))
    best, best_rank = DEFAULT, NOT_TAKEN
    for offer in OFFERS:
        match = _match(offer, ranges)
        if match is None:
            continue
        position, exactness = match
        rank = (ranges[position].quality, exactness, -position)
        if rank[0] > 0 and rank > best_rank:
            best = Format(offer.media_type, offer.version, _escaping(ranges[position], offer))
            best_rank = rank
    return best


def accepts_gzip(accept_encoding: str | None) -> bool:
    """Whether the answer may be compressed with gzip, and is not wanted less than uncompressed."""
    qualities = {encoding.name: encoding.quality for encoding in read_ranges(accept_encoding)}
    gzip = qualities.get("gzip", qualities.get("x-gzip", qualities.get("*", 0.0)))
    return gzip > 0 and gzip >= qualities.get("identity", 0.0)


def _match(offer: Format, ranges: list[Range]) -> tuple[int, int] | None:
    """Position and specificity of the range that decides: 3 with version, 2 without, 1 and 0 for wildcards."""
    matches = [(position, _specificity(offer, each)) for position, each in enumerate(ranges)]
    matching = [(position, exactness) for position, exactness in matches if exactness is not None]
    return max(matching, key=lambda match: (match[1], -match[0]), default=None)


def _specificity(offer: Format, wanted: Range) -> int | None:
    exactness, version = specificity(offer.media_type, wanted), wanted.parameters.get("version")
    if exactness != 2:
        return exactness
    if version is not None:
        return 3 if version == offer.version else None
    return 2 if offer in (OFFERS[0], OFFERS[1]) else None


def _escaping(wanted: Range, offer: Format) -> str | None:
    escaping = wanted.parameters.get("escaping")
    return escaping if wanted.name == offer.media_type and escaping in ESCAPINGS else None
