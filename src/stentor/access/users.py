"""People who sign in to the dashboard: their names, roles, passwords, and the one-time links that set a password.

Rules: names are compared without case; a password is hashed before a transaction begins; a new password ends all
sessions of the user, and so does disabling; the last admin who can sign in stays one, unless somebody at the command
line says otherwise.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import ColumnElement, Row, delete, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.access import lockout
from stentor.access.caller import Caller
from stentor.access.hashing import Hasher
from stentor.access.log import REFUSED, action_of, write
from stentor.access.password_rules import LONGEST as LONGEST_PASSWORD
from stentor.access.password_rules import check_password, normalized
from stentor.access.scopes import Scope
from stentor.access.signing import Signer
from stentor.access.tokens import LONGEST as LONGEST_TOKEN
from stentor.access.tokens import fingerprint, new_id, new_token
from stentor.errors import Forbidden, InvalidInput, InvalidState, LinkInvalid, SignInRefused, UnknownUser
from stentor.store import flags
from stentor.store.along import Along
from stentor.store.database import Database, insert_or_ignore
from stentor.store.tables import links, sessions, users

LINK_LASTS = 86_400.0
"""Seconds for which a one-time link can be used."""
FIRST_LINKS = 20
"""Links for the first admin that are kept at most: each start of a service makes one."""
LONGEST_NAME = 100
MOST = 1000
"""Users of a page."""
PATH = "/link/"
"""Where the dashboard answers to a link; its token follows."""
_NAME = re.compile(rf"[\w.@+-]{{1,{LONGEST_NAME}}}")
_FIRST_ADMIN = "first admin"
"""The flag whose row is held while the first admin is made, so that there is one."""
_SWEPT = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A user, without the password. Times are epoch seconds."""

    id: str
    name: str
    role: Scope
    created_at: float
    created_by: str
    issuer: str | None = None
    """The OpenID provider that signs this user in; None: a password does."""
    password_at: float | None = None
    """When the password was set; None: there is none yet."""
    disabled_at: float | None = None
    signed_in_at: float | None = None
    """None: never yet."""

    @property
    def caller(self) -> Caller:
        """This user as somebody who asks for something."""
        return Caller(self.id, self.name, "user", self.role)


@dataclass(frozen=True, slots=True, kw_only=True)
class OneTimeLink:
    """What sets a password, once."""

    token: str = field(repr=False)
    ends_at: float
    """Epoch seconds."""
    user: User | None
    """Whose password it sets; None: it makes the first admin."""
    base: str = ""
    """Where the dashboard is; empty: nobody said, and it isn't known."""

    @property
    def url(self) -> str:
        """Where it leads to; only the path, if nobody said where the dashboard is."""
        return f"{self.base}{PATH}{self.token}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who an OpenID provider says somebody is."""

    issuer: str
    subject: str
    """Who it is there; it never changes, and nobody else gets it."""
    name: str
    role: Scope | None
    """None: nobody who has a role here."""


