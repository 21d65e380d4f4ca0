"""Tiers: the one that a quantization stands for, and their order from cheap to capable. Pure.

`app` has the poller of each upstream derive tiers with `tier_of`; `choice` and `fleet` go by a `TierOrder`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

from exporter.settings.routing import QUANTIZATION_TIERS, UNKNOWN_TIER

_SUFFIXES = r"(?:_[A-Z0-9]+)*"
_QUANTIZATION = re.compile(
    r"(?:\(guessed\) )?(?:all |mostly )?(?:UD-)?"
    rf"(?:[IT]?Q(?P<bits>[1-8]){_SUFFIXES}|(?P<four>(?:MX|NV)FP4){_SUFFIXES}|(?P<half>BF16|FP?16)|(?P<full>FP?32))"
    r"(?: mix| MoE)?(?: - .*)?",
    re.IGNORECASE,
)
"""A published name (`UD-Q4_K_XL`), or what llama-server says of the tensors (`Q4_K - Medium`, `IQ3_S mix - 3.66 bpw`,
`all F32`, `MXFP4 MoE`; older builds: `mostly Q4_0`), guessed or not."""

Key = tuple[float, str]


def tier_of(quantization: str | None) -> str | None:
    """The bits of a quantization as a tier: `IQ4_XS` is Q4, `BF16` is F16. None for what is no quantization."""
    match = _QUANTIZATION.fullmatch(quantization or "")
    if match is None:
        return None
    if match["bits"]:
        return f"Q{match['bits']}"
    return "Q4" if match["four"] else "F16" if match["half"] else "F32"


class TierOrder:
    """The order of all tiers, those that nobody configured included."""

    def __init__(self, names: Sequence[str]) -> None:
        """`names` are the configured tiers, from cheap to capable."""
        self.names = tuple(names)
        self._places = {name: place for place, name in enumerate(self.names)}
        bits = ((_bits(name), place) for name, place in self._places.items())
        self._bits = tuple((each, place) for each, place in bits if each is not None)

    def rank(self, tier: str) -> float:
        """Place from cheap to capable, above -1.

        Configured tiers are 0, 1, 2, ... A quantization that is none of them stands next to the configured
        quantization that has as many bits or the nearest fewer, else before the one with the fewest, else behind all
        configured tiers. Then come other names, and `unknown` at infinity.
        """
        place = self._places.get(tier)
        if tier == UNKNOWN_TIER:
            return math.inf
        if place is not None:
            return float(place)
        bits = _bits(tier)
        if bits is None:
            return len(self.names) + 1.0
        return self._place_before(bits) + bits / 64

    def fallback_order(self, wanted: str, tiers: Iterable[str]) -> list[str]:
        """`wanted`, then those of `tiers` that are more capable, the nearest first, then the cheaper ones, the nearest
        first, `unknown` last; each once."""
        ordered = sorted({*tiers} - {wanted}, key=self._key)
        known = [tier for tier in ordered if tier != UNKNOWN_TIER]
        capable = [tier for tier in known if self._key(tier) > self._key(wanted)]
        cheaper = known[: len(known) - len(capable)]
        return [wanted, *capable, *reversed(cheaper), *ordered[len(known) :]]

    def resolve(self, wanted: str, present: Iterable[str]) -> str:
        """`wanted` when it is present, else the first of its fallback order that is; `unknown` when there is none."""
        present = {*present}
        if wanted in present:
            return wanted
        return next(iter(self.fallback_order(wanted, present)[1:]), UNKNOWN_TIER)

    def _key(self, tier: str) -> Key:
        """Names of the same rank are told apart by the alphabet."""
        return self.rank(tier), tier

    def _place_before(self, bits: int) -> int:
        """The place behind which a quantization belongs that was not configured."""
        fewer = [each for each in self._bits if each[0] <= bits]
        if fewer:
            return max(fewer)[1]
        return min(self._bits)[1] - 1 if self._bits else len(self.names)


def _bits(name: str) -> int | None:
    tier = tier_of(name)
    return QUANTIZATION_TIERS[tier] if tier is not None else None
