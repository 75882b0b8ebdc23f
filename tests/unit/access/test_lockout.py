"""How long must be waited after failures, and which addresses are counted together."""

from __future__ import annotations

import pytest

from stentor.access.lockout import FREE_BY_USER, LONGEST_WAIT, network_key, network_shown, wait_after


def test_the_wait_doubles_up_to_an_hour() -> None:
    waits = [wait_after(failures, FREE_BY_USER) for failures in range(1, 30)]
    assert waits[:10] == [0, 0, 0, 0, 0, 2, 4, 8, 16, 32]
    assert waits[-1] == LONGEST_WAIT == 3600
    assert sum(wait < LONGEST_WAIT for wait in waits) < 20  # within an hour's guessing the longest is reached
    assert wait_after(10**9, FREE_BY_USER) == LONGEST_WAIT


@pytest.mark.parametrize(
    ("address", "key", "shown"),
    [
        ("198.51.100.7", "198.51.100.7", "198.51.100.0/24"),
        ("::ffff:198.51.100.7", "198.51.100.7", "198.51.100.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64", "2001:db8:1::/48"),
        ("fe80::1%eth0", "fe80::/64", "fe80::/48"),
        ("a unix socket", "a unix socket", "an unknown address"),
    ],
)
def test_what_is_counted_together_and_what_people_are_shown(address: str, key: str, shown: str) -> None:
    assert network_key(address) == key
    assert network_shown(address) == shown


def test_no_address_is_shown_as_none() -> None:
    assert network_shown(None) == "an unknown address"
