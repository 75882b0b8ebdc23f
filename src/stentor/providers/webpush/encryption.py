"""A message's body as RFC 8291 wants it: encrypted for one browser, so that no push service can read it.

Pure but for chance. One `aes128gcm` record (RFC 8188) with a key pair and a salt of its own for each message: a shared
pair would save a sixth of the work and tie all recipients to one secret. Made of `cryptography`'s primitives, which let
go of the interpreter's lock while OpenSSL works, so that a thread beside the loop hardly disturbs it.
"""

from __future__ import annotations

import os
from hmac import digest

from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDH,
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

RECORD_SIZE = 4096
OVERHEAD = 103
"""Bytes that encryption adds: 86 of header, 16 of tag, one that ends the record."""
LONGEST_PAYLOAD = RECORD_SIZE - OVERHEAD
"""Every push service takes a body of 4096 bytes; more, none need take."""

_CURVE, _AGREEMENT = SECP256R1(), ECDH()
_SALT_SIZE = 16


def encrypt(payload: bytes, p256dh: bytes, auth: bytes) -> bytes:
    """The body for the browser with this public key and secret.

    Raises: ValueError: `p256dh` is no point of the curve.
    """
    return encrypt_with(payload, p256dh, auth, generate_private_key(_CURVE), os.urandom(_SALT_SIZE))


def encrypt_with(payload: bytes, p256dh: bytes, auth: bytes, key: EllipticCurvePrivateKey, salt: bytes) -> bytes:
    """The same with a given key pair and salt, which must never be used twice."""
    theirs = EllipticCurvePublicKey.from_encoded_point(_CURVE, p256dh)
    ours = public_bytes(key.public_key())
    # HKDF (RFC 5869) with outputs no longer than a hash is an HMAC to extract and one to expand.
    extracted = digest(auth, key.exchange(_AGREEMENT, theirs), "sha256")
    secret = digest(extracted, b"WebPush: info\0" + p256dh + ours + b"\1", "sha256")
    pseudorandom = digest(salt, secret, "sha256")
    content_key = digest(pseudorandom, b"Content-Encoding: aes128gcm\0\1", "sha256")[:16]
    nonce = digest(pseudorandom, b"Content-Encoding: nonce\0\1", "sha256")[:12]
    header = salt + RECORD_SIZE.to_bytes(4) + len(ours).to_bytes(1) + ours
    return header + AESGCM(content_key).encrypt(nonce, payload + b"\2", None)


def public_bytes(key: EllipticCurvePublicKey) -> bytes:
    """A public key as browsers write it: an uncompressed point."""
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
