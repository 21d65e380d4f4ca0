"""The header of a GGUF file: what a model is, without its vocabulary and its weights. `discovery` reads it.

Files are made by strangers, and headers hold vocabularies of megabytes. So every length is checked against the file's
size before anything is read or skipped, arrays are walked over without being kept, and the whole has a limit. Read is
what llama.cpp reads: GGUF versions 2 and 3, no arrays within arrays, tensors of up to 4 dimensions.
"""

from __future__ import annotations

import os
import stat
import struct
import time
from dataclasses import dataclass
from pathlib import Path

from exporter.models.files.gguf_bytes import CHUNK_BYTES, Cursor, GgufError, Read

MAGIC = b"GGUF"
VERSIONS = (2, 3)
KEYS_LIMIT = 65_536
KEY_LIMIT = 65_535
"""Bytes, as the format says."""
TENSORS_LIMIT = 65_536
TEXT_LIMIT = 4096
"""Bytes of a text that are kept."""
BREATH_BYTES = 4 * CHUNK_BYTES
"""That are read between two breaths of the thread."""
BREATH_SECONDS = 0.00005
DEFAULT_ALIGNMENT = 32
GUESSED = 1024
"""A flag of `general.file_type`."""

SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
"""Formats of `struct` by GGUF's number of the type."""
STRING = 8
ARRAY = 9
SMALLEST_KEY = 13
"""Bytes of a key and its value: a length, no name, a type, one byte."""
SMALLEST_TENSOR = 24

FILE_TYPES = {
    **dict(enumerate(("F32", "F16", "Q4_0", "Q4_1"))),
    **dict(enumerate(("Q8_0", "Q5_0", "Q5_1", "Q2_K", "Q3_K_S", "Q3_K_M", "Q3_K_L", "Q4_K_S", "Q4_K_M"), 7)),
    **dict(enumerate(("Q5_K_S", "Q5_K_M", "Q6_K", "IQ2_XXS", "IQ2_XS", "Q2_K_S", "IQ3_XS", "IQ3_XXS", "IQ1_S"), 16)),
    **dict(enumerate(("IQ4_NL", "IQ3_S", "IQ3_M", "IQ2_S", "IQ2_M", "IQ4_XS", "IQ1_M", "BF16"), 25)),
    **dict(enumerate(("TQ1_0", "TQ2_0", "MXFP4_MOE", "NVFP4", "Q1_0"), 36)),
}
"""Names of quantizations by `general.file_type` (`llama_ftype`)."""
TEXTS = ("architecture", "type", "name", "description", "basename", "finetune", "size_label", "version")
KEPT = frozenset((*(f"general.{each}" for each in (*TEXTS, "file_type", "alignment")), "split.no", "split.count"))
CONTEXT_LENGTH = ".context_length"
"""After the architecture's name."""

Values = dict[str, str | int]


@dataclass(frozen=True, slots=True)
class Header:
    """What a header says; None where it does not."""

    format_version: int
    is_big_endian: bool
    tensor_count: int
    architecture: str | None
    type: str | None
    """`model`, `adapter`, `mmproj`, `imatrix`."""
    name: str | None
    description: str | None
    basename: str | None
    finetune: str | None
    size_label: str | None
    """`8B`."""
    version: str | None
    """Of the model."""
    quantization: str | None
    """By `general.file_type`: what most of the tensors are."""
    context_size: int | None
    """Tokens that it was trained with."""
    part_number: int | None
    """Of a split model; from 0."""
    part_count: int | None


def read_header(path: Path) -> Header:
    """The header of a file that is no link. Raises GgufError, and OSError where it cannot be read.

    Only a regular file is ever opened: a pipe would wait for its writer, a device might do anything.
    """
    _check_regular(path.lstat())
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        _check_regular(status)
        return parse(_reader(descriptor), status.st_size)
    finally:
        os.close(descriptor)


def _reader(descriptor: int) -> Read:
    """Each read gives Python's lock back, but has it again before somebody who waits for it is awake; who has just
    missed it waits for another switching interval, again and again: a few long headers held up the event loop for
    150 ms. So the thread takes a breath now and then."""
    breath_at = BREATH_BYTES

    def read(position: int, count: int) -> bytes:
        nonlocal breath_at
        if position >= breath_at:
            breath_at = position + BREATH_BYTES
            time.sleep(BREATH_SECONDS)
        return os.pread(descriptor, count, position)

    return read


