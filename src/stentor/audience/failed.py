"""Those whom a campaign did not reach, as an audience: who they are comes from the store, the rest from their source.

They are of three kinds, one after the other: those who failed, those whose batches were cancelled, and those who were
never read, as the campaign was stopped before. Rules: an address is read anew, so whoever registered again meanwhile is
reached at the new one; who is gone from the source is left out. Those whose address is dead are left out too, unless
their reason is asked for by name; if reasons are, only those who failed for them are in it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import replace
from itertools import compress
from typing import Any

import msgspec
import sqlalchemy as sa

from stentor.audience.contract import NO_LANE, Audience, Page, Range, Selection, Wanted
from stentor.outcome import Outcome
from stentor.own_reasons import LEFT_OUT
from stentor.store.database import Database
from stentor.store.tables import batches, chains, failures

COUNTED = 5000
"""Installations that are counted at a time."""
BATCHES = 10
"""Batches with cancelled recipients that are read at a time."""
CANCELLED = "cancelled"

_KEYS = msgspec.msgpack.Decoder(list[bytes])
_NOBODY = Page(keys=[], addresses=[], lanes=[])


class _Unread(msgspec.Struct, frozen=True):
    """What a stopped chain left: the part of a plan step that says so; as JSON it is a range's section."""

    part: Range
    lanes: list[str] | None = None
    """None: all."""


_LEFT = msgspec.msgpack.Decoder(_Unread)


