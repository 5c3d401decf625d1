"""Tells whether an IP address is on the public internet, by the registries of special addresses.

Python's own `is_global` differs between versions, and accepts addresses with a private one embedded in them.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address

# IANA's registry of special IPv4 addresses, with multicast and the reserved range.
SPECIAL_V4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
UNICAST_V6 = IPv6Network("2000::/3")
# Ranges inside it that are not public; 2001::/23 contains Teredo, and 2002::/16 is 6to4.
SPECIAL_V6 = tuple(IPv6Network(text) for text in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"))
NAT64 = IPv6Network("64:ff9b::/96")


def is_public(address: Address) -> bool:
    """Whether an address is on the public internet.

    Two forms of IPv6 that a system turns into IPv4 are judged by the IPv4 address in them: mapped (::ffff:a.b.c.d), and
    NAT64's well-known prefix, by which networks without IPv4 reach IPv4 hosts. Tunnels (6to4, Teredo) are never public.
    """
    if isinstance(address, IPv4Address):
        return not any(address in network for network in SPECIAL_V4)
    embedded = IPv4Address(int(address) & 0xFFFFFFFF) if address in NAT64 else address.ipv4_mapped
    if embedded is not None:
        return is_public(embedded)
    return address in UNICAST_V6 and not any(address in network for network in SPECIAL_V6)
