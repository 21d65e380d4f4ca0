"""Which ids of requests are sent back."""

from __future__ import annotations

import pytest

from exporter.api.request_id import LIMIT, given_id


@pytest.mark.parametrize("given", ["mine-1", "a b", "x" * LIMIT])
def test_one_that_can_be_sent_back(given: str) -> None:
    assert given_id({"type": "http", "headers": [(b"x-request-id", f" {given} ".encode())]}) == given


@pytest.mark.parametrize("given", [b"", b" ", b"x" * (LIMIT + 1), b"a\x01b", "ä".encode("latin-1")])
def test_one_that_cannot(given: bytes) -> None:
    assert given_id({"type": "http", "headers": [(b"x-request-id", given)]}) is None
    assert given_id({"type": "http", "headers": []}) is None
