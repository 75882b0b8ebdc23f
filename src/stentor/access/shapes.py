"""What is told of keys, users, sessions and the log as JSON: the command line's `--json` and the API say the same.

Times are epoch seconds. Rules: a field that is there stays there with its meaning; no shape has a secret, but for the
one that shows a new key or a new link.
"""

from __future__ import annotations

from stentor.access.keys import ApiKey, IssuedKey
from stentor.access.log import LoggedAction
from stentor.access.sessions import UserSession
from stentor.access.users import OneTimeLink, User
from stentor.recording.shapes import Shape


class ApiKeyShape(Shape, frozen=True, kw_only=True):
    """An API key, without its text."""

    id: str
    name: str
    scope: str
    """`view`, `write`, `send` or `admin`. Each includes those before it."""
    created_at: float
    created_by: str
    expires_at: float | None
    """Null: never."""
    revoked_at: float | None
    last_used_at: float | None
    """To a minute. Null: never yet."""
    old_until: float | None
    """Until when the text from before it was rolled is valid. Null: there is none, or it has ended."""
    old_used_at: float | None
    """When that text was last used, to a minute."""


class IssuedKeyShape(Shape, frozen=True, kw_only=True):
    """A new key, or one that was rolled. Its text is shown only here."""

    key: str | None
    """The text that a program sends. Null in the answer to a repeated request."""
    about: ApiKeyShape


class UserShape(Shape, frozen=True, kw_only=True):
    """A user of the dashboard."""

    id: str
    name: str
    role: str
    """`view`, `write`, `send` or `admin`. Each includes those before it."""
    created_at: float
    created_by: str
    issuer: str | None
    """The OpenID provider that signs this user in. Null: a password does."""
    password_at: float | None
    """When the password was set. Null: there is none yet."""
    disabled_at: float | None
    signed_in_at: float | None


class OneTimeLinkShape(Shape, frozen=True, kw_only=True):
    """A link that sets a password, once."""

    link: str | None
    """Null in the answer to a repeated request. The whole address; or only its path, if the API listens
    beyond this machine and `api.public_url` isn't set."""
    ends_at: float
    user: UserShape | None
    """Whose password it sets. Null: it makes the first admin."""


class SessionShape(Shape, frozen=True, kw_only=True):
    """A browser in which a user is signed in."""

    id: str
    created_at: float
    used_at: float
    """To a minute."""
    ends_at: float


class ActionShape(Shape, frozen=True, kw_only=True):
    """What somebody did."""

    id: str
    at: float
    caller_id: str
    caller_name: str
    caller_kind: str
    """`key`, `user` or `local` (the command line)."""
    action: str
    object: str
    """The id of what it was done to."""
    outcome: str
    """`done`, `refused` or `failed`."""
    detail: str


def api_key(each: ApiKey) -> ApiKeyShape:
    return ApiKeyShape(
        id=each.id,
        name=each.name,
        scope=each.scope.value,
        created_at=each.created_at,
        created_by=each.created_by,
        expires_at=each.expires_at,
        revoked_at=each.revoked_at,
        last_used_at=each.last_used_at,
        old_until=each.old_until,
        old_used_at=each.old_used_at,
    )


def issued(each: IssuedKey, *, shown: bool = True) -> IssuedKeyShape:
    return IssuedKeyShape(key=each.text if shown else None, about=api_key(each.key))


def user(each: User) -> UserShape:
    return UserShape(
        id=each.id,
        name=each.name,
        role=each.role.value,
        created_at=each.created_at,
        created_by=each.created_by,
        issuer=each.issuer,
        password_at=each.password_at,
        disabled_at=each.disabled_at,
        signed_in_at=each.signed_in_at,
    )


def link(each: OneTimeLink, *, shown: bool = True) -> OneTimeLinkShape:
    owner = None if each.user is None else user(each.user)
    return OneTimeLinkShape(link=each.url if shown else None, ends_at=each.ends_at, user=owner)


def session(each: UserSession) -> SessionShape:
    return SessionShape(id=each.id, created_at=each.created_at, used_at=each.used_at, ends_at=each.ends_at)


def action(each: LoggedAction) -> ActionShape:
    return ActionShape(**{name: getattr(each, name) for name in LoggedAction.__slots__})
