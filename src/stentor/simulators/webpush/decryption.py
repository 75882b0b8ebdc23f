"""A browser's side of RFC 8291: its keys, and the messages that only it can read.

Written from the standard with `cryptography`'s HKDF, and shares no code with the sender: an error there is not undone
here. Pure.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from hashlib import blake2b

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""How many private keys P-256 has."""
_HEADER_SIZE, _POINT_SIZE, _TAG_SIZE = 86, 65, 16
LEAST_RECORD_SIZE = 18


class Undecipherable(ValueError):
    """A body that its browser cannot read; says why."""


@dataclass(frozen=True, slots=True)
class Browser:
    """A subscribed browser's keys."""

    key: ec.EllipticCurvePrivateKey = field(repr=False)
    auth: bytes = field(repr=False)

    @classmethod
    def of(cls, name: str, seed: int) -> Browser:
        """The same browser whenever it is asked for."""
        draw = blake2b(f"{seed}/{name}".encode(), digest_size=64).digest()
        number = int.from_bytes(draw[:40]) % (_ORDER - 1) + 1
        return cls(ec.derive_private_key(number, ec.SECP256R1()), draw[48:])

    @property
    def public_key(self) -> bytes:
        return self.key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    def subscription(self, endpoint: str) -> str:
        """As a page stores it: compact JSON."""
        keys = {"p256dh": base64url(self.public_key), "auth": base64url(self.auth)}
        return json.dumps({"endpoint": endpoint, "keys": keys}, separators=(",", ":"))

    def decrypt(self, body: bytes) -> bytes:
        """What was encrypted for this browser.

        Raises: Undecipherable.
        """
        if len(body) < _HEADER_SIZE + _TAG_SIZE + 1:
            raise Undecipherable(f"{len(body)} bytes are too few")
        salt, record_size, id_size = body[:16], int.from_bytes(body[16:20]), body[20]
        if id_size != _POINT_SIZE:
            raise Undecipherable(f"the key id has {id_size} bytes, {_POINT_SIZE} wanted")
        if record_size < max(LEAST_RECORD_SIZE, len(body) - _HEADER_SIZE):
            raise Undecipherable(f"records of {record_size} bytes, and more than one of them")
        point = body[21:_HEADER_SIZE]
        try:
            theirs = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
        except ValueError:
            raise Undecipherable("the key id is no point of the curve") from None
        agreed = self.key.exchange(ec.ECDH(), theirs)
        secret = _expand(self.auth, b"WebPush: info\0" + self.public_key + point, agreed, 32)
        content_key = _expand(salt, b"Content-Encoding: aes128gcm\0", secret, 16)
        nonce = _expand(salt, b"Content-Encoding: nonce\0", secret, 12)
        try:
            padded = AESGCM(content_key).decrypt(nonce, body[_HEADER_SIZE:], None)
        except InvalidTag:
            raise Undecipherable("it was encrypted for somebody else, or wrongly") from None
        content = padded.rstrip(b"\0")
        if not content.endswith(b"\2"):
            raise Undecipherable("the record doesn't end as the last one does")
        return content[:-1]


def _expand(salt: bytes, info: bytes, secret: bytes, length: int) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=length, salt=salt, info=info).derive(secret)


def base64url(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode()
