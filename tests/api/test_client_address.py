"""What counts as one client."""

from __future__ import annotations

import pytest

from exporter.api.client_address import network


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("/run/admin.sock", "/run/admin.sock"),
        ("", ""),
    ],
)
def test_what_counts_as_one(address: str, counted: str) -> None:
    assert network(address) == counted
