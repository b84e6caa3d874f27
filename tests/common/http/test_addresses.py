"""`addresses.py`: one client has one key, however its address is written and whichever proxy passes it on."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.http import addresses
from services.common.http.addresses import (
    client_key,
    client_scheme,
    hops,
    is_trusted,
    key_of,
    network_of,
    networks,
    parse,
)

PROXIES = "10.0.0.0/8, fd00::/8"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        (" 192.0.2.1 ", "192.0.2.1"),
        ("192.0.2.1:4711", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("[fe80::1%eth0]:80", "fe80::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("[::ffff:192.0.2.1]:4711", "192.0.2.1"),
        ("64:ff9b::c000:201", "192.0.2.1"),
    ],
)
def test_every_form_of_an_address_is_read(text: str, address: str) -> None:
    assert str(parse(text)) == address


@pytest.mark.parametrize(
    "text",
    [
        "", "unknown", "_hidden", "192.0.2", "192.0.2.1.5", "192.0.2.1:", "192.0.2.1:http", "192.0.2.1:123456",
        "[2001:db8::1", "[2001:db8::1]4711", "2001:db8::1]", "for=192.0.2.1", "192.0.2.1 x", "1" * 5_000, "٣.0.2.1",
    ],
)  # fmt: skip
def test_what_is_no_address_is_none(text: str) -> None:
    assert parse(text) is None


@given(st.ip_addresses(v=6), st.ip_addresses(v=6))
def test_all_addresses_of_one_ipv6_64_have_one_key(one: IPv6Address, other: IPv6Address) -> None:
    neighbour = IPv6Address(int(one) >> 64 << 64 | int(other) & (1 << 64) - 1)
    assert key_of(one) == key_of(neighbour)
    assert (key_of(one) == key_of(other)) is (int(one) >> 64 == int(other) >> 64)


@given(st.ip_addresses(v=4), st.integers(1, 65_535))
def test_an_ipv4_address_has_one_key_in_all_its_forms(address: IPv4Address, port: int) -> None:
    forms = (f"{address}", f"{address}:{port}", f"::ffff:{address}", f"[::ffff:{address}]:{port}")
    assert {client_key("10.0.0.1", [form], "10.0.0.0/8") for form in forms} == {
        "10.0.0.1" if address in networks("10.0.0.0/8")[0] else str(address)
    }


@pytest.mark.parametrize(
    ("lines", "key"),
    [
        ([], "10.0.0.1"),
        (["198.51.100.7"], "198.51.100.7"),
        (["1.1.1.1, 198.51.100.7, 10.2.3.4"], "198.51.100.7"),
        (["1.1.1.1", "198.51.100.7"], "198.51.100.7"),  # the proxy's own line is the last one
        (["1.1.1.1", "198.51.100.7", "10.2.3.4"], "198.51.100.7"),
        (["198.51.100.7:5555"], "198.51.100.7"),
        (["2001:db8:1:2:3::4"], "2001:db8:1:2::/64"),
        (["[2001:db8:1:2:5::6]:443"], "2001:db8:1:2::/64"),
        (["10.2.3.4,,"], "10.0.0.1"),
        (["nonsense"], "10.0.0.1"),
        (["1.1.1.1, nonsense"], "10.0.0.1"),
        (["nonsense, 10.2.3.4"], "10.0.0.1"),
        (["nonsense, 198.51.100.7"], "198.51.100.7"),
        ([",".join(["10.0.0.9"] * 3_000)], "10.0.0.1"),
    ],
)
def test_a_trusted_proxy_names_the_client(lines: list[str], key: str) -> None:
    assert client_key("10.0.0.1", lines, PROXIES) == key
    assert client_key("::ffff:10.0.0.1", lines, PROXIES) == key


def test_no_other_peer_names_another_address() -> None:
    assert client_key("203.0.113.5", ["1.1.1.1"], PROXIES) == "203.0.113.5"
    assert client_key("203.0.113.5", ["1.1.1.1"], "") == "203.0.113.5"
    assert client_key("2001:db8::5", ["1.1.1.1"], PROXIES) == "2001:db8::/64"
    assert client_key("", ["1.1.1.1"], PROXIES) == ""


@given(st.text(max_size=40))
def test_no_text_at_all_makes_a_key_that_is_no_address(text: str) -> None:
    key = client_key("10.0.0.1", [text], PROXIES)
    assert key == str(networks(key)[0]) or key == str(IPv4Address(key))


def test_a_trusted_network_holds_the_forms_of_its_addresses() -> None:
    assert is_trusted("10.1.2.3", PROXIES)
    assert is_trusted("::ffff:10.1.2.3", PROXIES)
    assert is_trusted("fd00::9", PROXIES)
    assert not is_trusted("11.1.2.3", PROXIES)
    assert not is_trusted("proxy", PROXIES)
    assert not is_trusted("10.1.2.3", "")


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "forwarded", "scheme"),
    [
        ("203.0.113.5", [], ["https"], "http"),
        ("10.0.0.1", [], ["https"], "https"),
        ("10.0.0.1", [], ["HTTPS"], "https"),
        ("10.0.0.1", [], [], "http"),
        ("10.0.0.1", [], ["javascript"], "http"),
        ("10.0.0.1", ["198.51.100.7"], ["https", "http"], "http"),  # the browser wrote the first one
        ("10.0.0.1", ["198.51.100.7, 10.0.0.2"], ["https, http"], "https"),  # two proxies, TLS ends at the first
        ("10.0.0.1", ["198.51.100.7, 10.0.0.2"], ["https"], "https"),
    ],
)
def test_the_scheme_is_that_of_the_outermost_trusted_proxy(
    peer: str, forwarded_for: list[str], forwarded: list[str], scheme: str
) -> None:
    assert client_scheme(peer, forwarded_for, forwarded, PROXIES, "http") == scheme


@pytest.mark.parametrize("forwarded", ["," * 31_000, "10.0.0.1," * 3_400, ", " * 15_000])
def test_a_list_without_end_is_not_read_to_its_end(forwarded: str, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []

    def look(text: str) -> IPv4Address | IPv6Address | None:
        looked.append(text)
        return parse(text)

    monkeypatch.setattr(addresses, "parse", look)
    assert client_key("10.0.0.1", [forwarded], PROXIES) == "10.0.0.1"
    assert client_key("10.0.0.1", [forwarded, "192.0.2.1, 10.0.0.2"], PROXIES) == "192.0.2.1"
    assert len(looked) < 100
    assert len(hops("10.0.0.1", [forwarded], PROXIES)) <= addresses.MOST_ITEMS + 1


@pytest.mark.parametrize(
    ("key", "network"),
    [
        ("192.0.2.17", "192.0.2.*"),
        ("2001:db8:7:1::/64", "2001:db8:7:*"),
        ("2001:0db8:0000::5", "2001:db8:0:*"),
        ("::1", "0:0:0:*"),
        ("", ""),
        ("somewhere", ""),
    ],
)
def test_people_are_shown_the_first_half_of_an_address(key: str, network: str) -> None:
    assert network_of(key) == network
