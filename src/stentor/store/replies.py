"""What was answered to requests that carry an idempotency key, so that one that is repeated is answered alike.

A request reserves its key before anything is done, together with an id for whatever it makes. If its process dies, a
repetition takes the key over, with the same id: what was made is found rather than made again. What makes nothing new
(a start, a new text for a key) has its answer kept in the transaction that does it. Rules: of several that ask at once
one works, the others are told to wait; an answer is kept for `KEEP` seconds at least.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import delete, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.errors import InvalidState
from stentor.store.campaigns import new_id
from stentor.store.database import Database, insert_or_ignore
from stentor.store.tables import replies

LEASE = 30.0
"""Seconds for which whoever works on a request is believed to; it is extended meanwhile."""
KEEP = 48 * 3600.0
"""Seconds after which an answer is forgotten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyClaim:
    """The right to work on a request."""

    owner: str
    key: str
    token: str
    reserved: str
    """An id for what it makes."""
    again: bool
    """Somebody began before, and never answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptReply:
    """What was answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Busy:
    """Somebody works on it."""

    seconds: float
    """Until they are believed to be gone."""


class OtherQuestion:
    """The key was used to ask for something else."""


async def claim(
    database: Database, owner: str, key: str, question: bytes, token: str, now: float
) -> KeyClaim | KeptReply | Busy | OtherQuestion:
    """Reserve a key, or say what became of it. A key that is new takes one statement.

    Args:
        question: SHA-256 of what is asked.
        token: another one for each request.
        now: epoch seconds.

    Raises: StoreUnavailable.
    """
    row = {"owner": owner, "key": key, "question": question, "reserved": new_id(now), "token": token}
    fresh = insert_or_ignore(database, replies).values(**row, until=now + LEASE, at=now)
    if made := await database.write_one(fresh.returning(replies.c.reserved)):
        return KeyClaim(owner=owner, key=key, token=token, reserved=made[0].reserved, again=False)
    return await database.write(lambda connection: _claim_again(connection, row, now))


async def _claim_again(
    connection: AsyncConnection, row: Mapping[str, Any], now: float
) -> KeyClaim | KeptReply | Busy | OtherQuestion:
    """Of a key that somebody reserved before; that may have been us, and the word of it was lost."""
    await connection.execute(insert_or_ignore(connection, replies).values(**row, until=now + LEASE, at=now))
    owner, key, token = row["owner"], row["key"], row["token"]
    ours = _is(owner, key)
    found = (await connection.execute(select(replies).where(*ours).with_for_update())).one()
    if found.token == token:
        return KeyClaim(owner=owner, key=key, token=token, reserved=found.reserved, again=False)
    if bytes(found.question) != row["question"]:
        return OtherQuestion()
    if found.status is not None:
        headers = msgspec.json.decode(found.headers, type=dict[str, str])
        return KeptReply(status=found.status, headers=headers, body=bytes(found.body))
    if found.until > now:
        return Busy(found.until - now)
    await connection.execute(update(replies).where(*ours).values(token=token, until=now + LEASE))
    return KeyClaim(owner=owner, key=key, token=token, reserved=found.reserved, again=True)


async def extend(connection: AsyncConnection, claim: KeyClaim, until: float) -> None:
    """Be believed until then (epoch seconds); with 0 the key is given back."""
    await connection.execute(update(replies).where(*_held(claim)).values(until=until))


async def answer(connection: AsyncConnection, claim: KeyClaim, reply: KeptReply) -> bool:
    """Keep what was answered. Returns: whether it is kept; False: somebody else took the request over."""
    headers = msgspec.json.encode(reply.headers)
    said = {"status": reply.status, "headers": headers, "body": reply.body}
    return bool((await connection.execute(update(replies).where(*_held(claim)).values(said))).rowcount)


async def answer_with(connection: AsyncConnection, claim: KeyClaim, reply: KeptReply) -> None:
    """Keep an answer in the transaction of what it tells of. That is not done if somebody else does it.

    Raises: InvalidState: somebody else took the request over.
    """
    if not await answer(connection, claim, reply):
        raise InvalidState("the same request was sent again meanwhile, and the other one does it; ask for its answer")


async def forget(connection: AsyncConnection, now: float) -> int:
    """Delete what was asked more than KEEP seconds ago. Returns: how many that were."""
    over = or_(replies.c.status.is_not(None), replies.c.until < now)
    gone = await connection.execute(delete(replies).where(replies.c.at < now - KEEP, over))
    return gone.rowcount


def _is(owner: str, key: str) -> tuple[Any, ...]:
    return replies.c.owner == owner, replies.c.key == key


def _held(claim: KeyClaim) -> tuple[Any, ...]:
    return *_is(claim.owner, claim.key), replies.c.token == claim.token