class Users:
    """Users. Every method may raise `StoreUnavailable`; those with a `by` need the scope `admin` unless they say
    otherwise."""

    def __init__(
        self, database: Database, clock: Callable[[], float], hasher: Hasher, signer: Signer, base: str | None = None
    ) -> None:
        """Args:
        base: where the dashboard is: links begin with it.
        """
        self._database = database
        self._clock = clock
        self._hasher = hasher
        self._signer = signer
        self._base = base or ""

    async def add(
        self, by: Caller, name: str, role: Scope, *, password: str | None = None, user_id: str | None = None
    ) -> User:
        """Make a user.

        Args:
            password: None: a one-time link sets it; see `link`.
            user_id: the user's id; left out, one is made.

        Raises:
            InvalidInput: the name or the password is refused.
            InvalidState: the name is taken.
            Forbidden, TooManyAttempts.
        """
        by.require(Scope.ADMIN)
        name = checked_name(name)
        stored = None if password is None else await self._hashed(password, name)
        now = self._clock()
        made = _row_of(name, role, by.name, stored, now)
        made["id"] = user_id or made["id"]
        done = action_of(by, "user.add", made["id"], detail=f"{name}, role {role}", now=now)

        async def change(connection: AsyncConnection) -> None:
            await _insert(connection, made)
            await connection.execute(delete(links).where(links.c.user_id.is_(None)))
            await write(connection, done)

        await self._database.write(change)
        return await self.get(made["id"])

    async def page(self, by: Caller, *, after: str | None = None, limit: int = MOST) -> list[User]:
        """Users in the order of their names without case.

        Args:
            after: the name of the last one that was seen.
        """
        by.require(Scope.ADMIN)
        query = select(*users.c).order_by(users.c.folded).limit(max(1, min(limit, MOST)))
        if after is not None:
            query = query.where(users.c.folded > folded(after))
        return [user_of(row) for row in await self._database.rows(query)]

    async def get(self, user_id: str) -> User:
        """Raises: UnknownUser."""
        return await self._database.ask(lambda connection: _get(connection, users.c.id == user_id, user_id))

    async def find(self, by: Caller, name: str) -> User:
        """The user of this name, or of this id. Raises: UnknownUser, Forbidden."""
        by.require(Scope.ADMIN)
        meant = or_(users.c.folded == folded(name), users.c.id == name)
        return await self._database.ask(lambda connection: _get(connection, meant, name))

    async def set_role(self, by: Caller, user_id: str, role: Scope) -> User:
        """Give a user another role. It counts from the next request on.

        Raises:
            InvalidState: another provider says what this user's role is, or this is the last admin.
            UnknownUser, Forbidden.
        """
        by.require(Scope.ADMIN)

        async def change(connection: AsyncConnection, user: User) -> None:
            if user.issuer is not None:
                raise InvalidState(f"{user.name} has the role that {user.issuer} says; change it there")
            if role is not Scope.ADMIN:
                await self._keep_an_admin(connection, by, user)
            await connection.execute(update(users).where(users.c.id == user.id).values(role=role.value))

        return await self._change(by, user_id, "user.role", change, detail=f"role {role}")

    async def set_password(self, by: Caller, user_id: str, password: str) -> User:
        """Set a user's password, and end all sessions of this user.

        Raises:
            InvalidInput: it is refused; see `password_rules`.
            InvalidState: another provider signs this user in.
            UnknownUser, Forbidden, TooManyAttempts.
        """
        by.require(Scope.ADMIN)
        user = await self.get(user_id)
        _see_that_passwords_count(user)
        stored = await self._hashed(password, user.name)
        key = await self._signer.key(lockout.PURPOSE)

        async def change(connection: AsyncConnection, user: User) -> None:
            await _put_password(connection, key, user, stored, self._clock())

        return await self._change(by, user_id, "user.password", change)

    async def change_password(self, by: Caller, old: str, new: str) -> User:
        """Change one's own password, which ends all one's sessions.

        Raises:
            SignInRefused: the old one is wrong.
            TooManyAttempts: it was wrong too often.
            InvalidInput: the new one is refused.
            InvalidState: another provider signs this user in.
            Forbidden: the caller is no user.
        """
        if by.kind != "user":
            raise Forbidden("only a user has a password")
        user = await self.get(by.id)
        _see_that_passwords_count(user)
        key = await self._signer.key(lockout.PURPOSE)
        check_password(new, user.name)
        async with self._hasher.turn():
            attempt = await lockout.begin(self._database, key, folded(user.name), None, self._clock())
            if not await self._verified(user.id, old):
                raise SignInRefused("the old password is wrong")
            stored = await self._hasher.hash(normalized(new))

        async def change(connection: AsyncConnection, user: User) -> None:
            await lockout.succeed(connection, attempt)
            await _put_password(connection, key, user, stored, self._clock())

        return await self._change(by, user.id, "user.password", change, detail="by the user")

    async def disable(self, by: Caller, user_id: str, *, along: Along[User] | None = None) -> User:
        """Let a user sign in no more, and end all sessions of this user.

        Args:
            along: is written with it.

        Raises:
            InvalidState: this is the last admin.
            UnknownUser, Forbidden.
        """
        by.require(Scope.ADMIN)

        async def change(connection: AsyncConnection, user: User) -> None:
            await self._keep_an_admin(connection, by, user)
            fresh = (users.c.id == user.id) & users.c.disabled_at.is_(None)
            await connection.execute(update(users).where(fresh).values(disabled_at=self._clock()))
            for table in (sessions, links):
                await connection.execute(delete(table).where(table.c.user_id == user.id))

        return await self._change(by, user_id, "user.disable", change, along=along)

    async def enable(self, by: Caller, user_id: str, *, along: Along[User] | None = None) -> User:
        """Let a user sign in again.

        Args:
            along: is written with it.

        Raises: UnknownUser, Forbidden.
        """
        by.require(Scope.ADMIN)

        async def change(connection: AsyncConnection, user: User) -> None:
            await connection.execute(update(users).where(users.c.id == user.id).values(disabled_at=None))

        return await self._change(by, user_id, "user.enable", change, along=along)

    # -- one-time links -----------------------------------------------------------------------------------------------

    async def any(self) -> bool:
        """Whether there is a user."""
        return await self._database.ask(_any_user)

    async def first_link(self) -> OneTimeLink | None:
        """A link that makes the first admin; None: there is a user already. For the terminal in which the service is
        started."""
        now, token = self._clock(), new_token()

        async def change(connection: AsyncConnection) -> bool:
            await connection.execute(delete(links).where(links.c.ends_at <= now))
            if await _any_user(connection):
                return False
            first = links.c.user_id.is_(None)
            newest = select(links.c.hash).where(first).order_by(links.c.created_at.desc()).limit(FIRST_LINKS - 1)
            await connection.execute(delete(links).where(first, links.c.hash.not_in(newest)))
            await _insert_link(connection, token, None, now)
            return True

        made = await self._database.write(change)
        return OneTimeLink(token=token, ends_at=now + LINK_LASTS, user=None, base=self._base) if made else None

    async def link(self, by: Caller, user_id: str, *, along: Along[OneTimeLink] | None = None) -> OneTimeLink:
        """A link with which a user sets a password. It replaces the one before. The old password stays until then.

        Args:
            along: is written with it.

        Raises:
            InvalidState: the user is disabled, or another provider signs this user in.
            UnknownUser, Forbidden.
        """
        by.require(Scope.ADMIN)
        now, token = self._clock(), new_token()

        async def change(connection: AsyncConnection, user: User) -> None:
            _see_that_passwords_count(user)
            if user.disabled_at is not None:
                raise InvalidState(f"{user.name} is disabled; `stentor user enable {user.name}` first")
            await connection.execute(delete(links).where(or_(links.c.ends_at <= now, links.c.user_id == user.id)))
            await _insert_link(connection, token, user.id, now)
            if along is not None:
                await along(connection, self._link_of(token, user, now))

        user = await self._change(by, user_id, "user.link", change)
        return self._link_of(token, user, now)

    async def look_at_link(self, token: str) -> OneTimeLink:
        """What a link is for. It stays as it is: mail programs open links before people do. Raises: LinkInvalid."""
        now = self._clock()
        return await self._database.ask(lambda connection: _open_link(connection, token, now))

    async def use_link(self, token: str, password: str, *, name: str | None = None) -> User:
        """Set the password that a link is for; it can't be used again.

        Args:
            name: of the first admin; the name of any other user is known.

        Raises:
            LinkInvalid: it was used, has expired, is not whole, or there is an admin already.
            InvalidInput: the name or the password is refused; the link can still be used.
            TooManyAttempts.
        """
        link = await self.look_at_link(token)
        if link.user is None:
            return await self._make_first_admin(token, checked_name(name or ""), password)
        user = link.user
        stored = await self._hashed(password, user.name)
        now, request = self._clock(), new_id()
        key = await self._signer.key(lockout.PURPOSE)

        async def change(connection: AsyncConnection, user: User) -> None:
            await _use(connection, token, request, now)
            await _put_password(connection, key, user, stored, now)

        return await self._change(user.caller, user.id, "user.password", change, detail="by a one-time link")

    async def _make_first_admin(self, token: str, name: str, password: str) -> User:
        stored = await self._hashed(password, name)
        now, request = self._clock(), new_id()
        made = _row_of(name, Scope.ADMIN, "a one-time link", stored, now)
        caller = Caller(made["id"], name, "user", Scope.ADMIN)
        done = action_of(caller, "user.add", made["id"], detail="the first admin, by a one-time link", now=now)

        async def change(connection: AsyncConnection) -> None:
            await flags.put(connection, _FIRST_ADMIN, made["id"], now)
            await _use(connection, token, request, now)
            if await _any_user(connection, besides=made["id"]):
                raise LinkInvalid
            await _insert(connection, made)
            await connection.execute(delete(links).where(links.c.user_id.is_(None), links.c.hash != fingerprint(token)))
            await write(connection, done)

        await self._database.write(change)
        return await self.get(made["id"])

    # -- other providers ----------------------------------------------------------------------------------------------

    async def from_provider(self, who: Identity) -> User:
        """The user that a provider signs in, made at the first sign-in; the role is always what the provider says.

        A user of the same name who signs in otherwise stays who that is: the new one gets a longer name.

        Raises: SignInRefused: the provider gives no role, or the user is disabled.
        """
        now = self._clock()
        same = (users.c.issuer == who.issuer) & (users.c.subject == who.subject)
        made = _row_of(_free_name(who.name), who.role or Scope.VIEW, who.issuer, None, now)
        made |= {"issuer": who.issuer, "subject": who.subject}
        longer = f"{made['name'][: LONGEST_NAME - 9]}-{fingerprint(f'{who.issuer} {who.subject}')[:8]}"
        added = action_of(_caller(made), "user.add", made["id"], detail=f"by {who.issuer}", now=now)
        nobody = Caller("", made["name"], "user", Scope.VIEW)
        refused = action_of(nobody, "session.begin", outcome=REFUSED, detail=f"no role by {who.issuer}", now=now)
        change_id = action_of(_caller(made), "user.role", now=now).id

        async def change(connection: AsyncConnection) -> User | None:
            row = (await connection.execute(select(*users.c).where(same).with_for_update())).first()
            if who.role is None:
                known = "unknown" if row is None else row.id
                await connection.execute(delete(sessions).where(sessions.c.user_id == known))
                await write(connection, replace(refused, caller_id=known, object=known))
                return None
            if row is None:
                taken = select(users.c.id).where(users.c.folded == made["folded"])
                if (await connection.execute(taken)).first() is not None:
                    made.update(name=longer, folded=folded(longer))
                await connection.execute(insert_or_ignore(connection, users).values(**made))
                await write(connection, replace(added, caller_name=made["name"]))
            elif row.role != who.role.value:
                await connection.execute(update(users).where(users.c.id == row.id).values(role=who.role.value))
                done = action_of(user_of(row).caller, "user.role", row.id, detail=f"role {who.role}", now=now)
                await write(connection, replace(done, id=change_id))
            found = (await connection.execute(select(*users.c).where(same))).first()
            return None if found is None else user_of(found)

        user = await self._database.write(change)
        if who.role is None:
            raise SignInRefused(f"{who.issuer} gives you no role here; ask an admin")
        if user is None:
            raise SignInRefused("somebody took this name at the same moment; sign in again")
        if user.disabled_at is not None:
            raise SignInRefused(f"{user.name} is disabled here; ask an admin")
        return user

    # -- inside -------------------------------------------------------------------------------------------------------

    def _link_of(self, token: str, user: User, now: float) -> OneTimeLink:
        return OneTimeLink(token=token, ends_at=now + LINK_LASTS, user=user, base=self._base)

    async def _change(
        self,
        by: Caller,
        user_id: str,
        action: str,
        change: Callable[[AsyncConnection, User], Awaitable[None]],
        *,
        detail: str = "",
        along: Along[User] | None = None,
    ) -> User:
        """Change a user and write it down, in one transaction. Returns: the user as it is then."""
        row = action_of(by, action, user_id, detail=detail, now=self._clock())

        async def whole(connection: AsyncConnection) -> User:
            await connection.execute(select(users.c.id).where(users.c.id == user_id).with_for_update())
            await change(connection, await _get(connection, users.c.id == user_id, user_id))
            await write(connection, row)
            changed = await _get(connection, users.c.id == user_id, user_id)
            if along is not None:
                await along(connection, changed)
            return changed

        return await self._database.write(whole)

    async def _keep_an_admin(self, connection: AsyncConnection, by: Caller, user: User) -> None:
        """See that somebody can still manage users. Somebody at the command line always can."""
        if by.kind == "local" or user.role is not Scope.ADMIN or user.disabled_at is not None:
            return
        able = or_(users.c.password.is_not(None), users.c.issuer.is_not(None))
        admins = (users.c.role == Scope.ADMIN.value) & users.c.disabled_at.is_(None) & able
        others = select(users.c.id).where(admins, users.c.id != user.id).order_by(users.c.id).with_for_update()
        if not (await connection.execute(others.limit(1))).all():
            raise InvalidState(f"{user.name} is the last admin; make another one first")

    async def _hashed(self, password: str, name: str) -> str:
        checked = check_password(password, name)
        async with self._hasher.turn():
            return await self._hasher.hash(checked)

    async def _verified(self, user_id: str, password: str) -> bool:
        found = await self._database.rows(select(users.c.password).where(users.c.id == user_id))
        stored = found[0].password if found else None
        return await self._hasher.verify(stored, normalized(password[:LONGEST_PASSWORD]))


