"""What an API key looks like: `stentor_live_`, 32 random bytes in base62, and a checksum in base62.

The prefix lets secret scanners find a key that leaked: `stentor_live_[0-9A-Za-z]{49}`. The checksum is the CRC-32 of
all that stands before it. With it a mistyped key is told without asking the store. It proves nothing.
"""

from __future__ import annotations

import re
import secrets
import zlib

PREFIX = "stentor_live_"
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_RANDOM, _CHECK = 43, 6
"""Digits that 256 and 32 bits need."""
LENGTH = len(PREFIX) + _RANDOM + _CHECK
_FORM = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{_RANDOM + _CHECK}}}", re.ASCII)


def new_key() -> str:
    """A new key's text."""
    body = PREFIX + _base62(secrets.randbits(256), _RANDOM)
    return body + checksum(body)


def is_whole(text: str) -> bool:
    """Whether a text is a key that was copied without a mistake. It says nothing about whether there is such a key."""
    return len(text) == LENGTH and _FORM.fullmatch(text) is not None and checksum(text[:-_CHECK]) == text[-_CHECK:]


def checksum(body: str) -> str:
    """What stands behind `body`."""
    return _base62(zlib.crc32(body.encode("ascii")), _CHECK)


def _base62(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, digit = divmod(number, 62)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
