"""What a campaign is to be, before it exists."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from datetime import UTC
from functools import partial
from typing import TypeVar

import msgspec

from stentor.audience.contract import Selection
from stentor.caps import read_caps, read_category, read_name
from stentor.errors import InvalidInput, InvalidMessage
from stentor.planning.content import Content
from stentor.planning.contract import ANYTIME, Timing
from stentor.planning.templates import check_text
from stentor.store.caring import NO_CARE, CareSettings
from stentor.store.templates import UsedTemplate

S = TypeVar("S")
T = TypeVar("T")

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
    timing: Timing = ANYTIME
    """When each recipient gets it, counted from the start."""
    care: CareSettings = NO_CARE
    """Whom it leaves alone: its category, exclusion lists, campaigns that reached them, caps of its own."""
    template: UsedTemplate | None = None
    """The saved template that the content was made from (`Stentor.templates.filled`); None: none."""
    collapse_id: str | None = None
    """The id of the campaign whose pushes these replace on a device that has them; None: its own."""

    pause_above: float | None = None
    """The share of failures on a lane above which it pauses by itself, e.g. 0.2; 1: it never does; None: as the
    settings say."""

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
            InvalidInput: the title, the start, the rate or the timing cannot be meant.
        """
        self.content.check()
        if self.title is not None:
            checked("title", self.title)
        if self.starts_at is not None and self.starts_at < now - LATE:
            raise InvalidInput("starts_at", "the campaign would start in the past; leave the time out to start it now")
        if self.starts_at is not None and not self.starts_at - now <= FARTHEST:
            said = f"the campaign would start more than {_years()} years from now; check the date"
            raise InvalidInput("starts_at", said)
        if self.max_rate is not None and not 0 < self.max_rate < math.inf:
            raise InvalidInput("max_rate", "must be a number of pushes a second above 0; leave it out for no limit")
        if self.pause_above is not None and not 0 < self.pause_above <= 1:
            raise InvalidInput("pause_above", "must be a share above 0 and at most 1, e.g. 0.2 for 20 %; 1 is never")
        self.timing.check()
        wall = self.timing.wall
        if wall is not None and abs(wall.replace(tzinfo=UTC).timestamp() - now) > FARTHEST:
            said = f"{self.timing.local_at} is more than {_years()} years away; check the date"
            raise InvalidInput("timing.local_at", said)
        checked_care(self.care)


def _years() -> int:
    return round(FARTHEST / (365.25 * 86_400))


def checked(name: str, text: str) -> str:
    """A text that isn't part of a message, which can be stored. Raises: InvalidInput: it can't; has this name."""
    try:
        return check_text(name, text)
    except InvalidMessage as error:
        raise InvalidInput(name, error.problem) from None


def checked_care(care: CareSettings) -> CareSettings:
    """The same with names in small letters, and caps as they are always written.

    Raises: InvalidInput: a category, the name of a list, or a cap is none.
    """
    category = None if care.category is None else _read("category", read_category, care.category)
    exclude = tuple(dict.fromkeys(_read("exclude", partial(read_name, what="list"), each) for each in care.exclude))
    caps = tuple(str(each) for each in _read("caps", read_caps, care.caps))
    return msgspec.structs.replace(care, category=category, exclude=exclude, caps=caps)


def _read(name: str, read: Callable[[S], T], said: S) -> T:
    try:
        return read(said)
    except ValueError as error:
        raise InvalidInput(name, str(error)) from None
