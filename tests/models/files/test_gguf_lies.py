"""Headers that are broken, or lie: one clear sentence, little read, nothing worse."""

from __future__ import annotations

import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.models.files import gguf, gguf_bytes
from exporter.models.files.gguf import Header, parse
from exporter.models.files.gguf_bytes import CHUNK_BYTES, GgufError
from tests.models.gguf_files import ARRAY, LLAMA, STRING, UINT8, string
from tests.models.gguf_files import gguf_bytes as whole

RICH = whole(
    {
        **LLAMA,
        "tokenizer.tokens": ["a", "bc", "", "def"],
        "tokenizer.types": b"\1\2\3\4",
        "general.description": "d" * 40,
        "general.file_type": 15,
        "x.float": 0.5,
        "x.bool": True,
    },
    tensors=2,
)
HEADER_BYTES = len(RICH) - 64


class Disk:
    """Bytes to read, and how many were; `size` may be more than there are, as of a file with holes."""

    def __init__(self, raw: bytes, size: int | None = None) -> None:
        self.raw, self.size, self.read = raw, len(raw) if size is None else size, 0

    def __call__(self, position: int, count: int) -> bytes:
        assert 0 <= position <= position + count <= self.size
        self.read += count
        found = self.raw[position : position + count]
        return found + bytes(min(count, self.size - position) - len(found))

    def parse(self) -> Header | str:
        """What is read, or the sentence."""
        try:
            return parse(self, self.size)
        except GgufError as error:
            return str(error)


def with_key(raw_value: bytes, key: str = "some.key") -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + string(key) + raw_value


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (b"", "it is empty"),
        (b"GG", "it is not a GGUF file"),
        (b"PK\3\4" + bytes(100), "it is not a GGUF file"),
        (b"GGUF", "the version of the format goes beyond the end of the file: it is cut short, or lies about a length"),
        (whole(version=1), "it is GGUF version 1, and llama.cpp reads versions 2 and 3 only"),
        (whole(version=4, order=">"), "it is GGUF version 4, and llama.cpp reads versions 2 and 3 only"),
        (b"GGUF" + bytes(100), "it is GGUF version 0, and llama.cpp reads versions 2 and 3 only"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1 << 60), f"it claims to have {1 << 60} keys, and at most 65536 are read"),
        (
            b"GGUF" + struct.pack("<IQQ", 3, 0, 50),
            "the list of 50 keys goes beyond the end of the file: it is cut short, or lies about a length",
        ),
        (
            b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1 << 63) + bytes(99),
            f"a key claims to have {1 << 63} bytes, and the format allows 65535",
        ),
        (with_key(struct.pack("<I", 99) + bytes(99)), "`some.key` has a type that does not exist: 99"),
        (with_key(struct.pack("<IIQ", ARRAY, 99, 1) + bytes(99)), "`some.key` has a type that does not exist: 99"),
        (
            with_key(struct.pack("<IIQ", ARRAY, ARRAY, 1) + bytes(99)),
            "`some.key` is an array of arrays, which llama.cpp does not read",
        ),
        (
            b"GGUF" + struct.pack("<IQQ", 3, 1 << 40, 0),
            f"it claims to have {1 << 40} tensors, and at most 65536 are read",
        ),
        (
            b"GGUF" + struct.pack("<IQQ", 3, 1, 0) + string("t") + struct.pack("<I", 5) + bytes(99),
            "a tensor claims to have 5 dimensions, and llama.cpp has 4 at most",
        ),
        (whole()[:-32], "it is cut short: of its tensors, one begins 0 bytes after its end"),
    ],
)
def test_sentence_says_what_is_wrong(raw: bytes, sentence: str) -> None:
    assert Disk(raw).parse() == sentence


@pytest.mark.parametrize(
    "lie",
    [
        struct.pack("<IQ", STRING, 1 << 62),
        struct.pack("<IIQ", ARRAY, STRING, 1 << 60),
        struct.pack("<IIQ", ARRAY, UINT8, 1 << 60),
        struct.pack("<IIQQ", ARRAY, STRING, 2, 1 << 60),
        struct.pack("<IIQQ", ARRAY, STRING, 1, (1 << 64) - 1),
    ],
)
def test_lying_length_is_named_and_nothing_is_read_for_it(lie: bytes) -> None:
    disk = Disk(with_key(lie + bytes(1000), "tokenizer.ggml.tokens"))
    assert disk.parse() == (
        "`tokenizer.ggml.tokens` goes beyond the end of the file: it is cut short, or lies about a length"
    )
    assert disk.read <= disk.size


