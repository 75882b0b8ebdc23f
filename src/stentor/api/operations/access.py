"""Who may do what: API keys, users, and the log of who did what. All but `whoami` need the scope `admin`."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Literal

from msgspec import Meta

from stentor.access import shapes
from stentor.access.keys import OVERLAP, ApiKey
from stentor.access.log import ActionFilter
from stentor.access.scopes import Scope
from stentor.access.shapes import (
    ActionShape,
    ApiKeyShape,
    IssuedKeyShape,
    OneTimeLinkShape,
    UserShape,
)
from stentor.access.users import OneTimeLink
from stentor.api.cursors import Cursors
from stentor.api.operation import Call, Fields, Made, Operations
from stentor.errors import InvalidState, UnknownKey, UnknownUser
from stentor.recording.shapes import Shape

operations = Operations("Access")
MOST, USUAL = 200, 50
"""Rows of a page."""


class PageQuery(Fields, frozen=True, kw_only=True):
    limit: Annotated[int, Meta(ge=1, le=MOST)] = USUAL
    """How many."""
    cursor: str | None = None
    """`next` of the page before."""


class LogQuery(PageQuery, frozen=True, kw_only=True):
    caller_id: str | None = None
    """Only what this key or user did."""
    action: str | None = None
    """Only this action, e.g. `campaign.start`."""
    object: str | None = None
    """Only what was done to this: the id of a campaign, say."""
    outcome: Literal["done", "refused", "failed"] | None = None


class CallerShape(Shape, frozen=True, kw_only=True):
    """Who asks."""

    id: str
    name: str
    kind: str
    """`key` or `user`."""
    scope: str


class KeysPage(Shape, frozen=True, kw_only=True):
    keys: list[ApiKeyShape]
    next: str | None
    """The cursor of the next page. Null: this is the last one."""


class UsersPage(Shape, frozen=True, kw_only=True):
    users: list[UserShape]
    next: str | None
    """The cursor of the next page. Null: this is the last one."""


class ActionsPage(Shape, frozen=True, kw_only=True):
    actions: list[ActionShape]
    next: str | None
    """The cursor of the next page. Null: this is the last one."""


class NewKeyFields(Fields, frozen=True, kw_only=True):
    name: str
    """What the key is for, e.g. the program that uses it."""
    scope: Scope = Scope.VIEW
    """What it may do. Each scope includes those before it."""
    expires_at: float | None = None
    """When it ends, in epoch seconds. Left out: never."""


class RollFields(Fields, frozen=True, kw_only=True):
    overlap: float = OVERLAP
    """Seconds for which the old text stays valid."""


class NewUserFields(Fields, frozen=True, kw_only=True):
    name: str
    role: Scope = Scope.VIEW
    """What the user may do. Each role includes those before it."""


class RoleFields(Fields, frozen=True, kw_only=True):
    role: Scope


class EndedShape(Shape, frozen=True, kw_only=True):
    ended: int
    """Sessions."""


@operations.get("/me", Scope.VIEW)
async def whoami(call: Call) -> CallerShape:
    """Whose key this is, and what it may do."""
    caller = call.caller
    return CallerShape(id=caller.id, name=caller.name, kind=caller.kind, scope=caller.scope.value)


@operations.get("/keys", Scope.ADMIN)
async def list_keys(call: Call, query: PageQuery) -> KeysPage:
    """API keys, without their texts."""
    after, cursors = await _place(call, "keys", query)
    found = await call.stentor.access.keys.page(call.caller, after=after, limit=query.limit + 1)
    page, following = found[: query.limit], None
    if len(found) > query.limit:
        following = cursors.make(("keys",), [page[-1].id], call.now)
    return KeysPage(keys=[shapes.api_key(each) for each in page], next=following)


@operations.post("/keys", Scope.ADMIN, status=201, shape=IssuedKeyShape)
async def create_key(call: Call, body: NewKeyFields) -> Made:
    """Make an API key. Its text is shown only now: an answer to a repeated request has none."""
    keys = call.stentor.access.keys
    if call.again and call.reserved is not None:
        with suppress(UnknownKey):  # the text is gone with the answer that nobody got: roll the key
            found = shapes.api_key(await keys.find(call.caller, call.reserved))
            return Made(shape=IssuedKeyShape(key=None, about=found))
    made = await keys.create(call.caller, body.name, body.scope, expires_at=body.expires_at, key_id=call.reserved)
    return Made(shape=shapes.issued(made), kept=shapes.issued(made, shown=False))


@operations.get("/keys/{key}", Scope.ADMIN, raises=(UnknownKey,))
async def get_key(call: Call, key: str) -> ApiKeyShape:
    """An API key, without its text."""
    return shapes.api_key(await call.stentor.access.keys.find(call.caller, key))


@operations.post("/keys/{key}/roll", Scope.ADMIN, raises=(UnknownKey, InvalidState), shape=IssuedKeyShape)
async def roll_key(call: Call, key: str, body: RollFields) -> Made:
    """Give a key a new text. The old one stays valid for a while.

    The new text is shown only now: an answer to a repeated request has none. Roll the key again if nobody has it.
    """

    def kept(rolled: ApiKey) -> Made:  # without the text, which is shown once
        return Made(shape=IssuedKeyShape(key=None, about=shapes.api_key(rolled)), status=200)

    made = await call.stentor.access.keys.roll(call.caller, key, overlap=body.overlap, along=call.along(kept))
    return Made(shape=shapes.issued(made), kept=shapes.issued(made, shown=False), status=200)


@operations.delete("/keys/{key}", Scope.ADMIN, raises=(UnknownKey,))
async def revoke_key(call: Call, key: str) -> None:
    """End a key for good. Every process refuses it within five seconds."""
    await call.stentor.access.keys.revoke(call.caller, key)


@operations.get("/users", Scope.ADMIN)
async def list_users(call: Call, query: PageQuery) -> UsersPage:
    """The users of the dashboard."""
    after, cursors = await _place(call, "users", query)
    found = await call.stentor.access.users.page(call.caller, after=after, limit=query.limit + 1)
    page, following = found[: query.limit], None
    if len(found) > query.limit:
        following = cursors.make(("users",), [page[-1].name], call.now)
    return UsersPage(users=[shapes.user(each) for each in page], next=following)


@operations.post("/users", Scope.ADMIN, status=201, raises=(InvalidState,), shape=UserShape)
async def create_user(call: Call, body: NewUserFields) -> Made:
    """Make a user without a password. Ask for a link, by which the user sets one."""
    users = call.stentor.access.users
    if call.again and call.reserved is not None:
        with suppress(UnknownUser):
            return Made(shape=shapes.user(await users.find(call.caller, call.reserved)))
    return Made(shape=shapes.user(await users.add(call.caller, body.name, body.role, user_id=call.reserved)))


@operations.get("/users/{user}", Scope.ADMIN, raises=(UnknownUser,))
async def get_user(call: Call, user: str) -> UserShape:
    """A user of the dashboard."""
    return shapes.user(await call.stentor.access.users.find(call.caller, user))


@operations.put("/users/{user}/role", Scope.ADMIN, raises=(UnknownUser, InvalidState))
async def set_role(call: Call, user: str, body: RoleFields) -> UserShape:
    """Change what a user may do."""
    return shapes.user(await call.stentor.access.users.set_role(call.caller, user, body.role))


@operations.post("/users/{user}/link", Scope.ADMIN, raises=(UnknownUser, InvalidState), shape=OneTimeLinkShape)
async def link_user(call: Call, user: str) -> Made:
    """Make a link by which a user sets a password, once.

    It is shown only now: an answer to a repeated request has none. Ask for another link if nobody has it.
    """

    def kept(made: OneTimeLink) -> Made:
        return Made(shape=shapes.link(made, shown=False), status=200)

    made = await call.stentor.access.users.link(call.caller, user, along=call.along(kept))
    return Made(shape=shapes.link(made), kept=shapes.link(made, shown=False), status=200)


@operations.post("/users/{user}/disable", Scope.ADMIN, raises=(UnknownUser, InvalidState))
async def disable_user(call: Call, user: str) -> UserShape:
    """Keep a user out from now on, and end all sessions."""
    return shapes.user(await call.stentor.access.users.disable(call.caller, user, along=call.along(shapes.user)))


@operations.post("/users/{user}/enable", Scope.ADMIN, raises=(UnknownUser,))
async def enable_user(call: Call, user: str) -> UserShape:
    """Let a user in again."""
    return shapes.user(await call.stentor.access.users.enable(call.caller, user, along=call.along(shapes.user)))


@operations.post("/users/{user}/sign-out", Scope.ADMIN, raises=(UnknownUser,))
async def sign_out_user(call: Call, user: str) -> EndedShape:
    """End all sessions of a user."""
    await call.stentor.access.users.find(call.caller, user)
    return EndedShape(ended=await call.stentor.access.sessions.end_all(call.caller, user))


@operations.get("/log", Scope.ADMIN)
async def list_actions(call: Call, query: LogQuery) -> ActionsPage:
    """Who did what, the newest first."""
    cursors = Cursors(await call.stentor.access.signing_key())
    question = ("log", query.caller_id, query.action, query.object, query.outcome)
    after = None if query.cursor is None else str(cursors.read(question, query.cursor, call.now)[0])
    wanted = ActionFilter(caller_id=query.caller_id, action=query.action, object=query.object, outcome=query.outcome)
    found = await call.stentor.access.log.page(call.caller, wanted, after=after, limit=query.limit + 1)
    page = found[: query.limit]
    more = len(found) > query.limit
    return ActionsPage(
        actions=[shapes.action(each) for each in page],
        next=cursors.make(question, [page[-1].id], call.now) if more else None,
    )


async def _place(call: Call, name: str, query: PageQuery) -> tuple[str | None, Cursors]:
    cursors = Cursors(await call.stentor.access.signing_key())
    return None if query.cursor is None else str(cursors.read((name,), query.cursor, call.now)[0]), cursors
