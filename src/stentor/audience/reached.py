"""Those whom a campaign reached, as an audience: to take its message back, or to put another in its place.

Who was reached comes from the outcomes on record, a few batches a page. Where a message can be deleted or edited, the
"address" of each is the receipt that the provider gave for it; elsewhere it is read anew from the source, as what
replaces the message goes the same way, with the receipt beside it where the provider can do either. Rules: everybody
who was reached, or perhaps was, is there once; who can't be found any more has an empty address, so that a sender says
so and nobody is left out silently.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import sqlalchemy as sa

from stentor.account import Receipt
from stentor.audience.contract import NO_LANE, Audience, Page, Range, Selection, Wanted
from stentor.batch import beside
from stentor.outcome import Outcome
from stentor.store.database import Database
from stentor.store.tables import batches, receipts

BATCHES = 10
"""Batches of the campaign that are read at a time."""
_REACHED = frozenset({Outcome.ACCEPTED, Outcome.AMBIGUOUS})
_NOBODY = Page(keys=[], addresses=[], lanes=NO_LANE)


_RECEIPTS = msgspec.msgpack.Decoder(list[Receipt])
_KEYS = msgspec.msgpack.Decoder(list[bytes])


@dataclass(frozen=True, slots=True)
class _Reached:
    key: bytes
    lane: str
    receipt: bytes


class ReachedAudience:
    """The recipients whom `selection.reached_by` reached; see `contract.Audience`.

    Args:
        lanes: those that are configured now.
        by_receipt: those of them whose messages are found again by their receipts.
        receipt_beside: those of them that need both; see `batch.beside`.
    """

    def __init__(
        self,
        database: Database,
        source: Audience,
        selection: Selection,
        lanes: Collection[str],
        by_receipt: Collection[str],
        receipt_beside: Collection[str] = (),
    ) -> None:
        self._database = database
        self._source = source
        self._lanes = frozenset(lanes)
        self._by_receipt = frozenset(by_receipt)
        self._receipt_beside = frozenset(receipt_beside)
        reached = batches.c.accepted + batches.c.ambiguous
        self._of = [batches.c.campaign_id == selection.reached_by, reached > 0]
        self._only = None if selection.only is None else {key.encode() for key in selection.only}
        self._counts = (
            sa.select(batches.c.lane, sa.func.sum(reached).label("number")).where(*self._of).group_by(batches.c.lane)
        )

    async def check(self, wanted: Wanted) -> None:
        await self._source.check(wanted)

    async def count(self) -> Mapping[str, int]:
        """All whom it reached, by the lane they were reached on."""
        found: dict[str, int] = {}
        for row in await self._database.rows(self._counts):
            lane = row.lane if row.lane in self._lanes else NO_LANE
            found[lane] = found.get(lane, 0) + int(row.number)
        return found

    async def zones(self) -> Mapping[str | None, int]:
        """See the contract. They are not asked for: what takes a message back, or replaces it, goes at once."""
        return {None: sum(count for lane, count in (await self.count()).items() if lane != NO_LANE)}

    async def nowhere(self) -> Mapping[str, int]:
        """See the contract. It isn't known: who is on no lane was on one whose app isn't configured any more."""
        return {}

    async def known(self, names: Collection[str]) -> list[str]:
        return await self._source.known(names)

    async def ranges(self, parts: int) -> list[Range]:
        """One: it is read by batches, which are few."""
        rows = await self._database.rows(sa.select(sa.func.max(batches.c.id)).where(*self._of))
        last = rows[0][0]
        return [] if last is None else [Range(after=None, upto=last)]

    async def page(self, part: Range, limit: int, wanted: Wanted, lanes: Collection[str] | None = None) -> Page:
        """The recipients of some batches, however many these are."""
        query = sa.select(batches.c.id).where(*self._of, batches.c.id <= part.upto).order_by(batches.c.id)
        if part.after is not None:
            query = query.where(batches.c.id > part.after)
        if lanes is not None:
            query = query.where(batches.c.lane.in_(lanes))
        ids = [row.id for row in await self._database.rows(query.limit(BATCHES))]
        page = await self._page(await self._recipients(batches.c.id.in_(ids)), wanted)
        cursor = ids[-1] if len(ids) == BATCHES else None
        return Page(
            keys=page.keys,
            addresses=page.addresses,
            lanes=page.lanes,
            languages=page.languages,
            variables=page.variables,
            cursor=cursor,
            refused=page.refused,
        )

    async def find(self, keys: Sequence[str], wanted: Wanted) -> Page:
        """Those of these whom it reached. Looks through all of its batches: it is asked for few, and seldom."""
        named = {key.encode() for key in keys}
        found: list[_Reached] = []
        for part in await self.ranges(1):
            after: str | None = None
            while True:
                query = sa.select(batches.c.id).where(*self._of, batches.c.id <= part.upto).order_by(batches.c.id)
                if after is not None:
                    query = query.where(batches.c.id > after)
                ids = [row.id for row in await self._database.rows(query.limit(BATCHES))]
                found += [each for each in await self._recipients(batches.c.id.in_(ids)) if each.key in named]
                if len(ids) < BATCHES or len(found) == len(named):
                    break
                after = ids[-1]
        return await self._page(found, wanted)

    async def aclose(self) -> None:
        await self._source.aclose()

    async def _recipients(self, which: sa.ColumnElement[bool]) -> list[_Reached]:
        columns = (batches.c.id, batches.c.lane, batches.c.outcomes, batches.c.recipients, receipts.c.receipts)
        query = sa.select(*columns).outerjoin(receipts, receipts.c.batch_id == batches.c.id).where(which)
        found = []
        for row in await self._database.rows(query.order_by(batches.c.id)):
            given = {each.position: each.id for each in _RECEIPTS.decode(row.receipts)} if row.receipts else {}
            for position, (key, outcome) in enumerate(zip(_KEYS.decode(row.recipients), row.outcomes, strict=True)):
                if outcome in _REACHED and (self._only is None or key in self._only):
                    found.append(_Reached(key, row.lane, given.get(position, "").encode()))
        return found

    async def _page(self, reached: Sequence[_Reached], wanted: Wanted) -> Page:
        """With addresses, and with what a message in its place needs to know of each."""
        lanes = [each.lane if each.lane in self._lanes else NO_LANE for each in reached]
        personal = wanted.language or bool(wanted.variables)
        asked = [each.key.decode() for each in reached if personal or each.lane not in self._by_receipt]
        found = await self._source.find(asked, wanted) if asked else _NOBODY
        on = [found.lanes] * len(found) if isinstance(found.lanes, str) else found.lanes
        rows = {key: row for row, key in enumerate(found.keys)}
        addresses, languages, variables = [], [], []
        for each in reached:
            row = rows.get(each.key)
            if each.lane in self._by_receipt:
                addresses.append(each.receipt)
            else:
                address = found.addresses[row] if row is not None and on[row] == each.lane else b""
                addresses.append(beside(each.receipt, address) if each.lane in self._receipt_beside else address)
            languages.append(found.languages[row] if found.languages is not None and row is not None else None)
            variables.append(found.variables[row] if found.variables is not None and row is not None else {})
        return Page(
            keys=[each.key for each in reached],
            addresses=addresses,
            lanes=lanes,
            languages=languages if wanted.language else None,
            variables=variables if wanted.variables else None,
            refused=found.refused,
        )
