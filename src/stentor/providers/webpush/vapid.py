"""How Stentor shows a push service who it is (VAPID, RFC 8292): a token for each origin, signed with the app's key.

A token is good for `LIFETIME`, made out to one origin, and renewed at half of that; one that was refused is made anew
at most once an hour, as Apple wants.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from stentor.errors import CredentialError
from stentor.providers.webpush.encryption import public_bytes

LIFETIME = 12 * 3600.0
"""Seconds; RFC 8292 allows a day, and clocks differ."""
FLOOR = 3600.0
"""Seconds after which a token that was refused is made anew."""
KEPT = 256
"""Tokens kept at most."""

_REMEDY = (
    "put back the P-256 private key that your browsers were subscribed with, as none can be reached with another;"
    " if none has subscribed yet, `stentor keys vapid --out FILE` makes a key"
)
_PLAIN_KEY = re.compile(rb"[A-Za-z0-9_-]{43}=?")


@dataclass(frozen=True, slots=True)
class _Token:
    header: bytes = field(repr=False)
    made_at: float


class Vapid:
    """The tokens of one key. `clock` gives epoch seconds."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, subject: str, clock: Callable[[], float]) -> None:
        self._key = key
        self._subject = subject
        self._clock = clock
        self._tokens: dict[str, _Token] = {}
        self.public_key = base64url(public_bytes(key.public_key()))
        """As a page gives it to `pushManager.subscribe`."""

    def __repr__(self) -> str:
        return f"<Vapid {self.public_key[:8]}…, {len(self._tokens)} tokens>"

    @classmethod
    def from_file(cls, path: Path, subject: str, clock: Callable[[], float]) -> Self:
        """Raises: CredentialError: the file cannot be read, or holds no P-256 private key."""
        return cls(load_private_key(path), subject, clock)

    def authorization(self, origin: str) -> bytes:
        """The `authorization` header for an origin; signs where there is none, or half of its time is over."""
        now = self._clock()
        token = self._tokens.get(origin)
        if token is None or not 0 <= now - token.made_at < LIFETIME / 2:
            self._tokens.pop(origin, None)
            while len(self._tokens) >= KEPT:
                del self._tokens[next(iter(self._tokens))]
            token = self._tokens[origin] = _Token(self._sign(origin, now), now)
        return token.header

    def refused(self, origin: str) -> None:
        """An origin did not take its token: make another next time, unless this one is new."""
        token = self._tokens.get(origin)
        if token is not None and self._clock() - token.made_at >= FLOOR:
            del self._tokens[origin]

    def _sign(self, origin: str, now: float) -> bytes:
        claims = {"aud": origin, "exp": int(now + LIFETIME), "sub": self._subject}
        return f"vapid t={jwt.encode(claims, self._key, 'ES256')},k={self.public_key}".encode()


def generate_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def load_private_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """A private key from a PEM file, or from one with the 43 characters that other tools print.

    Raises: CredentialError.
    """
    try:
        content = path.read_bytes().strip()
    except OSError as error:
        raise CredentialError(f"{path} cannot be read: {error.strerror}; {_REMEDY}") from None
    try:
        if _PLAIN_KEY.fullmatch(content):
            number = int.from_bytes(urlsafe_b64decode(content.rstrip(b"=") + b"="))
            return ec.derive_private_key(number, ec.SECP256R1())
        key = load_pem_private_key(content, None)
    except (ValueError, TypeError, NotBase64, UnsupportedAlgorithm):
        raise CredentialError(f"{path} holds no private key that can be read; {_REMEDY}") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise CredentialError(f"{path} holds a key of another kind; {_REMEDY}")
    return key


def base64url(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode()