def checked_name(name: str) -> str:
    """A name as it is stored. Raises: InvalidInput."""
    name = unicodedata.normalize("NFKC", name.strip())
    if not _NAME.fullmatch(name):
        raise InvalidInput("name", f"must be 1 to {LONGEST_NAME} letters, digits, and any of . _ @ + -")
    return name


def folded(name: str) -> str:
    """A name as it is compared."""
    return unicodedata.normalize("NFKC", name.strip()[: 2 * LONGEST_NAME]).casefold()


def _free_name(name: str) -> str:
    """A name that a provider told, without what names here don't have."""
    plain = re.sub(r"[^\w.@+-]+", "-", unicodedata.normalize("NFKC", name.strip()))
    return plain[:LONGEST_NAME].strip("-") or "user"


def _caller(made: dict[str, Any]) -> Caller:
    return Caller(made["id"], made["name"], "user", Scope(made["role"]))


def user_of(row: Row[Any]) -> User:
    return User(
        id=row.id,
        name=row.name,
        role=Scope(row.role),
        created_at=row.created_at,
        created_by=row.created_by,
        issuer=row.issuer,
        password_at=row.password_at,
        disabled_at=row.disabled_at,
        signed_in_at=row.signed_in_at,
    )


def _see_that_passwords_count(user: User) -> None:
    if user.issuer is not None:
        raise InvalidState(f"{user.name} signs in at {user.issuer}, and has no password here")


