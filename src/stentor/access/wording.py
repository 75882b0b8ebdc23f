"""What is said of keys, users and roles: the same words at every door."""

from __future__ import annotations

from stentor import words
from stentor.access.keys import ApiKey
from stentor.access.scopes import Scope
from stentor.access.users import User

ROLES = {
    Scope.VIEW: "See campaigns, progress and reports. No addresses, and nothing that is written to single people.",
    Scope.WRITE: "All of that, and: write drafts, and manage audiences and installations.",
    Scope.SEND: "All of that, and: start, pause, resume, repeat and take back campaigns.",
    Scope.ADMIN: "Everything, including users, API keys, and the log of who did what.",
}
"""What each role of a user, or scope of a key, allows."""


def way_in(user: User) -> str:
    """What a user signs in with."""
    if user.disabled_at is not None:
        return "nothing: disabled"
    if user.issuer is not None:
        return user.issuer
    return "a password" if user.password_at is not None else "nothing yet: no password"


def is_over(key: ApiKey, now: float) -> bool:
    """Whether a key can't be used any more."""
    return key.revoked_at is not None or (key.expires_at is not None and key.expires_at <= now)


def key_state(key: ApiKey, now: float) -> str:
    """Whether a key can be used, and until when, in this machine's time zone."""
    if key.revoked_at is not None:
        return "revoked"
    if key.expires_at is None:
        return "valid"
    return f"{'expired' if is_over(key, now) else 'until'} {words.clock(key.expires_at)[:-3]}"
