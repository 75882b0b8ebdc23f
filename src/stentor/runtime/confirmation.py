"""That what is started is what was looked at: message, audience, and about how many people.

A preview has a confirmation. Whoever starts the campaign may demand that it still holds, so that a script cannot start
another message, for others, or for many more. It is no secret: it only says what was seen.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from stentor.counted import counted
from stentor.errors import InvalidInput, Unconfirmed

TOLERANCE = 0.05
"""How much the count may differ unless told otherwise, as a share: people register while somebody reads a preview."""
_CONFIRMATION = re.compile(r"([0-9a-f]{32})-(\d{1,15})")


def confirmation_of(content: bytes, selection: bytes, recipients: int) -> str:
    """What confirms a message (`encode_content`), an audience (a `Selection` as JSON) and a count."""
    return f"{_digest(content, selection)}-{recipients}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What must hold for a campaign to be started."""

    confirmation: str | None = None
    """A preview's: the message and the audience must be those, and the count about that one."""
    recipients: int | None = None
    """How many there should be."""
    tolerance: float = TOLERANCE
    """By which share the count may differ from either, up or down."""

    def check(self, content: bytes, selection: bytes, recipients: int) -> None:
        """Raises:
        Unconfirmed: something else would be started; says what differs.
        InvalidInput: this is no confirmation, or no tolerance.
        """
        if not 0 <= self.tolerance <= 1:
            raise InvalidInput("tolerance", "must be a share between 0 and 1; 0.05 allows 5 % more or fewer recipients")
        if self.recipients is not None:
            self._compare(self.recipients, recipients)
        if self.confirmation is None:
            return
        found = _CONFIRMATION.fullmatch(self.confirmation)
        if found is None:
            raise InvalidInput("confirmation", "is not a confirmation; a preview gives one")
        if found[1] != _digest(content, selection):
            raise Unconfirmed("The message or the audience is not the one that was previewed; nothing was started.")
        self._compare(int(found[2]), recipients)

    def _compare(self, expected: int, recipients: int) -> None:
        if abs(recipients - expected) > self.tolerance * expected:
            raise Unconfirmed(
                f"{counted(expected, 'recipient')} expected, {recipients:,} counted: that is more than"
                f" {self.tolerance * 100:g} % off; nothing was started."
            )


def _digest(content: bytes, selection: bytes) -> str:
    whole = hashlib.sha256(content)
    whole.update(b"\0" + selection)
    return whole.hexdigest()[:32]