# -- rows -------------------------------------------------------------------------------------------------------------


def _row_of(name: str, role: Scope, by: str, stored: str | None, now: float) -> dict[str, Any]:
    return {
        "id": new_id(),
        "name": name,
        "folded": folded(name),
        "role": role.value,
        "password": stored,
        "password_at": None if stored is None else now,
        "created_at": now,
        "created_by": by,
    }


async def _insert(connection: AsyncConnection, made: dict[str, Any]) -> None:
    """Raises: InvalidState: the name is taken."""
    await connection.execute(insert_or_ignore(connection, users).values(**made))
    holder = await connection.scalar(select(users.c.id).where(users.c.folded == made["folded"]))
    if holder != made["id"]:
        raise InvalidState(f"there is a user {made['name']!r} already; choose another name")


async def _get(connection: AsyncConnection, which: ColumnElement[bool], named: str) -> User:
    """Raises: UnknownUser."""
    row = (await connection.execute(select(*users.c).where(which))).first()
    if row is None:
        raise UnknownUser(f"there is no user {named!r}; `stentor user list` shows all users")
    return user_of(row)


async def _any_user(connection: AsyncConnection, besides: str = "") -> bool:
    return (await connection.execute(select(users.c.id).where(users.c.id != besides).limit(1))).first() is not None


