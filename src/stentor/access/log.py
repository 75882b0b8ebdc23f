"""The log of who did what: a row for each action, in the store, read newest first.

Rules: a row is written in the transaction of what it tells of, if that is in the store; no row has a secret, an
address or a token; every text is cut to a bounded length. With `store.keep_days`, schedulers delete old rows.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.access.caller import Caller
from stentor.access.scopes import Scope
from stentor.store.database import Database, insert_or_ignore
from stentor.store.tables import actions

DONE = "done"
REFUSED = "refused"
FAILED = "failed"
WITH_ADDRESSES = "with addresses"
"""The detail of a row that tells that whole addresses of people were read."""
MOST = 1000
"""Rows of a page."""
LONGEST_ACTION, LONGEST_OBJECT, LONGEST_NAME, LONGEST_DETAIL = 64, 512, 100, 500
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_STAMP, _CHANCE = 11, 9
"""Letters of an id that tell its microsecond, and letters of chance."""
_SAME = 1000
"""Microseconds that an id may be ahead of the time, for the order of rows."""
_SECRET = re.compile(r"stentor_live_\w+|[\w:%+/=-]{40,}")
"""What may be a key, a token or an address: cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedAction:
    """A row of the log."""

    id: str
    """Sorts by time."""
    at: float
    """Epoch seconds."""
    caller_id: str
    caller_name: str
    caller_kind: str
    action: str
    """A noun and a verb, such as `campaign.start`."""
    object: str
    """The id of what it was done to; empty if there is nothing in particular."""
    outcome: str
    """`done`, `refused`, or `failed`."""
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionFilter:
    """Which rows are wanted. None: any."""

    caller_id: str | None = None
    action: str | None = None
    object: str | None = None
    outcome: str | None = None
    since: float | None = None
    """Epoch seconds, included."""
    until: float | None = None
    """Epoch seconds, excluded."""


def action_of(
    caller: Caller, action: str, object_id: str = "", *, outcome: str = DONE, detail: str = "", now: float
) -> LoggedAction:
    """The row for something that a caller did at `now` (epoch seconds). Secrets in its texts are cut."""
    return LoggedAction(
        id=_id_at(_STAMPS.next(now)) + "".join(secrets.choice(_ALPHABET) for _ in range(_CHANCE)),
        at=now,
        caller_id=caller.id[:LONGEST_OBJECT],
        caller_name=_plain(caller.name, LONGEST_NAME),
        caller_kind=caller.kind,
        action=action[:LONGEST_ACTION],
        object=_plain(object_id, LONGEST_OBJECT),
        outcome=outcome,
        detail=_plain(detail, LONGEST_DETAIL),
    )


async def write(connection: AsyncConnection, row: LoggedAction) -> None:
    """Write a row as part of a transaction; once, however often that runs."""
    values = {name: getattr(row, name) for name in LoggedAction.__slots__}
    await connection.execute(insert_or_ignore(connection, actions).values(**values))


class ActionLog:
    """Reads and writes the log. Every method may raise `StoreUnavailable`."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    async def record(
        self, caller: Caller, action: str, object_id: str = "", outcome: str = DONE, detail: str = ""
    ) -> None:
        """Write down that a caller did something."""
        await self.add(action_of(caller, action, object_id, outcome=outcome, detail=detail, now=self._clock()))

    async def add(self, row: LoggedAction) -> None:
        """Write a row."""
        await self._database.write(lambda connection: write(connection, row))

    async def page(
        self, by: Caller, wanted: ActionFilter | None = None, *, after: str | None = None, limit: int = 50
    ) -> list[LoggedAction]:
        """The newest rows first.

        Args:
            after: the id of the last row that was seen; the page goes on behind it.
            limit: rows at most; MOST of them, however many are asked for.

        Raises: Forbidden: it needs the scope `admin`.
        """
        by.require(Scope.ADMIN)
        query = _filtered(wanted or ActionFilter()).order_by(actions.c.id.desc()).limit(max(1, min(limit, MOST)))
        if after is not None:
            query = query.where(actions.c.id < after)
        return [_action(row) for row in await self._database.rows(query)]


def _filtered(wanted: ActionFilter) -> Select[Any]:
    query = select(*actions.c)
    for name in ("caller_id", "action", "object", "outcome"):
        if (value := getattr(wanted, name)) is not None:
            query = query.where(actions.c[name] == _plain(value, LONGEST_OBJECT))
    if wanted.since is not None:
        query = query.where(actions.c.id >= _first_id(wanted.since))
    if wanted.until is not None:
        query = query.where(actions.c.id < _first_id(wanted.until))
    return query


class _Stamps:
    """Microseconds for ids: what one process writes at the same time keeps its order."""

    def __init__(self) -> None:
        self._last = 0

    def next(self, at: float) -> int:
        micros = _micros(at)
        if 0 <= self._last - micros < _SAME:
            micros = self._last + 1
        self._last = micros
        return micros


_STAMPS = _Stamps()


def _micros(at: float) -> int:
    return min(max(0, int(at * 1_000_000)), (1 << 5 * _STAMP) - 1)


def _first_id(at: float) -> str:
    """What the ids of all rows of this microsecond begin with."""
    return _id_at(_micros(at))


def _id_at(micros: int) -> str:
    return "".join(_ALPHABET[micros >> shift & 31] for shift in range(5 * (_STAMP - 1), -1, -5))


def _plain(text: str, longest: int) -> str:
    return _SECRET.sub(lambda found: f"{found[0][:6]}…", text[: 4 * longest])[:longest]


def _action(row: Row[Any]) -> LoggedAction:
    return LoggedAction(**row._mapping)
