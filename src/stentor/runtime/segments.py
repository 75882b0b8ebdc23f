"""Segments, for whoever asks: `Stentor.segments`. Saved by name, and counted in an audience.

Rules: a name is looked up when a campaign is checked or made, and the campaign keeps the segment that it found. A count
takes no longer than it is given; after that a part of the audience is looked at, and the number is called an estimate.
"""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from stentor.audience.contract import Selection, Wanted
from stentor.audience.segments.spelling import Spelt, canonical, checked_name, is_name, told
from stentor.audience.segments.text import read
from stentor.audience.segments.tree import names
from stentor.audience.sql import SqlAudience
from stentor.errors import AudienceUnavailable, InvalidInput, InvalidSegment, UnknownSegment
from stentor.runtime.resources import Resources
from stentor.store import segments as rows
from stentor.store.segments import SavedSegment

RESERVED = frozenset({"count", "new"})
"""Names that paths of the API and the dashboard have for something else."""
MOST = 500
"""Segments of a page at most."""
SAMPLES = 20
"""Installations that are shown of a segment."""
WITHIN, LONGEST = 5.0, 60.0
"""Seconds that a count is given, and that it may be given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentSample:
    """An installation that is in a segment. It has no address."""

    installation: str
    lane: str
    """Empty: none that is configured."""
    values: dict[str, Any] = field(default_factory=dict)
    """What it has of the columns and attributes that the segment names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentCount:
    """How many installations of an audience are in a segment."""

    segment: str
    """As people write it."""
    count: int
    exact: bool
    """False: about so many, by a part of the audience that was looked at."""
    samples: Sequence[SegmentSample]
    """The first of them. Empty as well if they were not found in time."""


class Segments:
    """The segments of one store. Every method may raise `StoreUnavailable`."""

    def __init__(self, resources: Resources) -> None:
        self._clock = resources.clock
        self._database = resources.database
        self._sources = resources.sources

    async def save(self, name: str, segment: Spelt) -> SavedSegment:
        """Save a segment under a name, in the place of one that had it before.

        Campaigns that were made with that one keep it.

        Args:
            segment: a text, JSON in MongoDB's words, or OneSignal's filters.

        Raises:
            InvalidSegment: it is none, or the name cannot be one.
        """
        if checked_name(name) in RESERVED:
            raise InvalidSegment(f"{name!r} cannot be the name of a segment; choose another one", field="name")
        said, now = canonical(segment), self._clock()
        await self._database.write(lambda connection: rows.save(connection, name, said, now))
        return await self.get(name)

    async def get(self, name: str) -> SavedSegment:
        """Raises: UnknownSegment: there is none of this name."""
        found = await self._database.ask(lambda connection: rows.get(connection, name)) if is_name(name) else None
        if found is None:
            known = [each.name for each in await self.list()]
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else "`stentor segment list` shows all segments"
            raise UnknownSegment(f"there is no segment {name[:50]!r}; {hint}")
        return found

    async def list(self, *, after: str | None = None, limit: int = MOST) -> Sequence[SavedSegment]:
        """In the order of their names.

        Args:
            after: the name of the last one of the page before.
        """
        return await self._database.ask(lambda connection: rows.page(connection, after, min(limit, MOST)))

    async def delete(self, name: str) -> None:
        """Campaigns that were made with it keep it. Raises: UnknownSegment: there is none of this name."""
        if not await self._database.write(lambda connection: rows.remove(connection, name)):
            await self.get(name)

    async def settled(self, selection: Selection) -> Selection:
        """A selection whose segment is looked up, if it has only the name of one, and written as all segments are.

        Raises:
            InvalidSegment: it is none, or there is none of this name.
        """
        if selection.segment is not None:
            return msgspec.structs.replace(selection, segment=canonical(selection.segment))
        if selection.segment_name is None:
            return selection
        try:
            saved = await self.get(selection.segment_name)
        except UnknownSegment as error:
            raise InvalidSegment(str(error)) from None
        return msgspec.structs.replace(selection, segment=saved.segment)

    async def count(self, source: str, segment: Spelt, *, within: float = WITHIN) -> SegmentCount:
        """How many installations of an audience are in a segment, and some of them.

        Args:
            source: the name of an audience.
            segment: as for `save`, or the name of a saved one.
            within: seconds after which an estimate will do.

        Raises:
            InvalidSegment: it is none, or there is none of this name.
            InvalidInput: `within` is out of bounds.
            InvalidAudience: there is no such audience, or it cannot be asked that.
            AudienceUnavailable: its database cannot be reached just now, or not even an estimate is ready in time.
        """
        if not 0 < within <= LONGEST:
            raise InvalidInput("within", f"must be above 0 and at most {LONGEST:.0f} seconds")
        said, name = told(segment)
        found = await self.settled(Selection(source=source, segment=said, segment_name=name))
        if found.segment is None:
            raise InvalidSegment("is empty; write a condition, or the name of a saved segment")
        asked = found.at(self._clock())
        audience = self._sources.open(asked)
        assert isinstance(audience, SqlAudience), "of a source alone"
        try:
            wanted = Wanted(variables=tuple(names(read(found.segment))))
            try:
                async with asyncio.timeout(within):
                    await audience.check_segment()
                    count, exact = sum((await audience.count()).values()), True
            except TimeoutError:
                count, exact = await self._estimate(audience, within), False
            samples = await self._samples(audience, wanted, within) if count else []
        finally:
            await audience.aclose()
        return SegmentCount(segment=found.segment, count=count, exact=exact, samples=samples)

    async def _estimate(self, audience: SqlAudience, within: float) -> int:
        try:
            async with asyncio.timeout(within):
                return await audience.estimate()
        except TimeoutError:
            raise AudienceUnavailable(
                f"neither a count nor an estimate was ready in {within:g} s; the audience's database may be busy, or "
                "needs an index on its key"
            ) from None

    async def _samples(self, audience: SqlAudience, wanted: Wanted, within: float) -> Sequence[SegmentSample]:
        try:
            async with asyncio.timeout(within):
                page = await audience.first(SAMPLES, wanted)
        except TimeoutError:
            return []
        lanes = [page.lanes] * len(page) if isinstance(page.lanes, str) else page.lanes
        variables = page.variables or [{}] * len(page)
        return [
            SegmentSample(installation=key.decode(), lane=lane, values=values)
            for key, lane, values in zip(page.keys, lanes, variables, strict=True)
        ]
