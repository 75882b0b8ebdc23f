"""What a campaign is to be, before it exists."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass

from stentor.audience.contract import Selection
from stentor.errors import InvalidInput, InvalidMessage
from stentor.planning.content import Content
from stentor.planning.templates import check_text
from stentor.store.templates import UsedTemplate

LATE = 60.0
"""Seconds for which a start that has passed still counts as now: who made the draft may have been asked meanwhile."""
FARTHEST = 10 * 365.25 * 86_400
"""Seconds from now within which a campaign must start: what is farther away is a mistake in the date."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What is to be sent, to whom and when: all that a campaign is made of.

    Example:
        Draft(Content(message=Message(title="Doors open")), Selection(source="users"), max_rate=500)
    """

    content: Content
    selection: Selection
    _: KW_ONLY
    title: str | None = None
    """For people, in lists and reports; None: as the message's title, or else its body."""
    starts_at: float | None = None
    """Epoch seconds; None: as soon as it is started."""
    max_rate: float | None = None
    """Pushes a second that it is sent at most, over all lanes; None: as fast as they allow."""
    template: UsedTemplate | None = None
    """The saved template that the content was made from (`Stentor.templates.filled`); None: none."""
    collapse_id: str | None = None
    """The id of the campaign whose pushes these replace on a device that has them; None: its own."""

    @property
    def shown_title(self) -> str:
        """What the campaign is called."""
        return self.title or self.content.name or "untitled"

    def check(self, now: float) -> None:
        """See that it can be meant, as far as can be told without its audience and apps.

        Args:
            now: epoch seconds.

        Raises:
            InvalidMessage: names the field of the message.
            InvalidInput: the title, the start or the rate cannot be meant.
        """
        self.content.check()
        if self.title is not None:
            checked("title", self.title)
        if self.starts_at is not None and self.starts_at < now - LATE:
            raise InvalidInput("starts_at", "the campaign would start in the past; leave the time out to start it now")
        if self.starts_at is not None and not self.starts_at - now <= FARTHEST:
            years = FARTHEST / (365.25 * 86_400)
            said = f"the campaign would start more than {years:.0f} years from now; check the date"
            raise InvalidInput("starts_at", said)
        if self.max_rate is not None and not 0 < self.max_rate < math.inf:
            raise InvalidInput("max_rate", "must be a number of pushes a second above 0; leave it out for no limit")


def checked(name: str, text: str) -> str:
    """A text that isn't part of a message, which can be stored. Raises: InvalidInput: it can't; has this name."""
    try:
        return check_text(name, text)
    except InvalidMessage as error:
        raise InvalidInput(name, error.problem) from None
