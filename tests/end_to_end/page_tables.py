"""What the tables of the built-in page are to show, going by the documents of the API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from playwright.sync_api import Locator

from tests.end_to_end.page_expected import count, part, seconds, size, speed
from tests.end_to_end.page_reader import UNKNOWN, Expected, complaints
from tests.end_to_end.page_world import PageWorld

Row = Mapping[str, Any]
Cells = Sequence[str]
OPENER = "▸"
PARTS = """(detail) => [...detail.querySelectorAll("[data-part], [data-fact]")].map(
  (node) => [node.dataset.part ?? node.dataset.fact, node.innerText])"""


def model_rows(world: PageWorld, rows: Sequence[Cells]) -> list[str]:
    """What is wrong with the table of models."""
    return _compare([_model(each) for each in world.document("/monitoring/models")["models"]], rows)


def card_texts(upstream: Row) -> list[str]:
    """What the card of a llama-server tells beside figures."""
    since = datetime.fromisoformat(upstream["since"]).astimezone(UTC)
    return [upstream["name"], ", ".join(upstream["tiers"]), f"since {since:%H:%M:%S}"]


def finished_rows(world: PageWorld, rows: Sequence[Cells], wanted: Sequence[Row] | None = None) -> list[str]:
    """What is wrong with the list of finished requests: all of them, or those that are wanted."""
    return _compare([_finished(each) for each in (world.finished() if wanted is None else wanted)], rows)


def active_rows(world: PageWorld, rows: Sequence[Cells]) -> list[str]:
    """What is wrong with the table of requests in flight: the oldest stands first. Their age is left out."""
    placed = {each["request_id"]: each for each in world.document("/monitoring/now")["in_flight"]}
    active = world.document("/metrics/active-requests")["active_requests"][::-1]
    expected = [_active(each, placed[each["request_id"]]) for each in active if each["request_id"] in placed]
    return _compare(expected, [[*cells[:3], *cells[4:]] for cells in rows])


def parts_of(detail: Locator) -> dict[str, str]:
    """Names and texts of a timeline and its facts."""
    return dict(detail.evaluate(PARTS))


def part_complaints(request: Row, shown: Mapping[str, str]) -> list[str]:
    """What is wrong with the timeline of a finished request, as far as anybody tells."""
    line = request["timeline"]
    expected: dict[str, Expected] = {"Total": seconds(request["duration_seconds"])}
    expected["Request id"] = request["request_id"]
    expected["Trace id"] = request["trace_id"] or "none: it was not traced"
    if line["first_token_seconds"] is not None:
        expected["first"] = seconds(line["first_token_seconds"])
    if line["prefill_seconds"] is not None or line["decode_seconds"] is not None:
        named = {name: line[f"{name}_seconds"] for name in ("queue", "prefill", "decode")}
        expected |= {name: seconds(value) for name, value in named.items() if value}
    return complaints(expected, [(name, text) for name, text in shown.items() if name in expected])


def _compare(expected: Sequence[Sequence[Expected]], rows: Sequence[Cells]) -> list[str]:
    """Cell by cell, by their places."""
    places = {f"{row}.{column}": cell for row, cells in enumerate(expected) for column, cell in enumerate(cells)}
    shown = [(f"{row}.{column}", cell) for row, cells in enumerate(rows) for column, cell in enumerate(cells)]
    return complaints(places, shown)


def _model(model: Row) -> Sequence[Expected]:
    texts = [model[name] or UNKNOWN for name in ("upstream", "tier", "quantization")]
    used = part(model["context_tokens_used"], model["context_tokens"])
    context = used if model["context_tokens"] is not None else count(model["context_size"])
    slots = part(model["slots_busy"], model["slots"])
    button = "Unload" if model["can_unload"] else "Load" if model["can_load"] else ""
    return [model["name"], model["status"], *texts, size(model["size_bytes"]), slots, context, button]


def _finished(row: Row) -> Sequence[Expected]:
    moment = datetime.fromisoformat(row["finished_at"]).astimezone(UTC)
    outcome = row["outcome"].replace("_", " ") + ("fallback" if row["fallback"] else "")
    first, rate = row["timeline"]["first_token_seconds"], row["output_tokens_per_second"]
    cells = [f"{moment:%H:%M:%S}", row["model"] or UNKNOWN, row["tier"], outcome, count(row["output_tokens"])]
    return [*cells, seconds(first), speed(rate), seconds(row["duration_seconds"])]


def _active(row: Row, placed: Row) -> Sequence[Expected]:
    name, chosen = row["model"], row["resolved_model"]
    arrow = f" → {chosen}" if chosen and chosen != name else ""
    upstream = placed["upstream"] or UNKNOWN
    rate = placed["output_tokens_per_second"]
    return [f"{name}{arrow}", placed["tier"], upstream, count(row["output_tokens"]), count(rate)]
