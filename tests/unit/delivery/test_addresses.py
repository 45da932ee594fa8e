from __future__ import annotations

import ipaddress

import pytest

from mediasluice.delivery.addresses import blocked


@pytest.mark.parametrize(
    "place",
    [
        "169.254.169.254", "169.254.170.2", "0.0.0.0", "0.1.2.3", "255.255.255.255", "224.0.0.1", "240.0.0.1", "::",
        "fe80::1", "fe80::1%2", "ff02::1", "fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "168.63.129.16",
        "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1", "::169.254.169.254",
        "64:ff9b:1::a9fe:a9fe",
    ],
)  # fmt: skip
@pytest.mark.parametrize("allow_private", [True, False])
def test_some_addresses_are_never_reached(place: str, allow_private: bool) -> None:  # noqa: FBT001 - a table
    """Link-local, multicast, unspecified, reserved ones and those of clouds, also inside of others."""
    assert blocked(ipaddress.ip_address(place), allow_private=allow_private)


@pytest.mark.parametrize(
    "place",
    ["127.0.0.1", "127.9.9.9", "::1", "10.0.0.1", "172.16.0.1", "192.168.1.5", "100.64.0.1", "fd12::1",
     "::ffff:10.0.0.1", "2002:c0a8:101::1"],
)  # fmt: skip
def test_private_addresses_are_reached_on_request(place: str) -> None:
    """This machine and private networks: with the switch only."""
    address = ipaddress.ip_address(place)
    assert blocked(address, allow_private=False)
    assert blocked(address, allow_private=True) is None


@pytest.mark.parametrize("place", ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "64:ff9b::101:101"])
def test_all_others_are_reached(place: str) -> None:
    """Addresses of the internet need no switch."""
    assert blocked(ipaddress.ip_address(place), allow_private=False) is None
