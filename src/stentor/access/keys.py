"""API keys: made, rolled, revoked, and recognized a thousand times a second.

Rules: a key's text is shown once, and only its SHA-256 is kept; a key keeps its id while it is rolled, so limits and
what was done with it stay together; who is recognized is remembered for KNOWN_FOR seconds at most, so a key that was
revoked is refused by every process after that time.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row, Select, delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.access.caller import Caller
from stentor.access.key_text import is_whole, new_key
from stentor.access.log import action_of, write
from stentor.access.scopes import Scope
from stentor.access.tokens import fingerprint, new_id
from stentor.clock import steady
from stentor.errors import InvalidInput, InvalidState, StoreUnavailable, UnknownKey
from stentor.store.along import Along
from stentor.store.database import Database, insert_or_ignore
from stentor.store.tables import api_keys, key_secrets

logger = logging.getLogger(__name__)

KNOWN_FOR = 4.0
"""Seconds for which what the store said of a key is believed."""
REMEMBERED, REFUSALS_REMEMBERED = 10_000, 1000
"""Keys that are remembered at most: those that exist, and those that don't. A flood of the latter displaces none of the
former."""
AT_ONCE = 2
"""Keys that are looked up at the same time, so that made-up ones leave connections for others."""
NOTED_EVERY = 60.0
"""Seconds between two notes of when a key was last used."""
LONGEST_LIFE = 100 * 365.25 * 86_400.0
"""Seconds until a key ends at most, if it ends."""
OVERLAP = 86_400.0
LONGEST_OVERLAP = 90 * 86_400.0
"""Seconds for which the old text of a rolled key stays valid: unless told otherwise, and at most."""
LONGEST_NAME = 100
MOST = 1000
"""Keys of a page."""
NAMED = 5
"""Keys that are named at most if a name could mean several."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key, without its text. Times are epoch seconds."""

    id: str
    name: str
    scope: Scope
    created_at: float
    created_by: str
    expires_at: float | None = None
    """None: never."""
    revoked_at: float | None = None
    last_used_at: float | None = None
    """To a minute; None: never yet."""
    old_until: float | None = None
    """Until when texts from before it was rolled are still valid; None: none is."""
    old_used_at: float | None = None
    """When one of these was last used, to a minute."""


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A key with its text, which nobody can see again."""

    key: ApiKey
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Known:
    """What the store said of a text."""

    caller: Caller | None
    until: float
    """By the steady clock: how long it is believed."""
    ends_at: float | None = None
    """Epoch seconds."""


class Keys:
    """API keys. Every method may raise `StoreUnavailable`, and all but `authenticate` need the scope `admin`."""

    def __init__(self, database: Database, clock: Callable[[], float], passing: Callable[[], float] = steady) -> None:
        """Args:
        clock: epoch seconds.
        passing: seconds of a clock that never goes back.
        """
        self._database = database
        self._clock = clock
        self._passing = passing
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._refused: OrderedDict[str, _Known] = OrderedDict()
        self._asking: dict[str, asyncio.Task[_Known]] = {}
        self._changes = 0
        """How often something was forgotten: an answer from before that isn't remembered."""
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._noted: OrderedDict[str, float] = OrderedDict()
        self._notes: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<Keys, {len(self._known)} remembered>"

    async def authenticate(self, text: str) -> Caller | None:
        """Whose key this is; None: nobody's, or it was revoked more than KNOWN_FOR seconds ago, or has expired.

        A text that can't be a key is refused without asking the store.
        """
        if not is_whole(text):
            return None
        digest = fingerprint(text)
        known = self._remembered(digest)
        if known is None:
            known = await self._ask(digest)
        if known.caller is None or (known.ends_at is not None and self._clock() >= known.ends_at):
            return None
        self._note_use(digest, known.caller.id)
        return known.caller

    async def create(
        self,
        by: Caller,
        name: str,
        scope: Scope,
        *,
        expires_at: float | None = None,
        key_id: str | None = None,
        along: Along[ApiKey] | None = None,
    ) -> IssuedKey:
        """Make a key.

        Args:
            expires_at: epoch seconds; None: never.
            key_id: its id; left out, one is made.
            along: is written with it.

        Raises:
            InvalidInput: the name is empty or too long, or the time is past.
            Forbidden.
        """
        by.require(Scope.ADMIN)
        now = self._clock()
        name = _checked_name(name)
        if expires_at is not None and not expires_at > now:
            raise InvalidInput("expires_at", "is in the past; name a time to come, or leave it out")
        if expires_at is not None and expires_at > now + LONGEST_LIFE:
            raise InvalidInput("expires_at", "is more than 100 years away; leave it out for a key that never ends")
        text = new_key()
        made = ApiKey(
            id=key_id or new_id(), name=name, scope=scope, created_at=now, created_by=by.name, expires_at=expires_at
        )
        done = action_of(by, "key.create", made.id, detail=f"{name}, scope {scope}", now=now)

        async def change(connection: AsyncConnection) -> None:
            row = insert_or_ignore(connection, api_keys).values(
                id=made.id,
                name=name,
                scope=scope.value,
                created_at=now,
                created_by=by.name,
                expires_at=expires_at,
            )
            await connection.execute(row)
            await _add_secret(connection, made.id, text, now)
            await write(connection, done)
            if along is not None:
                await along(connection, made)

        await self._database.write(change)
        return IssuedKey(made, text)

    async def page(self, by: Caller, *, after: str | None = None, limit: int = MOST) -> list[ApiKey]:
        """Keys in the order of their ids, revoked ones too.

        Args:
            after: the id of the last one that was seen.
        """
        by.require(Scope.ADMIN)
        query = select(*api_keys.c).order_by(api_keys.c.id).limit(max(1, min(limit, MOST)))
        if after is not None:
            query = query.where(api_keys.c.id > after)

        now = self._clock()
        return await self._database.ask(lambda connection: _keys(connection, query, now))

    async def find(self, by: Caller, name: str) -> ApiKey:
        """The key of this id, or the only one of this name that isn't revoked. Raises: UnknownKey."""
        by.require(Scope.ADMIN)
        now = self._clock()

        async def question(connection: AsyncConnection) -> list[ApiKey]:
            found = await _keys(connection, select(*api_keys.c).where(api_keys.c.id == name), now)
            if found:
                return found
            named = (api_keys.c.name == name) & api_keys.c.revoked_at.is_(None)
            return await _keys(connection, select(*api_keys.c).where(named).order_by(api_keys.c.id).limit(NAMED), now)

        found = await self._database.ask(question)
        if not found:
            raise UnknownKey(f"there is no API key {name!r}; `stentor key list` shows all keys")
        if len(found) > 1:
            raise UnknownKey(f"several keys are named {name!r}: {', '.join(each.id for each in found)}; give an id")
        return found[0]

    async def roll(
        self, by: Caller, key_id: str, *, overlap: float = OVERLAP, along: Along[ApiKey] | None = None
    ) -> IssuedKey:
        """Give a key a new text. The old one stays valid for `overlap` seconds; 0: it ends at once.

        A text that was to end earlier than that still does.

        Args:
            along: is written with it.

        Raises:
            InvalidInput: `overlap` is negative or longer than LONGEST_OVERLAP.
            UnknownKey, Forbidden.
            InvalidState: the key is revoked, or has expired.
        """
        by.require(Scope.ADMIN)
        if not 0 <= overlap <= LONGEST_OVERLAP:
            raise InvalidInput("overlap", f"must be from 0 s to {LONGEST_OVERLAP / 86_400:.0f} days")
        now, text = self._clock(), new_key()
        ours, ends = fingerprint(text), now + overlap
        done = action_of(by, "key.roll", key_id, detail=f"the old text is valid for {overlap:.0f} s more", now=now)

        async def change(connection: AsyncConnection) -> ApiKey:
            await connection.execute(select(api_keys.c.id).where(api_keys.c.id == key_id).with_for_update())
            key = await _get(connection, key_id, now)
            if key.revoked_at is not None or (key.expires_at is not None and key.expires_at <= now):
                raise InvalidState(f"the key {key.name!r} is revoked or has expired; make a new one")
            others = (key_secrets.c.key_id == key_id) & (key_secrets.c.hash != ours)
            await connection.execute(delete(key_secrets).where(others, key_secrets.c.until <= now))
            later = or_(key_secrets.c.until.is_(None), key_secrets.c.until > ends)
            await connection.execute(update(key_secrets).where(others, later).values(until=ends))
            await _add_secret(connection, key_id, text, now)
            await write(connection, done)
            rolled = await _get(connection, key_id, now)
            if along is not None:
                await along(connection, rolled)
            return rolled

        key = await self._database.write(change)
        self._forget(key_id)
        return IssuedKey(key, text)

    async def revoke(self, by: Caller, key_id: str) -> ApiKey:
        """End a key for good. Every process refuses it within KNOWN_FOR seconds, this one at once.

        Raises: UnknownKey, Forbidden.
        """
        by.require(Scope.ADMIN)
        now = self._clock()
        done = action_of(by, "key.revoke", key_id, now=now)

        async def change(connection: AsyncConnection) -> ApiKey:
            fresh = (api_keys.c.id == key_id) & api_keys.c.revoked_at.is_(None)
            if (await connection.execute(update(api_keys).where(fresh).values(revoked_at=now))).rowcount:
                await write(connection, done)
            return await _get(connection, key_id, now)

        key = await self._database.write(change)
        self._forget(key_id)
        return key

    async def aclose(self) -> None:
        """Wait for what is being noted, and stop what is being asked."""
        for task in self._asking.values():
            task.cancel()
        await asyncio.gather(*self._notes, *self._asking.values(), return_exceptions=True)

    # -- recognizing --------------------------------------------------------------------------------------------------

    def _remembered(self, digest: str) -> _Known | None:
        for memory in (self._known, self._refused):
            known = memory.get(digest)
            if known is not None:
                if self._passing() < known.until:
                    return known
                del memory[digest]
        return None

    async def _ask(self, digest: str) -> _Known:
        """What the store says; asked once, however many wait for it."""
        task = self._asking.get(digest)
        if task is None:
            task = asyncio.create_task(self._look_up(digest))
            self._asking[digest] = task
            task.add_done_callback(lambda done: self._asked(digest, done))
        return await asyncio.shield(task)

    def _asked(self, digest: str, done: asyncio.Task[_Known]) -> None:
        self._asking.pop(digest, None)
        if not done.cancelled():
            done.exception()  # read here, since nobody may be left who waits for the answer

    async def _look_up(self, digest: str) -> _Known:
        async with self._turn:
            asked, changes = self._passing(), self._changes
            query = (
                select(
                    key_secrets.c.hash,
                    key_secrets.c.until,
                    api_keys.c.id,
                    api_keys.c.name,
                    api_keys.c.scope,
                    api_keys.c.expires_at,
                    api_keys.c.revoked_at,
                )
                .join(api_keys, api_keys.c.id == key_secrets.c.key_id)
                .where(key_secrets.c.hash == digest)
            )
            rows = await self._database.rows(query)
        until = asked + KNOWN_FOR  # from before the store was asked: what changed after that is seen in time
        row = rows[0] if rows else None
        if row is None or not hmac.compare_digest(row.hash, digest) or row.revoked_at is not None:
            refused = _Known(None, until)
            _remember(self._refused, digest, refused, REFUSALS_REMEMBERED)
            return refused
        ends = min((end for end in (row.expires_at, row.until) if end is not None), default=None)
        found = _Known(Caller(row.id, row.name, "key", Scope(row.scope)), until, ends)
        if changes == self._changes:
            _remember(self._known, digest, found, REMEMBERED)
        return found

    def _forget(self, key_id: str) -> None:
        for digest, known in list(self._known.items()):
            if known.caller is not None and known.caller.id == key_id:
                del self._known[digest]
        self._changes += 1

    def _note_use(self, digest: str, key_id: str) -> None:
        now = self._passing()
        if now - self._noted.get(digest, float("-inf")) < NOTED_EVERY:
            return
        self._noted[digest] = now
        self._noted.move_to_end(digest)
        if len(self._noted) > REMEMBERED:
            self._noted.popitem(last=False)
        task = asyncio.create_task(self._write_use(digest, key_id, self._clock()))
        self._notes.add(task)
        task.add_done_callback(self._notes.discard)

    async def _write_use(self, digest: str, key_id: str, now: float) -> None:
        async def change(connection: AsyncConnection) -> None:
            for table, mine in ((api_keys, api_keys.c.id == key_id), (key_secrets, key_secrets.c.hash == digest)):
                stale = or_(table.c.last_used_at.is_(None), table.c.last_used_at <= now - NOTED_EVERY)
                await connection.execute(update(table).where(mine, stale).values(last_used_at=now))

        try:
            await self._database.write(change)
        except StoreUnavailable as error:
            logger.warning("When the key %s was last used could not be noted: %s", key_id, error)


