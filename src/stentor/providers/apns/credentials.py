"""How Stentor shows Apple who it is: provider tokens signed with a key (`ApnsTokenSource`), or a client certificate.

Apple's rules for tokens: at most an hour old, and not renewed more than once in 20 minutes. A token is therefore shared
by all connections and dated back to the last half hour, so that all processes with the same key date theirs alike; and
where the signature can be made without chance (RFC 6979), their tokens are the same to the byte.
"""

from __future__ import annotations

import os
import re
import secrets
import ssl
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import jwt
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID
from jwt.algorithms import ECAlgorithm

from stentor.errors import CredentialError
from stentor.providers.contract import Renewal
from stentor.providers.payload import to_json

STEP = 1800.0
"""Seconds. Tokens are dated back to a multiple of this, and renewed at the next one."""
FLOOR = 1200.0
"""Seconds within which no second token is made, whatever anybody says."""
LIFETIME = 3600.0
USABLE = LIFETIME - 120.0
"""Seconds for which a token serves at most; the rest is for clocks that differ."""

_IDENTIFIER = re.compile(r"[A-Z0-9]{10}")


@dataclass(frozen=True, slots=True)
class _Token:
    value: bytes = field(repr=False)
    issued_at: float
    """What the token says (`iat`); rounded down."""
    made_at: float

    def serves(self, now: float) -> bool:
        return now - self.issued_at < USABLE


class ApnsTokenSource:
    """The provider token of one key, shared by all connections.

    Never older than 50 minutes, never two made within 20 minutes. `clock` gives epoch seconds.
    """

    def __init__(self, *, key_pem: bytes, key_id: str, team_id: str, clock: Callable[[], float]) -> None:
        for name, value in (("key id", key_id), ("team id", team_id)):
            if not _IDENTIFIER.fullmatch(value):
                raise CredentialError(
                    f"APNs {name} {value!r} is not 10 capital letters and digits; Apple's page has it"
                )
        self._key = _load_signing_key(key_pem)
        self._key_id = key_id
        self._team_id = team_id
        self._clock = clock
        self._current: _Token | None = None
        self._previous: _Token | None = None
        self._held_until = 0.0

    @classmethod
    def from_file(cls, path: Path, *, key_id: str, team_id: str, clock: Callable[[], float]) -> Self:
        """From the `.p8` file that Apple gives out.

        Raises: CredentialError: names the file and what to do, never the key.
        """
        try:
            return cls(key_pem=path.read_bytes(), key_id=key_id, team_id=team_id, clock=clock)
        except OSError as error:
            raise CredentialError(f"APNs key {path} cannot be read: {error.strerror}") from None
        except CredentialError as error:
            raise CredentialError(f"APNs key {path}: {error}") from None

    def __repr__(self) -> str:
        made = "none yet" if self._current is None else f"of {self._current.issued_at:.0f}"
        return f"<ApnsTokenSource key {self._key_id} team {self._team_id}, token {made}>"

    async def authorization(self) -> bytes:
        now = self._clock()
        current = self._current
        if current is None or (self._may_make(current, now) and self._is_stale(current, now)):
            current = self._make(now - now % STEP, now)
        return current.value

    async def refused(self, authorization: bytes) -> Renewal:
        now = self._clock()
        current = self._current
        if current is None or authorization != current.value:
            return Renewal(True)
        if not self._may_make(current, now):
            wait = max(current.made_at + FLOOR, self._held_until) - now
            return Renewal(
                False,
                wait,
                f"APNs calls the provider token expired, {now - current.made_at:.0f} s after it was made. The next may"
                f" be made in {wait:.0f} s (Apple allows one in 20 minutes). Check this machine's clock.",
            )
        self._make(now - now % 60, now)
        return Renewal(True)

    def hold(self) -> None:
        now = self._clock()
        self._held_until = now + FLOOR
        if self._previous is not None and self._previous.serves(now):
            self._current, self._previous = self._previous, None

    def _is_stale(self, token: _Token, now: float) -> bool:
        return now - token.issued_at >= STEP or now < token.issued_at - FLOOR  # the latter: the clock was set back

    def _may_make(self, token: _Token, now: float) -> bool:
        """A clock set back by more than the floor must not keep an old token for ever."""
        aged = now - token.made_at >= FLOOR or now < token.made_at - FLOOR
        held = now < self._held_until <= now + FLOOR
        return (aged and not held) or not token.serves(now)

    def _make(self, issued_at: float, now: float) -> _Token:
        claims = {"iss": self._team_id, "iat": int(issued_at)}
        value = "bearer " + _sign(claims, self._key, self._key_id)
        self._previous, self._current = self._current, _Token(value.encode(), issued_at, now)
        return self._current


