"""Subscriptions, and the endpoints that are not asked: they come from strangers."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stentor.providers.hosts import is_public, is_reserved
from stentor.providers.webpush.channel import check_address
from stentor.providers.webpush.endpoints import (
    ForbiddenEndpoint,
    MalformedEndpoint,
    Origin,
    Policy,
    ReservedHost,
    parse_authority,
    parse_endpoint,
    parse_subscription,
)
from stentor.simulators.webpush import Browser

ENDPOINT = "https://updates.push.services.mozilla.com/wpush/v2/gAAAA_-x?y=%20"
GOOD = json.loads(Browser.of("b", 0).subscription(ENDPOINT))


def stored(**other: Any) -> str:
    return json.dumps({**GOOD, **other})


def complaint(address: str) -> str:
    found = check_address(address)
    assert found is not None
    assert found.rule == "malformed address"
    assert "gAAAA" not in found.detail, "no address in what is said of it"
    return found.detail


def test_a_subscription_as_browsers_give_it() -> None:
    text = stored(expirationTime=None)
    assert check_address(text) is None
    found = parse_subscription(text)
    assert found == parse_subscription(text.encode())
    assert (found.endpoint, len(found.p256dh), len(found.auth)) == (ENDPOINT, 65, 16)
    assert "gAAAA" not in repr(found)


def test_both_alphabets_of_base64_with_and_without_padding() -> None:
    keys = {name: value.replace("-", "+").replace("_", "/") + "=" for name, value in GOOD["keys"].items()}
    assert parse_subscription(stored(keys=keys)) == parse_subscription(stored())


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("", "isn't JSON"),
        ("fXy:APA91b", "isn't JSON"),
        ("[]", "must be an object, not a list"),
        ('{"endpoint":1}', "endpoint: must be text, not a number"),
        (json.dumps({"endpoint": ENDPOINT}), "keys: is missing"),
        (stored(keys={"p256dh": GOOD["keys"]["p256dh"]}), "keys.auth: is missing"),
        (stored(keys={**GOOD["keys"], "auth": "AAAA"}), "keys.auth has 3 bytes, 16 wanted"),
        (stored(keys={**GOOD["keys"], "auth": "ä"}), "keys.auth isn't base64url"),
        (stored(keys={**GOOD["keys"], "auth": "A"}), "keys.auth isn't base64url"),
        (stored(keys={**GOOD["keys"], "p256dh": "A" * 88}), "not an uncompressed P-256 point"),
        (stored(endpoint="http://example.com/x"), "isn't https://host/path"),
        (stored(endpoint="https://example.com"), "isn't https://host/path"),
        (stored(endpoint="https://example.com/a b"), "isn't https://host/path"),
        (stored(endpoint="https://example.com/a\r\nx: y"), "isn't https://host/path"),
        (stored(endpoint="https://example.com/a#b"), "isn't https://host/path"),
        (stored(endpoint="https://example.com\\@evil.example/"), "isn't https://host/path"),
        (stored(endpoint="https://user:secret@example.com/x"), "user info"),
        (stored(endpoint="https://exämple.com/x"), "not a host name"),
        (stored(endpoint="https://[::1/x"), "not an IPv6 address"),
        (stored(endpoint="https://[fe80::1%25eth0]x/x"), "not an IPv6 address"),
        (stored(endpoint="https://example.com:0/x"), "port"),
        (stored(endpoint="https://example.com:99999/x"), "port"),
        (stored(endpoint="https://example.com/" + "x" * 2048), "longer than 2048"),
    ],
)
def test_what_is_malformed_is_explained(address: str, said: str) -> None:
    assert said in complaint(address)


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_no_bytes_lead_to_anything_but_malformed(address: bytes) -> None:
    with suppress(MalformedEndpoint):
        parse_endpoint(parse_subscription(address).endpoint)


@pytest.mark.parametrize(
    ("authority", "origin", "written"),
    [
        ("Example.COM", Origin("example.com", 443), "https://example.com"),
        ("example.com.:443", Origin("example.com", 443), "https://example.com"),
        ("example.com:8443", Origin("example.com", 8443), "https://example.com:8443"),
        ("[2001:DB8::1]", Origin("2001:db8::1", 443), "https://[2001:db8::1]"),
        ("[::1]:5", Origin("::1", 5), "https://[::1]:5"),
    ],
)
def test_an_origin_is_written_one_way(authority: str, origin: Origin, written: str) -> None:
    assert parse_authority(authority) == origin
    assert str(origin) == written


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:4700::1111", True),
        ("::ffff:93.184.216.34", True),
        ("0.0.0.0", False),
        ("10.1.2.3", False),
        ("100.64.0.1", False),
        ("127.0.0.1", False),
        ("169.254.169.254", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("192.0.2.1", False),
        ("198.18.0.1", False),
        ("224.0.0.1", False),
        ("240.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("::127.0.0.1", False),
        ("::ffff:127.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::5db8:d822", True),
        ("2002:7f00:1::", False),
        ("2001::1", False),
        ("2001:db8::1", False),
        ("fc00::1", False),
        ("fe80::1%eth0", False),
        ("fec0::1", False),
        ("ff02::1", False),
        ("example.com", False),
    ],
)
def test_which_addresses_are_of_the_open_internet(address: str, public: bool) -> None:
    assert is_public(address) is public


@pytest.mark.parametrize(
    ("policy", "authority", "said"),
    [
        (Policy(), "push.vendor.net", ""),
        (Policy(), "93.184.216.34", ""),
        (Policy(), "push.vendor.net:8443", "port is not 443"),
        (Policy(), "127.0.0.1", "private"),
        (Policy(), "[::ffff:7f00:1]", "private"),
        (Policy(allow_private=True), "127.0.0.1:2202", ""),
        (Policy(hosts=("a.example",)), "a.example", ""),
        (Policy(hosts=("A.example",)), "b.vendor.net", "allowed_hosts"),
        (Policy(hosts=("*.a.example",)), "x.y.a.example", ""),
        (Policy(hosts=("*.a.vendor.net",)), "a.vendor.net", "allowed_hosts"),
        (Policy(hosts=("*.a.vendor.net",)), "evila.vendor.net", "allowed_hosts"),
        (Policy(allow_private=True, hosts=("a.example",)), "127.0.0.1", "allowed_hosts"),
    ],
)
def test_which_origins_an_app_sends_to(policy: Policy, authority: str, said: str) -> None:
    if not said:
        policy.check(parse_authority(authority))
        return
    with pytest.raises(ForbiddenEndpoint, match=said):
        policy.check(parse_authority(authority))


@pytest.mark.parametrize(
    ("host", "reserved"),
    [
        ("permanently-removed.invalid", True),
        ("invalid", True),
        ("localhost", True),
        ("push.test", True),
        ("push.example", True),
        ("push.example.com", True),
        ("example.org", True),
        ("printer.local", True),
        ("push.internal", True),
        ("router.home.arpa", True),
        ("fcm.googleapis.com", False),
        ("invalid.com", False),
        ("notexample.com", False),
        ("93.184.216.34", False),
    ],
)
def test_names_that_nobody_can_own(host: str, reserved: bool) -> None:
    assert is_reserved(host) is reserved
    if reserved:
        with pytest.raises(ReservedHost):
            Policy().check(Origin(host, 443))
        with pytest.raises(ReservedHost):
            Policy(hosts=("fcm.googleapis.com",)).check(Origin(host, 443))
    else:
        Policy().check(Origin(host, 443))
    Policy(hosts=(host,)).check(Origin(host, 443))
    Policy(allow_private=True).check(Origin(host, 443))
