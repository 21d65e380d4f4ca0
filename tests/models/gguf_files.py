"""GGUF files for tests, put together by hand: small, and wrong where they are to be."""

from __future__ import annotations

import struct
from pathlib import Path

KINDS = {int: (4, "I"), float: (6, "f"), bool: (7, "?")}
STRING, ARRAY, UINT8, UINT32 = 8, 9, 0, 4
LLAMA: dict[str, object] = {"general.architecture": "llama", "general.name": "tiny", "llama.context_length": 512}


def string(text: str | bytes, order: str = "<") -> bytes:
    raw = text.encode() if isinstance(text, str) else text
    return struct.pack(f"{order}Q", len(raw)) + raw


def value(each: object, order: str = "<") -> bytes:
    """With its type; a list is an array of strings, bytes are one of numbers."""
    if isinstance(each, str):
        return struct.pack(f"{order}I", STRING) + string(each, order)
    if isinstance(each, list):
        return struct.pack(f"{order}IIQ", ARRAY, STRING, len(each)) + b"".join(string(one, order) for one in each)
    if isinstance(each, bytes):
        return struct.pack(f"{order}IIQ", ARRAY, UINT8, len(each)) + each
    kind, form = KINDS[type(each)]
    return struct.pack(f"{order}I{form}", kind, each)


def gguf_bytes(values: dict[str, object] = LLAMA, *, order: str = "<", version: int = 3, tensors: int = 1) -> bytes:
    """A whole file; each of its tensors has 8 numbers."""
    raw = b"GGUF" + struct.pack(f"{order}IQQ", version, tensors, len(values))
    raw += b"".join(string(key, order) + value(each, order) for key, each in values.items())
    for number in range(tensors):
        raw += string(f"t{number}", order) + struct.pack(f"{order}IQIQ", 1, 8, 0, 32 * number)
    return raw + bytes(-len(raw) % 32 + 32 * tensors)


def write_gguf(path: Path, **values: object) -> Path:
    """A model; `general_name` stands for the key `general.name`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    dotted = {key.replace("_", ".", 1): each for key, each in values.items()}
    path.write_bytes(gguf_bytes({**LLAMA, **dotted}))
    return path


def write_part(folder: Path, stem: str, number: int, parts: int) -> Path:
    """One part of a split model."""
    return write_gguf(folder / f"{stem}-{number:05}-of-{parts:05}.gguf", split_no=number - 1, split_count=parts)
