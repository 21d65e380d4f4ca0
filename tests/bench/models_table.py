"""What the model manager costs as plain text, for `report`. Pure: figures in, lines out."""

from __future__ import annotations

from tests.bench.arithmetic import MICRO, middle
from tests.bench.models import CLIENTS, DISCOVER, LIST, NAMESPACE, REGISTER, REGISTER_LARGE, Idle, ModelsResult, Pieces
from tests.bench.table import align, number, with_spread

MILLI = MICRO / 1000


def render_models(result: ModelsResult) -> str:
    """All of it."""
    registered = [each for each in result.pieces if each.what in (REGISTER, REGISTER_LARGE)]
    files = [each for each in result.pieces if each.what != LIST and each not in registered]
    lists = [each for each in result.pieces if each.what == LIST]
    parts = [
        align([("model files", "ms", "MB more"), *map(_file_line, files)], left=1),
        align([("Models.all()", "made anew ms", "unchanged ms"), *map(_list_line, lists)], left=1),
        align([("registered at once, with SQLite", "ms", "held ms"), *map(_register_line, registered)], left=1),
        align(
            [("nothing happens", "CPU %", "RSS MB", "llama-server CPU %", "its RSS MB"), *map(_idle_line, result.idle)],
            left=1,
        ),
        _client_lines(result),
    ]
    explanation = (
        "~: how far the rounds lay apart. MB more: resident memory at most, beyond that before, in a process that does"
        " nothing else. made anew: after a change of the parameters of all models. held: how late a timer came at most."
    )
    return "\n\n".join("\n".join(part) for part in [*parts, [explanation]])


def milliseconds(piece: Pieces, place: int = 0) -> str:
    """Of all rounds."""
    return with_spread(middle([each * MILLI for each in piece.seconds(place)]))


def megabytes(count: int | None) -> str:
    """With one digit: some take next to nothing."""
    return number(None if count is None else count / 1e6)


def _file_line(piece: Pieces) -> tuple[str, ...]:
    unit = "files" if piece.what == DISCOVER else "tokens"
    return f"{piece.what} ({piece.count:,} {unit})", milliseconds(piece), megabytes(piece.added_bytes)


def _list_line(piece: Pieces) -> tuple[str, ...]:
    return f"{piece.count:,} registered", milliseconds(piece), milliseconds(piece, 1)


def _register_line(piece: Pieces) -> tuple[str, ...]:
    return f"{piece.count:,} {piece.what}", milliseconds(piece), milliseconds(piece, 1)


def _idle_line(one: Idle) -> tuple[str, ...]:
    share = one.server_cpu_share
    return (
        one.variant,
        number(one.cpu_share * 100, 2),
        megabytes(one.resident_bytes),
        number(None if share is None else share * 100, 2),
        megabytes(one.server_resident_bytes),
    )


def _client_lines(result: ModelsResult) -> list[str]:
    one, reading = result.clients, result.clients.reading
    each = one.resident_bytes / reading.connected / 1000 if reading.connected else None
    return [
        f"{reading.connected} of {CLIENTS} clients of Socket.IO in {NAMESPACE}: {number(each)} KB each, CPU"
        f" {number(one.cpu_share * 100, 2)} % more; {reading.messages:,} messages, {reading.fewest} at least,"
        f" in {reading.seconds:.0f} s, errors {sum(reading.errors.values())}"
    ]
