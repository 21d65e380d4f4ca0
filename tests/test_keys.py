"""API keys: both forms, any case of the scheme, and nothing else."""

from __future__ import annotations

import pytest

from exporter.keys import KeyRing, credentials

RING = KeyRing(["alpha", "beta"])


@pytest.mark.parametrize(
    ("name", "value", "admitted"),
    [
        (b"authorization", b"Bearer alpha", True),
        (b"authorization", b"bearer  beta ", True),
        (b"authorization", b"BEARER alpha", True),
        (b"x-api-key", b"beta", True),
        (b"authorization", b"Basic alpha", False),
        (b"authorization", b"alpha", False),
        (b"authorization", b"Bearer", False),
        (b"x-api-key", b"alph", False),
        (b"x-api-key", b"", False),
        (b"cookie", b"alpha", False),
    ],
)
def test_admits(name: bytes, value: bytes, admitted: bool) -> None:
    assert RING.admits([(b"accept", b"*/*"), (name, value)]) is admitted


def test_one_good_key_among_several_is_enough() -> None:
    assert RING.admits([(b"x-api-key", b"wrong"), (b"authorization", b"Bearer alpha")])


def test_without_keys_everybody_passes() -> None:
    assert KeyRing([]).admits([])
    assert not KeyRing([])


def test_keys_are_not_kept() -> None:
    assert "alpha" not in repr(vars(RING))
    assert credentials([(b"authorization", b"Digest alpha")]) == []