def _check_regular(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise GgufError("it is not a regular file")


def parse(read: Read, size: int) -> Header:
    """The header of a file of `size` bytes. Raises GgufError."""
    cursor = Cursor(read, size)
    version = _read_version(cursor)
    tensor_count = cursor.number("Q", "the number of tensors")
    values = _read_values(cursor)
    _walk_tensors(cursor, tensor_count, _count(values, "general.alignment") or DEFAULT_ALIGNMENT)
    texts = {each: _text(values, f"general.{each}") for each in TEXTS}
    file_type = values.get("general.file_type")
    return Header(
        format_version=version,
        is_big_endian=cursor.order == ">",
        tensor_count=tensor_count,
        quantization=FILE_TYPES.get(file_type & ~GUESSED) if isinstance(file_type, int) else None,
        context_size=_count(values, f"{texts['architecture']}{CONTEXT_LENGTH}") or None,
        part_number=_count(values, "split.no"),
        part_count=_count(values, "split.count"),
        **texts,
    )


def _read_version(cursor: Cursor) -> int:
    """Sets the byte order as well: the version is a small number in one of them only."""
    if cursor.size < len(MAGIC) or cursor.take(len(MAGIC), "the file") != MAGIC:
        raise GgufError("it is not a GGUF file" if cursor.size else "it is empty")
    raw = cursor.take(4, "the version of the format")
    little, big = (int.from_bytes(raw, order) for order in ("little", "big"))
    cursor.order = ">" if little & 0xFFFF == 0 else "<"
    version = big if cursor.order == ">" else little
    if version not in VERSIONS:
        raise GgufError(f"it is GGUF version {version}, and llama.cpp reads versions 2 and 3 only")
    return version


def _read_values(cursor: Cursor) -> Values:
    count = cursor.number("Q", "the number of keys")
    if count > KEYS_LIMIT:
        raise GgufError(f"it claims to have {count} keys, and at most {KEYS_LIMIT} are read")
    cursor.check(count * SMALLEST_KEY, f"the list of {count} keys")
    values: Values = {}
    for _ in range(count):
        key = _read_key(cursor)
        value = _read_value(cursor, cursor.number("I", key), key)
        if value is not None:
            values[key] = value
    return values


def _read_key(cursor: Cursor) -> str:
    length = cursor.number("Q", "the length of a key")
    if length > KEY_LIMIT:
        raise GgufError(f"a key claims to have {length} bytes, and the format allows {KEY_LIMIT}")
    return cursor.take(length, "the name of a key").decode("utf-8", "replace")


def _read_value(cursor: Cursor, kind: int, key: str) -> str | int | None:
    """None for what is not kept."""
    what = f"`{_printable(key[:100])}`"
    is_kept = key in KEPT or key.endswith(CONTEXT_LENGTH)
    if kind == STRING:
        return _read_text(cursor, what, is_kept=is_kept)
    if kind == ARRAY:
        _skip_array(cursor, what)
        return None
    value = cursor.number(_scalar(kind, what), what)
    return value if is_kept and type(value) is int else None


def _read_text(cursor: Cursor, what: str, *, is_kept: bool) -> str | None:
    length = cursor.number("Q", what)
    cursor.check(length, what)
    end = cursor.at + length
    text = cursor.take(min(length, TEXT_LIMIT), what).decode("utf-8", "replace") if is_kept else None
    cursor.skip(end - cursor.at, what)
    return text


def _skip_array(cursor: Cursor, what: str) -> None:
    kind, count = cursor.number("I", what), cursor.number("Q", what)
    if kind == STRING:
        cursor.skip_strings(count, what)
    elif kind == ARRAY:
        raise GgufError(f"{what} is an array of arrays, which llama.cpp does not read")
    else:
        cursor.skip(count * struct.calcsize("<" + _scalar(kind, what)), what)


def _scalar(kind: int, what: str) -> str:
    if kind not in SCALARS:
        raise GgufError(f"{what} has a type that does not exist: {kind}")
    return SCALARS[kind]


def _walk_tensors(cursor: Cursor, count: int, alignment: int) -> None:
    """See that the last of the tensors begins within the file: it does not where a download has been cut short."""
    if count > TENSORS_LIMIT:
        raise GgufError(f"it claims to have {count} tensors, and at most {TENSORS_LIMIT} are read")
    what = f"the list of {count} tensors"
    cursor.check(count * SMALLEST_TENSOR, what)
    furthest = -1
    for _ in range(count):
        cursor.skip(cursor.number("Q", what), what)
        dimensions = cursor.number("I", what)
        if dimensions > 4:
            raise GgufError(f"a tensor claims to have {dimensions} dimensions, and llama.cpp has 4 at most")
        cursor.skip(8 * dimensions + 4, what)
        furthest = max(furthest, cursor.number("Q", what))
    start = -(-cursor.at // alignment) * alignment
    if furthest >= 0 and start + furthest >= cursor.size:
        raise GgufError(
            f"it is cut short: of its tensors, one begins {start + furthest - cursor.size} bytes after its end"
        )


def _text(values: Values, key: str) -> str | None:
    """In one line, without what cannot be printed."""
    value = values.get(key)
    words = value.split() if isinstance(value, str) else ()
    return _printable(" ".join(words)) or None


def _printable(text: str) -> str:
    return "".join(each for each in text if each.isprintable())


def _count(values: Values, key: str) -> int | None:
    """None for what would be no sensible number."""
    value = values.get(key)
    return value if isinstance(value, int) and 0 <= value < 1 << 31 else None
