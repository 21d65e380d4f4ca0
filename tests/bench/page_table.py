"""What the built-in page costs as plain text, for `report`. Pure: figures in, lines out."""

from __future__ import annotations

from statistics import median

from tests.bench.arithmetic import MICRO, middle
from tests.bench.page import CHUNKS, NOBODY, PACE_SECONDS, STREAMS, PageResult, Watched
from tests.bench.table import align, number, with_spread

MILLI = MICRO / 1000
HEADING = ("page", "CPU ms/s", "more ms/s", "from", "to", "answers/s", "KB/s", "messages/s", "KB/s")


def render_page(result: PageResult) -> str:
    """All of it."""
    sizes = result.sizes
    rate = STREAMS / (CHUNKS * PACE_SECONDS)
    quiet = [one for one in result.watched if not one.situation.traffic]
    busy = [one for one in result.watched if one.situation.traffic]
    parts = [
        align([HEADING, *map(_line, quiet)], left=1),
        [f"with {rate:.0f} streams a second, {STREAMS} at a time:"],
        align([HEADING, *map(_line, busy)], left=1),
        [
            f"the page: {sizes.files} files, {sizes.plain_bytes / 1000:.1f} KB,"
            f" {sizes.sent_bytes / 1000:.1f} KB as they are sent"
        ],
        [
            "CPU ms/s: CPU time of the sidecar in each second; ~: how far the rounds lay apart. more: than without a"
            " page in the same round, median, least and most. answers, messages of streams: of one page."
        ],
    ]
    return "\n\n".join("\n".join(part) for part in parts)


def _line(one: Watched) -> tuple[str, ...]:
    wire = one.wire
    more = [each * MILLI for each in one.differences]
    is_base = one.situation.name == NOBODY
    return (
        one.situation.name,
        with_spread(middle([each.cpu_share * MILLI for each in one.rounds])),
        *("-" if is_base else number(each) for each in (median(more), min(more), max(more))),
        *(
            "-" if is_base else number(each)
            for each in (wire.answers, wire.answer_bytes / 1000, wire.messages, wire.message_bytes / 1000)
        ),
    )
