"""What every source of installations promises.

Rules: rows are read in key order, a page a query, never by OFFSET and never all at once; an audience ends at the key
that was its last when `ranges` was asked, so rows that come, go or change meanwhile shift nobody else in or out.
Cursors are opaque texts that survive being written down.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, Protocol

import msgspec

NO_LANE = ""
"""The lane of an installation whose channel or app isn't configured."""
UNREADABLE_ROW = "UnreadableRow"
"""The reason of an installation of which something cannot be read, or carried to a sender."""


class Condition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a column or attribute must say. A row fulfils it if it has one of the values or begins with one of the
    prefixes (where there are any of either), and has none of the others."""

    values: list[str] = []
    prefixes: list[str] = []
    none_of: list[str] = []
    """A row that says nothing (NULL) has none of these."""


class Selection(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whom a campaign is for. Stored with it."""

    source: str
    """The name of an audience in the configuration; `registry` is the embedded one. Empty with `addresses_of`."""
    filters: dict[str, list[str] | Condition] = {}
    """Column or attribute -> the values that are wanted, or a condition; all filters must hold."""
    segment: str | None = None
    """A condition that must hold as well, as people write it: `country in [DE, AT] and last_seen > now - 7d`."""
    segment_name: str | None = None
    """The name under which the segment was saved when the campaign was made. With no `segment` beside it, it is still
    to be looked up."""
    segment_at: float | None = None
    """What `now` means in the segment, in epoch seconds; None: whenever it is asked."""
    addresses_of: str | None = None
    """The addresses that were named for this message, in place of an audience."""
    only: list[str] | None = None
    """The keys of these installations alone: of a test, or a message."""
    failed_of: str | None = None
    """Those of this campaign that were not reached."""
    reached_by: str | None = None
    """Those whom this campaign reached, or perhaps did."""
    reasons: list[str] | Literal["segment"] = []
    """With `failed_of`: only those that failed for one of these reasons. If none is named, nobody who was left out by a
    rule, as by `skip` in a template. With a segment it is no list, so that an older Stentor, which knows no segments
    and would send to everybody, cannot read the selection."""
    within: Selection | None = None
    """With `failed_of`: whom that campaign was for, so that who of these was never read can be found."""

    def __post_init__(self) -> None:
        if self.failed_of is None and (self.segment is not None or self.segment_name is not None):
            msgspec.structs.force_setattr(self, "reasons", "segment")

    def at(self, moment: float | None) -> Selection:
        """The same, for which it is `moment`."""
        if self.segment is None and self.within is None:
            return self
        within = None if self.within is None else self.within.at(moment)
        return msgspec.structs.replace(self, segment_at=moment, within=within)

    @property
    def origin(self) -> Selection:
        """All of the source that it selects from."""
        return Selection(source=self.source, addresses_of=self.addresses_of)


class Range(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A part of an audience: keys above `after` (None: from the first) up to and including `upto`."""

    after: str | None
    upto: str
    section: str = ""
    """Of an audience that is made of several: which of them, by its own notation."""


LANGUAGE, TIME_ZONE = "(language)", "(time zone)"
"""Variables that no template can name: how an installation writes numbers and moments. An audience that doesn't say
leaves them out."""
_ROLE_OF = MappingProxyType({LANGUAGE: "language", TIME_ZONE: "time_zone"})


LONGEST_ZONE = 65
"""Characters of what is read of a time zone. No zone has so many."""
MOST_ZONES = 5000
"""Values in place of time zones that are counted apart."""


def role_of(name: str) -> str | None:
    """Of one of those variables, the part of an installation that it is; None of any other."""
    return _ROLE_OF.get(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What of each installation the message needs beside its address."""

    language: bool = False
    zone: bool = False
    """Its time zone."""
    variables: tuple[str, ...] = ()
    """Names of columns or attributes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some installations, as columns of equal length."""

    keys: list[bytes]
    """As text; what reports and `explain` show."""
    addresses: list[bytes]
    """Empty where there is none."""
    lanes: list[str] | str
    """Of each, `channel/app` or NO_LANE; one text where all have the same."""
    registered_at: list[float] | None = None
    """Epoch seconds, 0 where unknown."""
    languages: list[str | None] | None = None
    zones: list[str | None] | None = None
    """What its row says of its time zone, which may be anything, but isn't longer than `LONGEST_ZONE`; None: nothing.
    None in place of the column: the audience says no time zones."""
    variables: list[dict[str, Any]] | None = None
    cursor: str | None = None
    """To go on after; None: nothing is left of the range."""
    refused: Mapping[bytes, str] = field(default_factory=dict)
    """Who of these cannot be sent to, by key, and what of their rows cannot be read or carried."""

    def __len__(self) -> int:
        return len(self.keys)

    def __repr__(self) -> str:
        """Shows no column: they hold device tokens."""
        return f"<Page of {len(self)}>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Routes:
    """Which lane serves an installation: by its channel and, where it names one, its app."""

    lanes: Mapping[tuple[str, str | None], str] = field(default_factory=dict)
    """(channel, app) -> lane. (channel, None) is there where the channel has one app only, or a default one."""

    def lane(self, channel: str | None, app: str | None) -> str:
        return self.lanes.get((channel or "", app or None), NO_LANE)


class Audience(Protocol):
    """A selection of installations from one source.

    Every method raises AudienceUnavailable where the source cannot be reached just now, and InvalidAudience where it
    isn't as configured (its message names the column or setting and the remedy).
    """

    async def check(self, wanted: Wanted) -> None:
        """See that it can be read as configured: connection, table, columns, key type, unique keys.

        Raises:
            InvalidAudience: what is wrong, and what to do.
        """

    async def count(self) -> Mapping[str, int]:
        """Installations by lane, NO_LANE among them where there are any."""

    async def zones(self) -> Mapping[str | None, int]:
        """The installations on a lane by what their rows say of their time zone; None: nothing, or something that
        hardly anybody else says where there are more than `MOST_ZONES` such things."""

    async def nowhere(self) -> Mapping[str, int]:
        """The installations that `count` finds on NO_LANE, by what their rows say of their channel and app, for people;
        the most frequent first. Empty where that isn't known."""

    async def known(self, names: Collection[str]) -> list[str]:
        """Which of these names a template could read of its installations."""

    async def ranges(self, parts: int) -> list[Range]:
        """The audience as up to `parts` ranges without gaps or overlaps, the last ending at its last key now.

        Empty where nobody is in it.
        """

    async def page(self, part: Range, limit: int, wanted: Wanted, lanes: Collection[str] | None = None) -> Page:
        """The first `limit` installations of a range; only those of some lanes where these are given.

        With the page's cursor as its `after` the range is what is left of it.
        """

    async def find(self, keys: Sequence[str], wanted: Wanted) -> Page:
        """These installations, as far as they (still) exist, in key order; the selection's filters don't apply."""

    async def aclose(self) -> None: ...
