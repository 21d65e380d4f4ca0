"""What counts as one client where something is limited by address: `nextjs.rate_limit`, `monitoring.attempts`."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address, ip_network


def network(address: str) -> str:
    """What is counted as one: an IPv4 address, also where it comes as an IPv6 one, and the network (/64) of an IPv6
    address, since that is what one customer has."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        mapped = parsed.ipv4_mapped
        return str(mapped) if mapped is not None else str(ip_network((parsed, 64), strict=False))
    return str(parsed)
