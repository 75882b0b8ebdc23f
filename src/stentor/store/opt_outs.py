"""Who said no to a category of messages, or to all of them.

Rules: a no is found by a hash of the installation's key, so that it still holds once the key was erased; the hash is
made with a random key that never leaves the store, so nobody can try keys on a copy of this table alone.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from sqlalchemy import delete, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.store.among import among
from stentor.store.bulk import insert_ignoring
from stentor.store.database import insert_or_ignore
from stentor.store.tables import opt_outs, signing_keys

NAME, SIZE = "opt-outs", 32
_KEY = select(signing_keys.c.value).where(signing_keys.c.name == NAME)
_INSERT = insert_ignoring(opt_outs, "hash", "category", "installation", "at")


@dataclass(frozen=True, slots=True, kw_only=True)
class OptOut:
    """A no."""

    installation: str
    category: str
    """`caps.EVERYTHING`: to all categories."""
    at: float
    """Epoch seconds."""


async def hashing_key(connection: AsyncConnection) -> bytes | None:
    """What hashes are made with; None: nobody said no yet. Once it is there, it never changes."""
    found = (await connection.execute(_KEY)).scalar()
    return None if found is None else bytes(found)


def hash_of(key: bytes, installation: bytes) -> str:
    """What stands for an installation.

    Args:
        key: of `hashing_key`.
        installation: its key, as text.
    """
    return blake2b(installation, digest_size=16, key=key).hexdigest()


async def add(connection: AsyncConnection, installations: Iterable[str], category: str, now: float) -> int:
    """Have these say no. Returns: how many had not."""
    fresh = insert_or_ignore(connection, signing_keys).values(name=NAME, value=secrets.token_bytes(SIZE), at=now)
    await connection.execute(fresh)
    key = await hashing_key(connection)
    assert key is not None
    named = {hash_of(key, each.encode()): each for each in installations}
    mine = (opt_outs.c.category == category, among(connection, opt_outs.c.hash, sorted(named)))
    rows = await connection.execute(select(opt_outs.c.hash, opt_outs.c.installation).where(*mine))
    before = {row.hash: row.installation for row in rows}
    news = [
        {"hash": hashed, "category": category, "installation": each, "at": now}
        for hashed, each in sorted(named.items())
        if hashed not in before
    ]
    await _INSERT.execute(connection, news)
    for hashed in [hashed for hashed, known in before.items() if known is None]:  # was erased, and is here again
        this = update(opt_outs).where(opt_outs.c.hash == hashed, opt_outs.c.category == category)
        await connection.execute(this.values(installation=named[hashed]))
    return len(news)


async def remove(connection: AsyncConnection, installation: str, categories: Collection[str] | None) -> int:
    """Take back what one said to these categories; None: all that it said. Returns: to how many."""
    key = await hashing_key(connection)
    if key is None:
        return 0
    gone = delete(opt_outs).where(opt_outs.c.hash == hash_of(key, installation.encode()))
    if categories is not None:
        gone = gone.where(opt_outs.c.category.in_(sorted(categories)))
    return int((await connection.execute(gone)).rowcount)


async def of(connection: AsyncConnection, installation: str) -> Sequence[OptOut]:
    """What an installation said no to, in order."""
    key = await hashing_key(connection)
    if key is None:
        return []
    mine = select(opt_outs.c.category, opt_outs.c.at).where(opt_outs.c.hash == hash_of(key, installation.encode()))
    rows = await connection.execute(mine.order_by(opt_outs.c.category))
    return [OptOut(installation=installation, category=row.category, at=row.at) for row in rows]


async def page(
    connection: AsyncConnection, category: str | None, after: tuple[str, str] | None, limit: int
) -> Sequence[OptOut]:
    """Those of a category (None: of all), in the order of installation and category, after one of them. Who was erased
    isn't among them."""
    c = opt_outs.c
    query = select(c.installation, c.category, c.at).where(c.installation.is_not(None))
    if category is not None:
        query = query.where(c.category == category)
    if after is not None:
        query = query.where(tuple_(c.installation, c.category) > after)
    rows = await connection.execute(query.order_by(c.installation, c.category).limit(limit))
    return [OptOut(installation=row.installation, category=row.category, at=row.at) for row in rows]


async def erase(connection: AsyncConnection, installation: str) -> None:
    """Forget who it was that said no; the no still holds."""
    await connection.execute(update(opt_outs).where(opt_outs.c.installation == installation).values(installation=None))
