"""Frequency caps as people write them: at most so many messages to an installation in some time. Pure.

`3 in 24h` counts the last 24 hours, whenever it is asked. `1 a day` and `5 a week` count the recipient's own calendar
day or week; weeks begin on Monday. `2 a day of news` counts the messages of one category alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

EVERYTHING = "all"
"""What says no to every category; no category has this name."""
LONGEST_NAME = 50
"""Characters of a category's name, and of a list's."""
MOST = 1000
"""Messages that a cap may allow."""
LONGEST = 31 * 86_400.0
"""Seconds that a cap may look back."""
DAY, WEEK = 86_400.0, 7 * 86_400.0
_UNITS = {"m": 60.0, "h": 3600.0, "d": DAY}
_CAP = re.compile(r"(\d{1,6}) (?:in (\d{1,6})([mhd])|(?:an?|per) (day|week))(?: of (\S+))?")
_NAME = re.compile(r"[a-z0-9]+([_-][a-z0-9]+)*")
_FORMS = 'write it as "3 in 24h", "1 a day", "5 a week" or "2 a day of news"'


@dataclass(frozen=True, slots=True)
class Cap:
    """At most so many messages to an installation in some time; `str` writes it as `read_cap` reads it."""

    most: int
    rolling: str = ""
    """The time before now that counts, as it is written: `24h`. Empty: a calendar's."""
    calendar: Literal["", "day", "week"] = ""
    """What of the recipient's calendar counts. Empty: the time before now."""
    category: str | None = None
    """Only campaigns of this category count; None: all do."""

    @property
    def seconds(self) -> float:
        """How far back it looks at most. A calendar's day has 25 hours where clocks are put back."""
        if self.calendar:
            return (DAY if self.calendar == "day" else WEEK) + 3600.0
        return int(self.rolling[:-1]) * _UNITS[self.rolling[-1]]

    def __str__(self) -> str:
        span = f"a {self.calendar}" if self.calendar else f"in {self.rolling}"
        return f"{self.most} {span}{f' of {self.category}' if self.category else ''}"


def read_cap(said: str) -> Cap:
    """Raises: ValueError: it is no cap; says what is wrong and what to do, to go after the name of the setting."""
    found = _CAP.fullmatch(" ".join(said.split()).lower())
    if found is None:
        raise ValueError(f"{said[:60]!r} is not a cap; {_FORMS}")
    most, number, unit, calendar, category = found.groups()
    if not int(most):
        raise ValueError(f"{said!r} would send nothing to anybody; leave the cap out")
    if int(most) > MOST:
        raise ValueError(f"{said!r} allows more than {MOST:,} messages; leave the cap out")
    if category is not None:
        category = read_category(category)
    if calendar:
        return Cap(int(most), calendar="day" if calendar == "day" else "week", category=category)
    cap = Cap(int(most), rolling=f"{int(number)}{unit}", category=category)
    if not 0 < cap.seconds <= LONGEST:
        raise ValueError(f"{said!r} must look back at least a minute, and at most {LONGEST / DAY:.0f} days")
    return cap


def read_caps(said: Iterable[str]) -> tuple[Cap, ...]:
    """Each once, in the order given. Raises: ValueError: one is no cap."""
    return tuple(dict.fromkeys(map(read_cap, said)))


def read_category(said: str) -> str:
    """The name of a category; capital letters don't matter. Raises: ValueError: it cannot be one; says why."""
    name = read_name(said, "category")
    if name == EVERYTHING:
        raise ValueError(f"{EVERYTHING!r} stands for all categories, so no category can have this name")
    return name


def read_name(said: str, what: str) -> str:
    """A name of a `what`, in small letters. Raises: ValueError: it cannot be one."""
    name = said.strip().lower()
    if len(name) > LONGEST_NAME or not _NAME.fullmatch(name):
        raise ValueError(
            f"{said[:60]!r} cannot be the name of a {what}; use up to {LONGEST_NAME} letters a-z and digits, with"
            " single hyphens or underscores between them"
        )
    return name
