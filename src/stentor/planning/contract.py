"""What other stages may know of planning: when each recipient of a campaign gets it, as it is stored with it. Pure."""

from __future__ import annotations

import re
from datetime import datetime, tzinfo
from typing import Literal

import msgspec

from stentor.errors import InvalidInput
from stentor.planning.timing.quiet import QuietHours, read_quiet
from stentor.zones import zone_of

SKIP, NOW = "skip", "now"
"""What `no_zone` says in place of a zone."""
LONGEST_SPREAD = 7 * 86_400.0
"""Seconds."""
FIRST_YEAR, LAST_YEAR = 2000, 2200
"""Of a local time that somebody can mean."""
_WALL = re.compile(r"\d{4}-\d\d-\d\d[T ]\d{1,2}:\d\d(?::\d\d)?", re.ASCII)
_ZONED = re.compile(r"(?<=:\d\d)\s*(Z|UTC|GMT|[+-]\d\d?(:?\d\d)?)$", re.IGNORECASE)
_PASTS = ("now", "skip", "tomorrow")
_THENS = ("hold", "expire")


class Timing(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """When each recipient of a campaign gets it, counted from when the campaign starts.

    Example:
        Timing(local_at="2030-01-31T18:00", no_zone="Europe/Berlin", past="tomorrow", quiet_hours="22:00-08:00")
    """

    local_at: str | None = None
    """The time on the recipient's clock at which it is sent: `2030-01-31T18:00`. None: when the campaign starts."""
    no_zone: str | None = None
    """What happens to recipients without a time zone that is known, if it is needed: `skip` leaves them out, `now`
    sends to them when the campaign starts, and a zone such as `Europe/Berlin` or `+02:00` stands in for theirs. None:
    the campaign doesn't start if there are any; those who come later are left out."""
    past: Literal["now", "skip", "tomorrow"] | None = None
    """What happens to recipients whose local time was past when the campaign started: `now` sends to them then, `skip`
    leaves them out, and `tomorrow` waits for the same time of the next day. None: the campaign doesn't start if they
    are more than `past_share`; if there are fewer, they are left out."""
    past_share: float = 0.0
    """The share of all recipients whose local time may be past without a rule, from 0 to 1."""
    quiet_hours: str | None = None
    """Hours on the recipient's clock in which nothing is sent to them: `22:00-08:00`."""
    quiet_then: Literal["hold", "expire"] = "hold"
    """What happens to recipients whose time lies in the quiet hours: `hold` sends when these end, `expire` leaves them
    out."""
    spread: float = 0.0
    """Seconds over which the recipients are spread evenly, from the time that each would have without it."""
    canary: float = 0.0
    """The share of the recipients that is sent to first, from 0 to 1; the others wait until they are released. 0: all
    at once."""
    hold: bool = False
    """Whether all recipients wait until they are released."""

    @property
    def is_gated(self) -> bool:
        """Whether recipients wait until the campaign is released."""
        return self.canary > 0 or self.hold

    @property
    def needs_zone(self) -> bool:
        """Whether the zone of a recipient changes anything."""
        return self.local_at is not None or self.quiet_hours is not None

    @property
    def leaves_open(self) -> bool:
        """Whether it doesn't say what happens to some recipients, if there are such."""
        return (self.needs_zone and self.no_zone is None) or (self.local_at is not None and self.past is None)

    @property
    def changes_instants(self) -> bool:
        """Whether not everybody's instant is the start."""
        return self.needs_zone or bool(self.spread)

    @property
    def afterwards(self) -> Timing:
        """What still holds if the message is sent again to those whom it didn't reach: the quiet hours."""
        if self.quiet_hours is None:
            return ANYTIME
        return Timing(quiet_hours=self.quiet_hours, quiet_then=self.quiet_then, no_zone=self.no_zone)

    @property
    def wall(self) -> datetime | None:
        """`local_at`, without a zone. Raises: InvalidInput."""
        return None if self.local_at is None else read_wall("timing.local_at", self.local_at)

    @property
    def quiet(self) -> QuietHours | None:
        """`quiet_hours`. Raises: InvalidInput."""
        return None if self.quiet_hours is None else read_quiet("timing.quiet_hours", self.quiet_hours)

    @property
    def default_zone(self) -> tzinfo | None:
        """The zone of those without one; None: `no_zone` names none."""
        return zone_of(self.no_zone)

    def check(self) -> None:
        """See that it can be meant. Raises: InvalidInput: names the field, and what to write."""
        _ = self.wall, self.quiet
        if self.no_zone not in (None, SKIP, NOW) and self.default_zone is None:
            said = f"{str(self.no_zone)[:40]!r} is not a time zone"
            raise InvalidInput(
                "timing.no_zone", f"{said}; write `skip`, `now`, or a zone such as Europe/Berlin or +02:00"
            )
        if self.past is not None and self.past not in _PASTS:
            raise InvalidInput("timing.past", f"write one of {', '.join(_PASTS)}")
        if self.quiet_then not in _THENS:
            raise InvalidInput("timing.quiet_then", f"write one of {', '.join(_THENS)}")
        if not 0 <= self.past_share <= 1:
            raise InvalidInput("timing.past_share", "must be a share from 0 to 1, e.g. 0.05 for 5 %")
        if not 0 <= self.canary < 1:
            raise InvalidInput("timing.canary", "must be a share above 0 and below 1, e.g. 0.01 for 1 %")
        if not 0 <= self.spread <= LONGEST_SPREAD:
            raise InvalidInput("timing.spread", f"must be between 0 seconds and {LONGEST_SPREAD / 86_400:.0f} days")
        for name, is_said in (("past", self.past is not None), ("past_share", bool(self.past_share))):
            if is_said and self.local_at is None:
                raise InvalidInput(
                    f"timing.{name}", "is for campaigns at a local time; set `local_at`, or leave it out"
                )
        if self.past is not None and self.past_share:
            raise InvalidInput("timing.past_share", "has no effect beside `past`; leave one of them out")
        if self.quiet_then != "hold" and self.quiet_hours is None:
            raise InvalidInput(
                "timing.quiet_then", "is for campaigns with quiet hours; set `quiet_hours`, or leave it out"
            )
        if self.no_zone is not None and not self.needs_zone:
            raise InvalidInput("timing.no_zone", "has no effect without `local_at` or `quiet_hours`; leave it out")


def waits_for_release(timing: bytes | None, released_at: float | None) -> bool:
    """Whether recipients of a campaign wait until it is released.

    Args:
        timing: as it is stored.
        released_at: epoch seconds; None: it wasn't.
    """
    return timing is not None and released_at is None and decode_timing(timing).is_gated


ANYTIME = Timing()
"""Everybody at once."""


def read_wall(name: str, text: str) -> datetime:
    """`2030-01-31T18:00`, or with a space and with seconds. Raises: InvalidInput: it isn't so; has this name."""
    said = text.strip() if len(text) < 40 else ""
    if (zoned := _ZONED.search(said)) is not None:
        raise InvalidInput(name, f"{text!r} names a zone; leave the {zoned[1]} out: each recipient's own zone counts")
    try:
        if _WALL.fullmatch(said) is None:
            raise ValueError
        day, at = said.replace("T", " ").split(" ")
        found = datetime.fromisoformat(f"{day} {at if at[2] == ':' else f'0{at}'}")
    except ValueError:
        raise InvalidInput(name, f"{text[:40]!r} is not a day and a time; write e.g. 2030-01-31T18:00") from None
    if not FIRST_YEAR <= found.year < LAST_YEAR:
        raise InvalidInput(name, f"{text!r} is not in this century or the next; check the date")
    return found


def encode_timing(timing: Timing | None) -> bytes | None:
    """As it is stored; None: everybody at once."""
    return None if timing in (None, ANYTIME) else msgspec.json.encode(timing)


def decode_timing(stored: bytes | None) -> Timing:
    return ANYTIME if stored is None else msgspec.json.decode(stored, type=Timing)