class FailedAudience:
    """Whom `selection.failed_of` did not reach, looked up in `source`. See `contract.Audience`.

    Args:
        source: whom that campaign was for.
    """

    def __init__(self, database: Database, source: Audience, selection: Selection) -> None:
        self._database = database
        self._source = source
        self._campaign = selection.failed_of
        self._all = not selection.reasons
        self._failed = [failures.c.campaign_id == selection.failed_of]
        if selection.reasons:
            self._failed.append(failures.c.reason.in_(selection.reasons))
        else:
            self._failed += [~failures.c.dead, failures.c.reason.not_in(sorted(LEFT_OUT))]
        self._cancelled = [batches.c.campaign_id == selection.failed_of, batches.c.cancelled > 0]

    async def check(self, wanted: Wanted) -> None:
        await self._source.check(wanted)

    async def count(self) -> Mapping[str, int]:
        """By the lane each is on now; it may be another than it failed on, or a first one."""
        counts: Counter[str] = Counter()
        async for page in self._pages(Wanted()):
            counts.update({page.lanes: len(page)} if isinstance(page.lanes, str) else page.lanes)
        return +counts

    async def zones(self) -> Mapping[str | None, int]:
        counts: Counter[str | None] = Counter()
        async for page in self._pages(Wanted(zone=True)):
            lanes = [page.lanes] * len(page) if isinstance(page.lanes, str) else page.lanes
            zones = page.zones or [None] * len(page)
            counts.update(zone for zone, lane in zip(zones, lanes, strict=True) if lane != NO_LANE)
        return counts

    async def nowhere(self) -> Mapping[str, int]:
        """See the contract. Of those who were not reached it isn't known."""
        return {}

    async def known(self, names: Collection[str]) -> list[str]:
        return await self._source.known(names)

    async def ranges(self, parts: int) -> list[Range]:
        """One of those who failed, one of those who were cancelled, as they are in batches; and what was never read."""
        failed = sa.select(sa.func.max(failures.c.installation)).where(*self._failed)
        found = [] if (last := await self._one(failed)) is None else [Range(after=None, upto=last)]
        if not self._all:
            return found
        last = await self._one(sa.select(sa.func.max(batches.c.id)).where(*self._cancelled))
        if last is not None:
            found.append(Range(after=None, upto=last, section=CANCELLED))
        return found + [
            Range(after=left.part.after, upto=left.part.upto, section=msgspec.json.encode(left).decode())
            for left in await self._unread(parts)
        ]

    async def page(self, part: Range, limit: int, wanted: Wanted, lanes: Collection[str] | None = None) -> Page:
        if part.section not in ("", CANCELLED):
            return await self._unread_page(part, limit, wanted, lanes)
        if part.section == CANCELLED:
            keys, cursor = await self._cancelled_keys(part)
        else:
            keys = await self._failed_keys(part, limit)
            cursor = keys[-1] if len(keys) == limit else None
        page = await self._source.find(keys, wanted)
        if lanes is not None:
            page = _on_lanes(page, frozenset(lanes))
        return replace(page, cursor=cursor)

    async def find(self, keys: Sequence[str], wanted: Wanted) -> Page:
        return await self._source.find(keys, wanted)

    async def aclose(self) -> None:
        await self._source.aclose()

    async def _pages(self, wanted: Wanted) -> AsyncIterator[Page]:
        for whole in await self.ranges(1):
            part: Range | None = whole
            while part is not None:
                page = await self.page(part, COUNTED, wanted)
                yield page
                part = None if page.cursor is None else msgspec.structs.replace(part, after=page.cursor)

    async def _one(self, query: sa.Select[Any]) -> Any:
        return (await self._database.rows(query))[0][0]

    async def _failed_keys(self, part: Range, limit: int) -> list[str]:
        key = failures.c.installation
        query = sa.select(key).distinct().where(*self._failed, key <= part.upto).order_by(key).limit(limit)
        if part.after is not None:
            query = query.where(key > part.after)
        return [row[0] for row in await self._database.rows(query)]

    async def _cancelled_keys(self, part: Range) -> tuple[list[str], str | None]:
        """Those of some batches, and the last of these batches if there are more."""
        query = sa.select(batches.c.id, batches.c.outcomes, batches.c.recipients).where(*self._cancelled)
        query = query.where(batches.c.id <= part.upto).order_by(batches.c.id).limit(BATCHES)
        if part.after is not None:
            query = query.where(batches.c.id > part.after)
        rows = await self._database.rows(query)
        keys = [
            key.decode()
            for row in rows
            for key, outcome in zip(_KEYS.decode(row.recipients), row.outcomes, strict=True)
            if outcome == Outcome.CANCELLED
        ]
        return keys, rows[-1].id if len(rows) == BATCHES else None

    async def _unread(self, parts: int) -> list[_Unread]:
        """What each chain of the campaign left; all of the audience if it was stopped before it had any."""
        mine = chains.c.campaign_id == self._campaign
        rows = await self._database.rows(sa.select(chains.c.done, chains.c.next).where(mine).order_by(chains.c.chain))
        if not rows:
            return [_Unread(part) for part in await self._source.ranges(parts)]
        return [_LEFT.decode(row.next) for row in rows if row.done and row.next is not None]

    async def _unread_page(self, part: Range, limit: int, wanted: Wanted, lanes: Collection[str] | None) -> Page:
        left = msgspec.json.decode(part.section, type=_Unread)
        if left.lanes is not None:
            lanes = [lane for lane in left.lanes if lanes is None or lane in lanes]
        if lanes is not None and not lanes:
            return _NOBODY
        return await self._source.page(msgspec.structs.replace(left.part, after=part.after), limit, wanted, lanes)


def _on_lanes(page: Page, lanes: frozenset[str]) -> Page:
    of = [page.lanes] * len(page) if isinstance(page.lanes, str) else page.lanes
    chosen = [lane in lanes for lane in of]

    def some(column: Any) -> Any:
        return None if column is None else list(compress(column, chosen))

    return Page(
        keys=some(page.keys),
        addresses=some(page.addresses),
        lanes=some(of),
        registered_at=some(page.registered_at),
        languages=some(page.languages),
        zones=some(page.zones),
        variables=some(page.variables),
        cursor=page.cursor,
        refused=page.refused,
    )
