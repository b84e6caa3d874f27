"""Mirrors services/transcripts/outbox/addresses.py."""

import pytest

from services.transcripts.outbox.addresses import is_allowed, parse_networks


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "193.190.198.1", "2001:6a8:3c80::1", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_public_addresses_are_allowed(address: str) -> None:
    assert is_allowed(address, ())


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.0.0.1", "172.16.5.4", "192.168.1.1", "100.64.0.1", "0.0.0.0", "255.255.255.255"),
        *("169.254.169.254", "224.0.0.1", "239.255.255.250", "198.18.0.1", "192.0.2.1", "240.0.0.1"),
        *("::1", "::", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "ff02::1", "2001:db8::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "64:ff9b::7f00:1", "2002:a00:1::", "2002:7f00:1::"),
        *("64:ff9b:1::a00:1", "64:ff9b:1:ffff::a00:1"),
        *("", "localhost", "127.1", "0x7f000001", "2130706433"),
    ],
)
def test_all_others_are_refused(address: str) -> None:
    assert not is_allowed(address, ())


def test_a_network_may_be_allowed_but_never_that_of_the_metadata_of_clouds() -> None:
    networks = parse_networks("10.20.0.0/16, 0.0.0.0/0 ,::1/128,")
    assert is_allowed("10.20.1.1", networks[:1])
    assert is_allowed("::ffff:10.20.1.1", networks[:1])
    assert not is_allowed("10.21.1.1", networks[:1])
    assert is_allowed("127.0.0.1", networks)
    assert not is_allowed("169.254.169.254", networks)
    assert not is_allowed("::ffff:169.254.169.254", networks)
    with pytest.raises(ValueError, match="host bits"):
        parse_networks("10.20.0.1/16")
