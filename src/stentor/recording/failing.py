"""Who was not reached, as a list of any length, and how many there are of each kind.

Rules: a page costs the same however many there are, whatever is filtered: each kind (lane, reason, outcome, dead or
not) is a stretch of one index, in the order of the batches, and of several kinds each row is read once. Each page is a
snapshot of its own, so that a slow reader holds no transaction open; what is recorded meanwhile may be missing, and
nothing comes twice.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heapreplace
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, literal, select, tuple_, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.outcome import Outcome
from stentor.recording.report import FAILURES_PAGE, FailureRow, Reader, failure_columns, failure_row
from stentor.store import campaigns
from stentor.store.tables import batches
from stentor.store.tables import failures as failed

_KIND = (failed.c.lane, failed.c.reason, failed.c.outcome, failed.c.dead)
_PLACE = (failed.c.batch_id, failed.c.position)
ENDINGS = (Outcome.REJECTED, Outcome.EXPIRED, Outcome.AMBIGUOUS)
"""How those end who are not reached; whoever was cancelled is not among them."""
MOST_COUNTED = 10_000
_LEAST = 10
"""How many of a kind are read at a time, at least."""
_AT_ONCE = 100
"""Kinds that one query reads: SQLite takes 500 at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedFailures:
    """Which failures; None: whatever it is."""

    lane: str | None = None
    reason: str | None = None
    outcome: Outcome | None = None
    dead: bool | None = None
    """Whether the address will never work again."""

    @property
    def everything(self) -> bool:
        return self == WantedFailures()

    def holds(self, kind: FailureKind) -> bool:
        return (
            self.lane in (None, kind.lane)
            and self.reason in (None, kind.reason)
            and self.outcome in (None, kind.outcome)
            and self.dead in (None, kind.dead)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureKind:
    """What many failures have in common."""

    lane: str
    reason: str
    outcome: Outcome
    dead: bool

    @property
    def condition(self) -> ColumnElement[bool]:
        return and_(*(column == value for column, value in zip(_KIND, self.key, strict=True)))

    @property
    def key(self) -> tuple[Any, ...]:
        return (self.lane, self.reason, self.outcome.value, self.dead)


@dataclass(frozen=True, slots=True, kw_only=True)
class KindCount:
    """How many failures of a campaign are of one kind."""

    kind: FailureKind
    count: int
    exact: bool = True
    """False: there are more than `count`, which is MOST_COUNTED."""


async def failures(
    reader: Reader,
    campaign_id: str,
    wanted: WantedFailures,
    *,
    after: tuple[str, int] | None = None,
    page: int = FAILURES_PAGE,
) -> AsyncIterator[FailureRow]:
    """Everybody who ended otherwise than accepted or cancelled, in the order of the batches.

    Args:
        after: batch and position of the last one that is there already.
        page: how many are read at a time.

    Raises:
        UnknownCampaign: there is no such campaign.
    """
    async with reader.read() as connection:
        await campaigns.get(connection, campaign_id)
        kinds = None if wanted.everything else await _kinds(connection, campaign_id, wanted)
    after = after or (f"{campaign_id}/", 0)
    merged = None if kinds is None else _Merged(campaign_id, kinds, after, page)
    while True:
        async with reader.read() as connection:
            if merged is None:
                rows = await _page(connection, campaign_id, after, page)
            else:
                rows = await merged.take(connection, page)
        for row in rows:
            yield row
        if len(rows) < page:
            return
        after = (rows[-1].batch_id, rows[-1].position)


async def counts(connection: AsyncConnection, campaign_id: str) -> list[KindCount]:
    """How many failures there are of each kind, the most frequent first.

    No more than MOST_COUNTED of a kind are counted, so that it costs the same however many there are. Where a single
    kind of a lane and an outcome has more, it has what the batches' sums leave for it; of several, only that is told.
    """
    kinds = await _kinds(connection, campaign_id, WantedFailures())
    counted: list[int] = []
    mine = failed.c.campaign_id == campaign_id
    for begin in range(0, len(kinds), _AT_ONCE):
        some = [select(failed.c.position).where(mine & each.condition) for each in kinds[begin : begin + _AT_ONCE]]
        parts = [
            select(literal(number).label("number"), func.count().label("many")).select_from(
                each.limit(MOST_COUNTED + 1).subquery()
            )
            for number, each in enumerate(some)
        ]
        rows = (await connection.execute(union_all(*parts))).all()
        counted += [row.many for row in sorted(rows, key=lambda row: int(row.number))]
    left = await _sums(connection, campaign_id)
    large: Counter[tuple[str, Outcome]] = Counter()
    for kind, many in zip(kinds, counted, strict=True):
        left[kind.lane, kind.outcome] -= many if many <= MOST_COUNTED else 0
        large[kind.lane, kind.outcome] += many > MOST_COUNTED
    found = []
    for kind, many in zip(kinds, counted, strict=True):
        place = kind.lane, kind.outcome
        if many > MOST_COUNTED and large[place] == 1 and left[place] >= many:
            found.append(KindCount(kind=kind, count=left[place]))
        else:
            found.append(KindCount(kind=kind, count=min(many, MOST_COUNTED), exact=many <= MOST_COUNTED))
    return sorted(found, key=lambda each: (-each.count, each.kind.key))


async def _sums(connection: AsyncConnection, campaign_id: str) -> Counter[tuple[str, Outcome]]:
    """How many of each lane ended with each outcome, by the batches' own sums."""
    columns = [func.sum(batches.c[each.name.lower()]).label(each.name) for each in ENDINGS]
    query = select(batches.c.lane, *columns).where(batches.c.campaign_id == campaign_id).group_by(batches.c.lane)
    rows = (await connection.execute(query)).all()
    return Counter({(row.lane, each): int(row._mapping[each.name]) for row in rows for each in ENDINGS})


async def _kinds(connection: AsyncConnection, campaign_id: str, wanted: WantedFailures) -> list[FailureKind]:
    """The wanted kinds that there are: each is found by one step along the index, and nobody's row is read."""
    order = (*_KIND, failed.c.batch_id)
    beyond = f"{campaign_id}0"  # after all batches of the campaign, whose ids begin with its id and a slash
    query = select(*_KIND).where(failed.c.campaign_id == campaign_id).order_by(*order).limit(1)
    found: list[FailureKind] = []
    row = (await connection.execute(query)).first()
    while row is not None:
        found.append(_kind(row))
        row = (await connection.execute(query.where(tuple_(*order) > (*found[-1].key, beyond)))).first()
    return [each for each in found if wanted.holds(each)]


async def _page(connection: AsyncConnection, campaign_id: str, after: tuple[str, int], limit: int) -> list[FailureRow]:
    """The first of all kinds after a place."""
    # By the batches' ids, which begin with the campaign's ("0" is what follows "/"): the index that keeps this
    # order. To ask for the campaign as well would have SQLite take another one, and sort all there is.
    query = _stretch(failed.c.batch_id < f"{campaign_id}0", after, limit)
    return [failure_row(row) for row in await connection.execute(query)]


@dataclass(slots=True)
class _Part:
    """The failures of one kind: those that are read and not taken yet, and where to go on."""

    kind: FailureKind
    after: tuple[str, int]
    share: int
    """How many are read next."""
    rows: deque[FailureRow] = field(default_factory=deque)
    more: bool = True

    @property
    def is_dry(self) -> bool:
        return self.more and not self.rows


class _Merged:
    """The failures of some kinds, in the order of the batches. Each is read once, however many kinds there are.

    Of each kind a few are read, and twice as many each time that these are used up.
    """

    def __init__(self, campaign_id: str, kinds: Sequence[FailureKind], after: tuple[str, int], page: int) -> None:
        self._mine = failed.c.campaign_id == campaign_id
        self._page = page
        share = min(page, max(_LEAST, page // max(1, len(kinds))))
        self._parts = [_Part(kind, after, share) for kind in kinds]

    async def take(self, connection: AsyncConnection, limit: int) -> list[FailureRow]:
        """The next ones; fewer than `limit`: there are no more."""
        await self._fill(connection, [part for part in self._parts if part.is_dry])
        heads = [(_place(part), number) for number, part in enumerate(self._parts) if part.rows]
        heapify(heads)
        found: list[FailureRow] = []
        while heads and len(found) < limit:
            number = heads[0][1]
            part = self._parts[number]
            found.append(part.rows.popleft())
            if part.is_dry and len(found) < limit:
                await self._fill(connection, [part])
            if part.rows:
                heapreplace(heads, (_place(part), number))
            else:
                heappop(heads)
        return found

    async def _fill(self, connection: AsyncConnection, parts: Sequence[_Part]) -> None:
        for begin in range(0, len(parts), _AT_ONCE):
            some = parts[begin : begin + _AT_ONCE]
            queries = [_stretch(self._mine & part.kind.condition, part.after, part.share) for part in some]
            rows = await connection.execute(union_all(*(select(query.subquery()) for query in queries)))
            by_kind: dict[tuple[Any, ...], list[FailureRow]] = {}
            for row in rows:
                read = failure_row(row)
                by_kind.setdefault((read.lane, read.reason, read.outcome.value, read.dead), []).append(read)
            for part in some:
                read_now = sorted(by_kind.get(part.kind.key, ()), key=lambda row: (row.batch_id, row.position))
                part.more = len(read_now) == part.share
                part.share = min(self._page, 2 * part.share)
                part.rows.extend(read_now)
                if read_now:
                    part.after = (read_now[-1].batch_id, read_now[-1].position)


def _place(part: _Part) -> tuple[str, int]:
    return part.rows[0].batch_id, part.rows[0].position


def _stretch(condition: ColumnElement[bool], after: tuple[str, int], limit: int) -> Select[Any]:
    return select(*failure_columns()).where(condition, tuple_(*_PLACE) > after).order_by(*_PLACE).limit(limit)


def _kind(row: Any) -> FailureKind:
    return FailureKind(lane=row.lane, reason=row.reason, outcome=Outcome(row.outcome), dead=bool(row.dead))
