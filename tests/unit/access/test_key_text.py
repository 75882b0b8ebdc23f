"""API keys as text: their form, and what is told to be none without asking the store."""

from __future__ import annotations

import re
import string
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stentor.access.key_text import LENGTH, PREFIX, checksum, is_whole, new_key


def test_a_key_is_what_a_secret_scanner_looks_for() -> None:
    keys = {new_key() for _ in range(200)}
    assert len(keys) == 200
    assert all(re.fullmatch(r"stentor_live_[0-9A-Za-z]{49}", key) and is_whole(key) for key in keys)
    assert {len(key) for key in keys} == {LENGTH}


def test_the_checksum_is_crc_32_in_base_62() -> None:
    """So that a scanner of somebody else's can check it; docs/access.md has this example."""
    body = PREFIX + "0" * 43
    assert checksum(body) == "3uL8Ev"
    digits = string.digits + string.ascii_uppercase + string.ascii_lowercase
    assert sum(digits.index(each) * 62**place for place, each in enumerate(reversed("3uL8Ev"))) == zlib.crc32(
        body.encode()
    )


@given(st.integers(0, LENGTH - 1), st.sampled_from("0aZ_- é"))
def test_a_mistyped_key_is_none(position: int, other: str) -> None:
    key = new_key()
    wrong = key[:position] + other + key[position + 1 :]
    assert is_whole(wrong) is (wrong == key)


@pytest.mark.parametrize(
    "text",
    ["", PREFIX, new_key()[:-1], new_key() + "0", new_key() + "\n", " " + new_key(), "٣" * LENGTH, "x" * 1_000_000],
    ids=["empty", "prefix", "cut", "longer", "newline", "space", "other digits", "huge"],
)
def test_what_is_no_key(text: str) -> None:
    assert not is_whole(text)
