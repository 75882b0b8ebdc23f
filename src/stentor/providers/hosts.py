"""Which hosts may be sent to, where strangers name them: browsers' push services, receivers of webhooks. Pure."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

_NAT64 = IPv6Network("64:ff9b::/96")


_RESERVED_TOP = frozenset({"alt", "example", "internal", "invalid", "local", "localhost", "onion", "test"})
"""RFC 2606 and 6761; RFC 6762 (`local`), 7686 (`onion`), 9476 (`alt`), and ICANN's resolution on `internal`."""
_RESERVED_SECOND = frozenset({"example.com", "example.net", "example.org", "home.arpa"})
"""RFC 2606 and 6761; RFC 8375 (`home.arpa`)."""


def is_reserved(host: str) -> bool:
    """Whether a host's name, in lower case, is one that nobody on the open internet can own."""
    labels = host.split(".")
    return labels[-1] in _RESERVED_TOP or ".".join(labels[-2:]) in _RESERVED_SECOND


def is_literal(host: str) -> bool:
    """Whether a host is an IP address, in its one ordinary spelling."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def is_public(address: str) -> bool:
    """Whether an IP address is one of the open internet; what wraps an IPv4 address is judged by that."""
    try:
        found: IPv4Address | IPv6Address = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour
        if inner is None and found in _NAT64:
            inner = IPv4Address(int(found) & 0xFFFF_FFFF)
        if inner is not None:
            return is_public(str(inner))
        if found.is_site_local or int(found) < 1 << 32:  # the latter are IPv4 addresses once written so
            return False
    return found.is_global and not found.is_multicast and not found.is_reserved
