"""Those whom a campaign did not reach, as an audience: who failed comes from the store, the rest from their source.

Rules: an address is read anew, so whoever registered again meanwhile is reached at the new one; who is gone from the
source is left out. Those whose address is dead are left out too, unless their reason is asked for by name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import compress
from typing import Any

import sqlalchemy as sa

from stentor.audience.contract import Audience, Page, Range, Selection, Wanted
from stentor.store.database import Database
from stentor.store.tables import failures

COUNTED = 5000
"""Installations that are counted at a time."""


class FailedAudience:
    """The failed recipients of `selection.failed_of`, looked up in `source`. See `contract.Audience`."""

    def __init__(self, database: Database, source: Audience, selection: Selection) -> None:
        self._database = database
        self._source = source
        self._failed = [failures.c.campaign_id == selection.failed_of]
        if selection.reasons:
            self._failed.append(failures.c.reason.in_(selection.reasons))
        else:
            self._failed.append(~failures.c.dead)

    async def check(self, wanted: Wanted) -> None:
        await self._source.check(wanted)

    async def count(self) -> Mapping[str, int]:
        """By the lane each is on now; it may be another than it failed on, or a first one."""
        counts: Counter[str] = Counter()
        for part in await self.ranges(1):
            after: str | None = None
            while True:
                page = await self.page(Range(after=after, upto=part.upto), COUNTED, Wanted())
                counts.update({page.lanes: len(page)} if isinstance(page.lanes, str) else page.lanes)
                if (after := page.cursor) is None:
                    break
        return +counts

    async def ranges(self, parts: int) -> list[Range]:
        """One: failures are few."""
        async with self._database.read() as connection:
            last = await connection.scalar(sa.select(sa.func.max(failures.c.installation)).where(*self._failed))
        return [] if last is None else [Range(after=None, upto=last)]

    async def page(self, part: Range, limit: int, wanted: Wanted, lanes: Collection[str] | None = None) -> Page:
        key = failures.c.installation
        query = sa.select(key).distinct().where(*self._failed, key <= part.upto).order_by(key).limit(limit)
        if part.after is not None:
            query = query.where(key > part.after)
        async with self._database.read() as connection:
            keys = list(await connection.scalars(query))
        page = await self._source.find(keys, wanted)
        if lanes is not None:
            page = _on_lanes(page, frozenset(lanes))
        return replace(page, cursor=keys[-1] if len(keys) == limit else None)

    async def find(self, keys: Sequence[str], wanted: Wanted) -> Page:
        return await self._source.find(keys, wanted)

    async def aclose(self) -> None:
        await self._source.aclose()


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
        variables=some(page.variables),
        cursor=page.cursor,
        refused=page.refused,
    )
