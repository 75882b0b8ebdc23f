"""When the runs of a series are due: a cron line, and the time zone whose clocks it means. Pure.

Rules: of a line that names hours and minutes, a time that the clocks skip is due at the first moment after the gap, and
one that comes twice is due the first time; a line such as `*/30 * * * *` goes by what has passed. An instant is always
later than the one before it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from itertools import islice

from cronsim import CronSim, CronSimError

from stentor.counted import counted
from stentor.errors import InvalidInput
from stentor.zones import LONGEST, names, zone_of

FIELDS = 5
LONGEST_LINE = 200
"""Characters of a cron line."""
COUNTED = 10_000
"""Instants that are counted at most."""
_BACK = (3600.0, 86_400.0, 8 * 86_400.0, 32 * 86_400.0, 370 * 86_400.0)
"""Seconds before a moment in which its newest instant is looked for, the shortest first."""
_EXAMPLE = "write minute, hour, day, month and weekday, e.g. `0 18 * * mon-fri` for 18:00 from Monday to Friday"


@dataclass(frozen=True, slots=True)
class Due:
    """What is due of a recurrence at a moment."""

    newest: float
    """Epoch seconds."""
    oldest: float
    instants: int
    """How many, `newest` among them; COUNTED stands for that many or more."""


@dataclass(frozen=True, slots=True)
class Recurrence:
    """A cron line in a time zone. Raises InvalidInput, when it is made: one of them is none, or it is never due."""

    cron: str
    zone: str

    def __post_init__(self) -> None:
        _zone(self.zone)
        fields = len(self.cron.split())
        if len(self.cron) > LONGEST_LINE or fields != FIELDS:
            raise InvalidInput("cron", f"has {counted(fields, 'field')} instead of {FIELDS}; {_EXAMPLE}")
        try:
            CronSim(self.cron, datetime(2026, 1, 1, tzinfo=UTC))
        except CronSimError as error:
            problem = str(error).removeprefix("Bad ")
            raise InvalidInput("cron", f"the {problem} cannot be read; {_EXAMPLE}") from None

    def after(self, moment: float) -> float | None:
        """The first instant after a moment (epoch seconds); None: there is none in fifty years."""
        return next(self._instants(moment), None)

    def next(self, moment: float, count: int) -> list[float]:
        """The first instants after a moment, in epoch seconds."""
        return list(islice(self._instants(moment), count))

    def due(self, since: float, now: float) -> Due | None:
        """What is due at `now`, given that `since` is the first instant that nobody has looked at; None: nothing."""
        if since > now:
            return None
        instants = 1 + sum(1 for _ in islice(self._until(since, now), COUNTED - 1))
        newest = since
        for back in _BACK:
            newest = max(self._until(max(since, now - back), now), default=since)
            if newest > since or now - back <= since:
                break
        return Due(newest=newest, oldest=since, instants=instants)

    def written(self, moment: float) -> str:
        """An instant as the clocks of the zone show it: `Mon 2026-11-30 18:00 CET`."""
        return f"{datetime.fromtimestamp(moment, _zone(self.zone)):%a %Y-%m-%d %H:%M %Z}"

    def local(self, moment: float) -> str:
        """An instant in the zone, for a title: `2026-11-30 18:00`."""
        return f"{datetime.fromtimestamp(moment, _zone(self.zone)):%Y-%m-%d %H:%M}"

    @property
    def explained(self) -> str:
        """The line in English."""
        return CronSim(self.cron, datetime(2026, 1, 1, tzinfo=UTC)).explain()

    def _until(self, moment: float, last: float) -> Iterator[float]:
        """The instants after `moment`, up to and including `last`."""
        for found in self._instants(moment):
            if found > last:
                return
            yield found

    def _instants(self, moment: float) -> Iterator[float]:
        """Those after a moment. In the hour that comes twice, cronsim gives instants of its first half again."""
        before = moment
        for each in CronSim(self.cron, datetime.fromtimestamp(moment, _zone(self.zone))):
            if (found := each.timestamp()) > before:
                yield found
                before = found


def _zone(name: str) -> tzinfo:
    """Raises: InvalidInput: there is none of this name."""
    if (found := zone_of(name)) is not None:
        return found
    near = difflib.get_close_matches(name[:LONGEST], names(), 1)
    hint = f"did you mean {near[0]}?" if near else "write a name such as Europe/Berlin, or UTC"
    raise InvalidInput("zone", f"there is no time zone {name[:50]!r}; {hint}")