async def _put_password(connection: AsyncConnection, key: bytes, user: User, stored: str, now: float) -> None:
    await connection.execute(update(users).where(users.c.id == user.id).values(password=stored, password_at=now))
    await connection.execute(delete(sessions).where(sessions.c.user_id == user.id))
    await connection.execute(delete(links).where(links.c.user_id == user.id, links.c.used_by.is_(None)))
    await lockout.forgive(connection, key, folded(user.name))


async def _insert_link(connection: AsyncConnection, token: str, user_id: str | None, now: float) -> None:
    row = {"hash": fingerprint(token), "user_id": user_id, "created_at": now, "ends_at": now + LINK_LASTS}
    await connection.execute(insert_or_ignore(connection, links).values(**row))


async def _open_link(connection: AsyncConnection, token: str, now: float) -> OneTimeLink:
    if len(token) > LONGEST_TOKEN:
        raise LinkInvalid
    open_ = (links.c.hash == fingerprint(token)) & links.c.used_by.is_(None) & (links.c.ends_at > now)
    row = (await connection.execute(select(*links.c).where(open_))).first()
    if row is None or (row.user_id is None and await _any_user(connection)):
        raise LinkInvalid
    user = None if row.user_id is None else await _get(connection, users.c.id == row.user_id, row.user_id)
    return OneTimeLink(token=token, ends_at=row.ends_at, user=user)


async def _use(connection: AsyncConnection, token: str, request: str, now: float) -> None:
    """Mark a link as used by this request. Raises: LinkInvalid: another one was first."""
    mine = (links.c.hash == fingerprint(token)) & or_(links.c.used_by.is_(None), links.c.used_by == request)
    used = await connection.execute(update(links).where(mine, links.c.ends_at > now).values(used_by=request))
    if not used.rowcount:
        raise LinkInvalid