def _remember(memory: OrderedDict[str, _Known], digest: str, known: _Known, most: int) -> None:
    memory[digest] = known
    memory.move_to_end(digest)
    if len(memory) > most:
        memory.popitem(last=False)


def _checked_name(name: str) -> str:
    name = " ".join(name.split())
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise InvalidInput("name", f"must be 1 to {LONGEST_NAME} printable characters")
    return name


# -- rows -------------------------------------------------------------------------------------------------------------


async def _add_secret(connection: AsyncConnection, key_id: str, text: str, now: float) -> None:
    row = insert_or_ignore(connection, key_secrets).values(hash=fingerprint(text), key_id=key_id, created_at=now)
    await connection.execute(row)


async def _get(connection: AsyncConnection, key_id: str, now: float) -> ApiKey:
    """Raises: UnknownKey."""
    found = await _keys(connection, select(*api_keys.c).where(api_keys.c.id == key_id), now)
    if not found:
        raise UnknownKey(f"there is no API key {key_id!r}; `stentor key list` shows all keys")
    return found[0]


async def _keys(connection: AsyncConnection, query: Select[Any], now: float) -> list[ApiKey]:
    rows = (await connection.execute(query)).all()
    still_valid = key_secrets.c.key_id.in_([row.id for row in rows]) & (key_secrets.c.until > now)
    old = (
        select(key_secrets.c.key_id, func.max(key_secrets.c.until), func.max(key_secrets.c.last_used_at))
        .where(still_valid)
        .group_by(key_secrets.c.key_id)
    )
    olds = {key_id: (until, used) for key_id, until, used in await connection.execute(old)}
    return [_key(row, *olds.get(row.id, (None, None))) for row in rows]


def _key(row: Row[Any], old_until: float | None, old_used_at: float | None) -> ApiKey:
    return ApiKey(
        id=row.id,
        name=row.name,
        scope=Scope(row.scope),
        created_at=row.created_at,
        created_by=row.created_by,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
        old_until=old_until,
        old_used_at=old_used_at,
    )
