"""What callers may do. Each scope includes those before it."""

from __future__ import annotations

from enum import StrEnum

from stentor.errors import InvalidInput
from stentor.settings import listed


class Scope(StrEnum):
    """Of an API key; of a user it is the role."""

    VIEW = "view"
    """See campaigns, progress and reports. No addresses, and no message data."""
    WRITE = "write"
    """Make drafts, audiences and installations."""
    SEND = "send"
    """Start, pause, resume, retry and undo campaigns, and send transactional messages."""
    ADMIN = "admin"
    """Manage keys and users, prune, erase, and drain."""

    def covers(self, other: Scope) -> bool:
        """Whether this scope allows what needs the other."""
        return _ORDER[self] >= _ORDER[other]


_ORDER = {scope: number for number, scope in enumerate(Scope)}


def read_scope(field: str, text: str) -> Scope:
    """Raises: InvalidInput: there is no such scope."""
    try:
        return Scope(text)
    except ValueError:
        raise InvalidInput(field, f"{text!r} is not a scope; choose {listed(Scope, 'or')}") from None
