"""Signs what comes back later: one random key in the store, made at the first use, the same for all processes.

Rules: what is signed for one purpose is worth nothing for another; a signature is compared in constant time.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
import struct
import time

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.store.database import Database, insert_or_ignore
from stentor.store.tables import signing_keys

NAME = "signing"
SIZE = 32
LONGEST = 4096
"""Characters of a sealed value that is looked at."""
_STORED = select(signing_keys.c.value).where(signing_keys.c.name == NAME)
_HEAD = struct.Struct(">d")


async def signing_key(database: Database) -> bytes:
    """The key, made if there is none yet. It never changes, so it may be kept. Raises: StoreUnavailable."""
    found = await database.rows(_STORED)
    if found:
        return bytes(found[0].value)
    fresh = secrets.token_bytes(SIZE)

    async def make(connection: AsyncConnection) -> bytes:
        row = insert_or_ignore(connection, signing_keys).values(name=NAME, value=fresh, at=time.time())
        await connection.execute(row)
        return bytes((await connection.execute(_STORED)).scalar_one())

    return await database.write(make)


class Signer:
    """The key of one database, read once."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._key: bytes | None = None

    def __repr__(self) -> str:
        return f"<Signer of {self._database.name}>"

    async def key(self, purpose: str) -> bytes:
        """The key for one purpose. Raises: StoreUnavailable."""
        if self._key is None:
            self._key = await signing_key(self._database)
        return derive(self._key, purpose)


def derive(key: bytes, purpose: str) -> bytes:
    """A key for one purpose, of which the others can't be computed."""
    return hmac.digest(key, purpose.encode(), "sha256")


def seal(key: bytes, content: bytes, ends_at: float) -> str:
    """A text that only we can make, and everybody can read. `unseal` takes it until `ends_at` (epoch seconds)."""
    signed = _HEAD.pack(ends_at) + content
    return base64.urlsafe_b64encode(hmac.digest(key, signed, "sha256") + signed).decode().rstrip("=")


def unseal(key: bytes, sealed: str, now: float) -> bytes | None:
    """The content of what `seal` made with this key; None: it is something else, or its time is over."""
    if len(sealed) > LONGEST or not sealed.isascii():
        return None
    try:
        raw = base64.b64decode(sealed + "=" * (-len(sealed) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    mac, signed = raw[:32], raw[32:]
    if not hmac.compare_digest(mac, hmac.digest(key, signed, "sha256")) or len(signed) < _HEAD.size:
        return None
    return signed[_HEAD.size :] if now < _HEAD.unpack_from(signed)[0] else None
