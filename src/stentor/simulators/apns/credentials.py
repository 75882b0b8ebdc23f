"""APNs provider tokens as Apple would judge them: signature, age, and how often a connection may change them."""

from __future__ import annotations

import json
import secrets
import string
from dataclasses import dataclass
from pathlib import Path

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from jwt.utils import base64url_decode, base64url_encode, number_to_bytes

from stentor.errors import InvalidConfiguration
from stentor.simulators.tls import private_pem, write_private

_MAX_AGE_S = 3_600
_CACHE_SIZE = 10_000
_NUMBER_SIZE = 32  # bytes of each of the two numbers of an ES256 signature
_ALPHABET = string.ascii_uppercase + string.digits


def _identifier() -> str:
    """Ten characters, as Apple's key and team ids have."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(10))


@dataclass(frozen=True, slots=True)
class AuthKey:
    """A provider authentication key that the simulator knows."""

    key_id: str
    team_id: str
    public: ec.EllipticCurvePublicKey
    environment: str = "all"
    """`production`, `sandbox`, or `all`."""
    topics: frozenset[str] | None = None
    """The topics that a topic-scoped key is for; None: all of the team's."""


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A private key as a sender gets it: an AuthKey_….p8 with its two ids."""

    path: Path
    key_id: str
    team_id: str

    def known(self, environment: str = "all", topics: frozenset[str] | None = None) -> AuthKey:
        try:
            private = serialization.load_pem_private_key(self.path.read_bytes(), None)
        except (OSError, ValueError, TypeError) as error:
            raise InvalidConfiguration(f"{self.path}: not a readable .p8 key ({error})") from None
        if not isinstance(private, ec.EllipticCurvePrivateKey):
            raise InvalidConfiguration(f"{self.path}: not an elliptic curve key")
        return AuthKey(self.key_id, self.team_id, private.public_key(), environment, topics)


def mint_key(directory: Path, *, key_id: str | None = None, team_id: str | None = None) -> KeyFile:
    """Make a key and write it as `AuthKey_<key id>.p8`."""
    key_id = key_id or _identifier()
    path = write_private(directory / f"AuthKey_{key_id}.p8", private_pem(ec.generate_private_key(ec.SECP256R1())))
    return KeyFile(path, key_id, team_id or _identifier())


@dataclass(frozen=True, slots=True)
class ProviderToken:
    key: AuthKey
    issued_at: float


class TokenVerifier:
    """Verifies each token once and remembers it; what depends on time or connection is left to the caller."""

    def __init__(self, keys: dict[str, AuthKey]) -> None:
        self.keys = keys
        self._verified: dict[bytes, ProviderToken | None] = {}

    def verify(self, authorization: bytes) -> ProviderToken | None:
        """The token in an `authorization` header; None where it isn't one of a known key."""
        try:
            return self._verified[authorization]
        except KeyError:
            token = self._verify(authorization)
            if len(self._verified) >= _CACHE_SIZE:
                self._verified.clear()
            self._verified[authorization] = token
            return token

    def _verify(self, authorization: bytes) -> ProviderToken | None:
        scheme, _, text = authorization.partition(b" ")
        if scheme.lower() != b"bearer":
            return None
        try:
            head = jwt.get_unverified_header(text)
            key = self.keys.get(head.get("kid", ""))
            if key is None:
                return None
            options = {"verify_iat": False, "verify_exp": False, "verify_nbf": False, "verify_aud": False}
            claims = jwt.decode(_with_raw_signature(text), key.public, algorithms=["ES256"], options=options)  # type: ignore[arg-type]
        except (jwt.InvalidTokenError, json.JSONDecodeError, ValueError):
            return None
        issued_at = claims.get("iat")
        if claims.get("iss") != key.team_id or not isinstance(issued_at, (int, float)):
            return None
        return ProviderToken(key, issued_at)


def _with_raw_signature(token: bytes) -> bytes:
    """The token, its signature as RFC 7518 wants it. Apple also takes ASN.1's DER, in which older clients sign.

    Raises: ValueError.
    """
    signed, _, signature = token.rpartition(b".")
    plain = base64url_decode(signature)
    if len(plain) == 2 * _NUMBER_SIZE:
        return token
    r, s = decode_dss_signature(plain)
    return signed + b"." + base64url_encode(number_to_bytes(r, _NUMBER_SIZE) + number_to_bytes(s, _NUMBER_SIZE))


def is_expired(token: ProviderToken, now: float) -> bool:
    return token.issued_at < now - _MAX_AGE_S


def is_from_the_future(token: ProviderToken, now: float) -> bool:
    return token.issued_at > now + _MAX_AGE_S
