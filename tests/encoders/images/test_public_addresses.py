"""The rules for public addresses, over the whole address space."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoders.images.public_addresses import NAT64, SPECIAL_V4, SPECIAL_V6, UNICAST_V6, is_public

V4 = st.integers(0, 2**32 - 1).map(IPv4Address)
V6 = st.integers(0, 2**128 - 1).map(IPv6Address)
UNICAST = st.integers(int(UNICAST_V6[0]), int(UNICAST_V6[-1])).map(IPv6Address)


@given(V4)
def test_an_ipv4_address_is_the_same_in_whatever_it_is_carried(address: IPv4Address) -> None:
    mapped = IPv6Address(f"::ffff:{address}")
    translated = NAT64[int(address)]
    assert is_public(address) == is_public(mapped) == is_public(translated)
    tunnelled = IPv6Address(0x2002 << 112 | int(address) << 80)
    compatible = IPv6Address(int(address))
    assert not is_public(tunnelled)
    assert not is_public(compatible)


@given(st.sampled_from([*SPECIAL_V4, *SPECIAL_V6]), st.integers(0))
def test_no_special_network_has_a_public_address(network, place: int) -> None:
    assert not is_public(network[place % network.num_addresses])


@given(st.one_of(V4, V6, UNICAST))
def test_what_python_knows_to_be_special_is_not_public(address: IPv4Address | IPv6Address) -> None:
    carries = isinstance(address, IPv6Address) and (address in NAT64 or address.ipv4_mapped is not None)
    if address.is_private or address.is_multicast or address.is_reserved or address.is_link_local:
        assert carries or not is_public(address)


@given(V6)
def test_outside_unicast_nothing_is_public_but_what_carries_ipv4(address: IPv6Address) -> None:
    if address not in UNICAST_V6 and address not in NAT64 and address not in IPv6Network("::ffff:0:0/96"):
        assert not is_public(address)


@pytest.mark.parametrize("text", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "2a00:1450::1", "64:ff9b::808:808"])
def test_the_public_internet_is_public(text: str) -> None:
    assert is_public(ip_address(text))