@pytest.mark.parametrize("lie", [struct.pack("<IQ", STRING, 6), struct.pack("<IIQ", ARRAY, UINT8, 6)])
def test_one_byte_too_many_is_a_lie_and_the_last_one_is_not(lie: bytes) -> None:
    assert isinstance(Disk(with_key(lie + bytes(6))).parse(), Header)
    assert isinstance(Disk(with_key(lie + bytes(5))).parse(), str)


def test_lengths_that_a_huge_file_could_have_are_limited_as_well() -> None:
    """Of a file with 2^63 bytes, 2^60 strings are no lie."""
    disk = Disk(with_key(struct.pack("<IIQ", ARRAY, STRING, 1 << 59), "tokens"), size=1 << 63)
    assert disk.parse() == "its header is longer than 64 MiB: `tokens` goes beyond that"
    assert disk.read <= CHUNK_BYTES


def test_array_of_empty_strings_is_read_up_to_the_limit_and_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf_bytes, "HEADER_LIMIT", 1 << 20)
    fitting, more = ((1 << 20) - 1000) // 8, (1 << 20) // 8
    for count, limit in ((fitting, 1 << 20), (more, CHUNK_BYTES)):
        disk = Disk(with_key(struct.pack("<IIQ", ARRAY, STRING, count)), size=1 << 40)
        assert isinstance(disk.parse(), Header) is (count == fitting)
        assert disk.read <= limit + CHUNK_BYTES


def test_arrays_of_numbers_and_long_texts_are_not_read() -> None:
    values = {**LLAMA, "a.numbers": bytes(10_000_000), "b.text": "x" * 10_000_000, "general.name": "y" * 10_000_000}
    disk = Disk(whole(values))
    header = disk.parse()
    assert isinstance(header, Header)
    assert header.name == "y" * gguf.TEXT_LIMIT
    assert disk.read <= 5 * CHUNK_BYTES


def test_file_that_becomes_shorter_is_no_crash() -> None:
    with pytest.raises(GgufError, match="has become shorter while"):
        parse(lambda position, count: RICH[:30][position : position + count], len(RICH))


@pytest.mark.parametrize("order", ["<", ">"])
def test_cut_anywhere_it_is_an_error_and_never_a_model(order: str) -> None:
    raw = whole({**LLAMA, "tokens": ["a", "bc", ""], "types": b"\1\2", "x": True}, order=order)
    assert isinstance(Disk(raw).parse(), Header)
    for length in range(len(raw) - 31):
        assert isinstance(Disk(raw[:length]).parse(), str), length


@given(st.binary(max_size=400))
@example(b"GGUF")
def test_arbitrary_bytes(raw: bytes) -> None:
    for each in (raw, b"GGUF\3\0\0\0" + raw, b"GGUF\0\0\0\2" + raw, RICH[:24] + raw):
        disk = Disk(each)
        disk.parse()
        assert disk.read <= 2 * disk.size


@given(
    st.lists(st.tuples(st.integers(4, HEADER_BYTES - 8), st.integers(0, 2**64 - 1)), min_size=1, max_size=3),
    st.sampled_from([None, 1 << 30, 1 << 62]),
)
def test_changed_lengths(changes: list[tuple[int, int]], size: int | None) -> None:
    raw = bytearray(RICH)
    for position, number in changes:
        raw[position : position + 8] = number.to_bytes(8, "little")
    disk = Disk(bytes(raw), size)
    disk.parse()
    assert disk.read <= gguf_bytes.HEADER_LIMIT + len(RICH) * CHUNK_BYTES


@given(st.data())
def test_changed_bytes(data: st.DataObject) -> None:
    raw = bytearray(RICH)
    for position in data.draw(st.lists(st.integers(0, HEADER_BYTES - 1), max_size=8)):
        raw[position] = data.draw(st.integers(0, 255))
    disk = Disk(bytes(raw))
    disk.parse()
    assert disk.read <= 2 * disk.size
