"""Sign-in, and the sessions that it begins: rows in the store, so that each can be ended at any time.

Rules: a session has a new token at each sign-in, and the one before is ended; the store has only the token's hash; who
may do what is read with each request, so a new role or a disabled user counts at once. What a refused sign-in says, and
how long it takes, doesn't depend on whether there is such a user.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.access import lockout
from stentor.access.caller import Caller
from stentor.access.hashing import Hasher
from stentor.access.log import REFUSED, LoggedAction, action_of, write
from stentor.access.password_rules import LONGEST as LONGEST_PASSWORD
from stentor.access.password_rules import normalized
from stentor.access.scopes import Scope
from stentor.access.signing import Signer
from stentor.access.tokens import LONGEST as LONGEST_TOKEN
from stentor.access.tokens import fingerprint, new_id, new_token
from stentor.access.users import User, folded, user_of
from stentor.clock import steady
from stentor.config import AccessConfig
from stentor.errors import SignInRefused, StoreUnavailable
from stentor.store.database import Database, insert_or_ignore
from stentor.store.tables import sessions, users

logger = logging.getLogger(__name__)

NOTED_EVERY = 60.0
"""Seconds between two notes of when a session was last used."""
MOST = 20
"""Sessions of a user; the oldest ends when there is one more."""
REFUSALS, REFUSALS_EVERY = 60, 60.0
"""Refused sign-ins that a process writes to the log at most, and in how many seconds. The next row tells how many more
there were."""
SWEPT = 100
_NOBODY = Caller("", "somebody", "user", Scope.VIEW)
"""Who isn't signed in."""
_JOINED = select(
    sessions.c.id.label("session_id"),
    sessions.c.created_at.label("session_created_at"),
    sessions.c.used_at,
    sessions.c.ends_at,
    *users.c,
).join(users, users.c.id == sessions.c.user_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class UserSession:
    """Somebody who is signed in. Times are epoch seconds."""

    id: str
    user: User
    created_at: float
    used_at: float
    """To a minute."""
    ends_at: float
    """At the latest, however much it is used."""

    @property
    def caller(self) -> Caller:
        return self.user.caller


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """A session with its token, for a cookie."""

    session: UserSession
    token: str = field(repr=False)


class Sessions:
    """Sessions of users. Every method may raise `StoreUnavailable`."""

    def __init__(
        self,
        database: Database,
        clock: Callable[[], float],
        settings: AccessConfig,
        hasher: Hasher,
        signer: Signer,
        passing: Callable[[], float] = steady,
    ) -> None:
        self._database = database
        self._clock = clock
        self._settings = settings
        self._hasher = hasher
        self._signer = signer
        self._refusals = _Refusals(passing)

    async def sign_in(
        self, name: str, password: str, *, address: str | None, previous: str | None = None
    ) -> OpenedSession:
        """Begin a session for a user who knows the password.

        Args:
            address: the network address that asks, if it is known; never one that a client can claim.
            previous: the token of the session that the browser had before. It ends.

        Raises:
            SignInRefused: name or password are wrong, or the user is disabled or signs in elsewhere.
            TooManyAttempts: there were too many failures, or too many sign in just now.
        """
        meant = folded(name)
        key = await self._signer.key(lockout.PURPOSE)
        async with self._hasher.turn():
            now = self._clock()
            attempt = await lockout.begin(self._database, key, meant, address, now)
            rows = await self._database.rows(select(*users.c).where(users.c.folded == meant))
            row = rows[0] if rows else None
            given = normalized(password[:LONGEST_PASSWORD])
            right = await self._hasher.verify(None if row is None else row.password, given)
            if row is None or not right or row.disabled_at is not None or len(password) > LONGEST_PASSWORD:
                await self._refuse("" if row is None else row.id, attempt, address)
                raise SignInRefused
            fresh = await self._hasher.hash(given) if self._hasher.outdated(row.password) else row.password

        async def change(connection: AsyncConnection) -> None:
            await lockout.succeed(connection, attempt)
            same = (users.c.id == row.id) & users.c.password.in_([row.password, fresh])
            if not (await connection.execute(update(users).where(same).values(password=fresh))).rowcount:
                raise SignInRefused  # somebody set another password meanwhile

        user = user_of(row)
        return await self.begin(user, previous=previous, detail=f"from {lockout.network_shown(address)}", also=change)

    async def begin(
        self,
        user: User,
        *,
        previous: str | None = None,
        detail: str = "",
        also: Callable[[AsyncConnection], Any] | None = None,
    ) -> OpenedSession:
        """Begin a session for a user who has proved who it is.

        Args:
            also: what else is written in the same transaction.

        Raises: SignInRefused: the user was disabled meanwhile.
        """
        now, token = self._clock(), new_token()
        ends = now + self._settings.session_lasts
        row = {"id": new_id(), "hash": fingerprint(token), "user_id": user.id}
        times = {"created_at": now, "used_at": now, "ends_at": ends}
        done = action_of(user.caller, "session.begin", user.id, detail=detail, now=now)

        async def change(connection: AsyncConnection) -> None:
            able = (users.c.id == user.id) & users.c.disabled_at.is_(None)
            if not (await connection.execute(update(users).where(able).values(signed_in_at=now))).rowcount:
                raise SignInRefused
            if also is not None:
                await also(connection)
            if previous is not None:
                await connection.execute(delete(sessions).where(sessions.c.hash == fingerprint(previous)))
            mine = sessions.c.user_id == user.id
            newest = select(sessions.c.id).where(mine, sessions.c.hash != row["hash"])
            kept = newest.order_by(sessions.c.created_at.desc(), sessions.c.id).limit(MOST - 1)
            await connection.execute(delete(sessions).where(mine, sessions.c.id.not_in(kept)))
            await connection.execute(insert_or_ignore(connection, sessions).values(**row, **times))
            await write(connection, done)

        await self._database.write(change)
        await self._database.write(lambda connection: _sweep(connection, now))
        return OpenedSession(UserSession(id=row["id"], user=user, **times), token)

    async def find(self, token: str) -> UserSession | None:
        """Whose session a cookie is; None: it has ended, or never was one."""
        if not token or len(token) > LONGEST_TOKEN:
            return None
        rows = await self._database.rows(_JOINED.where(sessions.c.hash == fingerprint(token)))
        now = self._clock()
        row = rows[0] if rows else None
        if row is None or not self._is_alive(row, now):
            return None
        if now - row.used_at >= NOTED_EVERY:
            await self._note_use(row.session_id, now)
        return _session(row)

    async def of_user(self, by: Caller, user_id: str) -> list[UserSession]:
        """A user's sessions, the newest first. Needs the scope `admin`, unless they are one's own.

        Raises: Forbidden.
        """
        _see_that_it_is(by, user_id)
        mine = _JOINED.where(sessions.c.user_id == user_id).order_by(sessions.c.created_at.desc(), sessions.c.id)
        now = self._clock()
        return [_session(row) for row in await self._database.rows(mine) if self._is_alive(row, now)]

    async def end(self, token: str) -> None:
        """Sign out. Does nothing if the session has ended."""
        session = await self.find(token)
        if session is None:
            return
        done = action_of(session.caller, "session.end", session.user.id, now=self._clock())

        async def change(connection: AsyncConnection) -> None:
            await connection.execute(delete(sessions).where(sessions.c.hash == fingerprint(token)))
            await write(connection, done)

        await self._database.write(change)

    async def end_all(self, by: Caller, user_id: str, *, only: str | None = None, besides: str | None = None) -> int:
        """End a user's sessions. Needs the scope `admin`, unless they are one's own.

        Args:
            only: the id of the one that ends.
            besides: the id of one that goes on.

        Returns: how many ended. Raises: Forbidden.
        """
        _see_that_it_is(by, user_id)
        meant = sessions.c.user_id == user_id
        if only is not None:
            meant &= sessions.c.id == only
        if besides is not None:
            meant &= sessions.c.id != besides
        done = action_of(by, "session.end", user_id, detail="one" if only else "all", now=self._clock())

        async def change(connection: AsyncConnection) -> int:
            ended = (await connection.execute(delete(sessions).where(meant))).rowcount
            if ended:
                await write(connection, done)
            return int(ended)

        return await self._database.write(change)

    def _is_alive(self, row: Row[Any], now: float) -> bool:
        idle = now - row.used_at >= self._settings.session_idle
        return row.disabled_at is None and not idle and now < row.ends_at

    async def _note_use(self, session_id: str, now: float) -> None:
        stale = (sessions.c.id == session_id) & (sessions.c.used_at <= now - NOTED_EVERY)

        async def change(connection: AsyncConnection) -> None:
            await connection.execute(update(sessions).where(stale).values(used_at=now))

        try:
            await self._database.write(change)
        except StoreUnavailable as error:
            logger.warning("When a session was last used could not be noted: %s", error)

    async def _refuse(self, user_id: str, attempt: lockout.Attempt, address: str | None) -> None:
        """Write down that a sign-in was refused: with the same statements whether there is such a user or not."""
        now = self._clock()
        row: LoggedAction | None = None
        if (more := self._refusals.may_be_written()) is not None:
            detail = f"from {lockout.network_shown(address)}, {attempt.in_a_row} in a row"
            if wait := attempt.wait(now):
                detail += f", locked for {wait:.0f} s"
            if more:
                detail += f"; and {more} more before it"
            row = action_of(_NOBODY, "session.begin", user_id or "unknown", outcome=REFUSED, detail=detail, now=now)

        async def change(connection: AsyncConnection) -> None:
            await lockout.sweep(connection, now)
            if row is not None:
                await write(connection, row)

        await self._database.write(change)


class _Refusals:
    """Bounds how many refused sign-ins are written to the log."""

    def __init__(self, passing: Callable[[], float]) -> None:
        self._passing = passing
        self._since = float("-inf")
        self._written = 0
        self._more = 0

    def may_be_written(self) -> int | None:
        """How many were left out before this one; None: this one is, too."""
        now = self._passing()
        if now - self._since >= REFUSALS_EVERY:
            self._since, self._written = now, 0
        if self._written >= REFUSALS:
            self._more += 1
            return None
        self._written += 1
        more, self._more = self._more, 0
        return more


def _see_that_it_is(by: Caller, user_id: str) -> None:
    """See that the caller is this user, or an admin. Raises: Forbidden."""
    if (by.kind, by.id) != ("user", user_id):
        by.require(Scope.ADMIN)


def _session(row: Row[Any]) -> UserSession:
    return UserSession(
        id=row.session_id,
        user=user_of(row),
        created_at=row.session_created_at,
        used_at=row.used_at,
        ends_at=row.ends_at,
    )


async def _sweep(connection: AsyncConnection, now: float) -> None:
    """Delete some of the sessions that are over."""
    over = select(sessions.c.id).where(sessions.c.ends_at <= now).order_by(sessions.c.id).limit(SWEPT)
    await connection.execute(delete(sessions).where(sessions.c.id.in_(over.with_for_update(skip_locked=True))))