class _SteadyES256(ECAlgorithm):
    """ES256 whose signature depends on nothing but the key and the message (RFC 6979), where OpenSSL can do that."""

    def sign(self, msg: bytes, key: ec.EllipticCurvePrivateKey) -> bytes:
        try:
            signed = key.sign(msg, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
        except UnsupportedAlgorithm:
            signed = key.sign(msg, ec.ECDSA(hashes.SHA256()))
        r, s = decode_dss_signature(signed)
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def _sign(claims: dict[str, object], key: ec.EllipticCurvePrivateKey, key_id: str) -> str:
    jws = jwt.PyJWS()
    jws.unregister_algorithm("ES256")
    jws.register_algorithm("ES256", _SteadyES256(ECAlgorithm.SHA256))
    return jws.encode(to_json(claims, "claims"), key, algorithm="ES256", headers={"kid": key_id})


def _load_signing_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise CredentialError("not a private key in PEM form; use the .p8 file as Apple gave it out") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise CredentialError("not an APNs key (APNs keys use the curve P-256); use the .p8 file as Apple gave it out")
    return key


@dataclass(frozen=True, slots=True)
class ApnsCertificate:
    """A client certificate, its chain and its key, for connections without provider tokens."""

    path: Path
    topic: str | None
    """The bundle id that the certificate names as its subject's UID."""
    expires_at: float
    """Epoch seconds."""
    _chain: bytes = field(repr=False)
    _key: PrivateKeyTypes = field(repr=False)

    @classmethod
    def load(cls, path: Path, *, key_path: Path | None = None, password: str | None = None, now: float) -> Self:
        """From a PEM file with certificate and key, or with the key in a file of its own (`key_path`), or from a
        PKCS#12 file (`.p12`, `.pfx`).

        Raises: CredentialError: the file is unreadable or incomplete, the password wrong, or the certificate not valid
            at `now` (epoch seconds). Names the file and what to do.
        """
        try:
            content = path.read_bytes()
            if key_path is not None:
                content += b"\n" + key_path.read_bytes()
        except OSError as error:
            raise CredentialError(f"APNs certificate {error.filename} cannot be read: {error.strerror}") from None
        secret = password.encode() if password else None
        key, certificates = (_read_pem if b"-----BEGIN" in content else _read_pkcs12)(content, secret, path)
        certificate = _certificate_of(key, certificates, path)
        _check_dates(certificate, path, now)
        others = [other for other in certificates if other != certificate]
        chain = b"".join(each.public_bytes(serialization.Encoding.PEM) for each in (certificate, *others))
        names = certificate.subject.get_attributes_for_oid(NameOID.USER_ID)
        topic = str(names[0].value) if names else None
        return cls(path, topic, certificate.not_valid_after_utc.timestamp(), chain, key)

    def load_into(self, context: ssl.SSLContext) -> None:
        """Have `context` show this certificate to the server.

        `ssl` reads files only, so one is written for it: readable by this user alone, its key encrypted with a password
        that is never stored, and removed at once.
        """
        password = secrets.token_urlsafe(32).encode()
        key = self._key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(password),
        )
        handle, name = tempfile.mkstemp(suffix=".pem")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(self._chain + key)
            context.load_cert_chain(name, password=password)
        except ssl.SSLError as error:
            raise CredentialError(f"APNs certificate {self.path} cannot be used for TLS: {error.reason}") from None
        finally:
            Path(name).unlink()


Certificates = list[x509.Certificate]


def _read_pem(content: bytes, password: bytes | None, path: Path) -> tuple[PrivateKeyTypes, Certificates]:
    try:
        certificates = x509.load_pem_x509_certificates(content)
    except ValueError:
        raise CredentialError(f"APNs certificate {path} holds no certificate; put it and its key in one file") from None
    try:
        key = serialization.load_pem_private_key(content, password)
    except TypeError:  # a password where none is needed, or none where one is
        problem = "its key needs no password" if password else "its key needs a password"
        raise CredentialError(f"APNs certificate {path}: {problem}") from None
    except (ValueError, UnsupportedAlgorithm):
        problem = "it holds no private key, or the password is wrong; put certificate and key in one file"
        raise CredentialError(f"APNs certificate {path}: {problem}") from None
    return key, certificates


def _read_pkcs12(content: bytes, password: bytes | None, path: Path) -> tuple[PrivateKeyTypes, Certificates]:
    try:
        key, certificate, others = pkcs12.load_key_and_certificates(content, password)
    except (ValueError, UnsupportedAlgorithm):
        problem = "it is neither PEM nor PKCS#12, or the password is wrong"
        raise CredentialError(f"APNs certificate {path}: {problem}") from None
    if key is None or certificate is None:
        problem = "it holds no certificate with its key; export both from the keychain"
        raise CredentialError(f"APNs certificate {path}: {problem}")
    return key, [certificate, *others]


def _certificate_of(key: PrivateKeyTypes, certificates: Certificates, path: Path) -> x509.Certificate:
    public = key.public_key()
    for certificate in certificates:
        if certificate.public_key() == public:
            return certificate
    raise CredentialError(f"APNs certificate {path}: the key in it belongs to another certificate")


def _check_dates(certificate: x509.Certificate, path: Path, now: float) -> None:
    before, after = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now >= after.timestamp():
        raise CredentialError(f"APNs certificate {path} expired on {after:%Y-%m-%d}; make a new one on Apple's page")
    if now < before.timestamp():
        raise CredentialError(
            f"APNs certificate {path} is valid only from {before:%Y-%m-%d}; check this machine's clock"
        )
