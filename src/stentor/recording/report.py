"""What became of a campaign, read from the store: progress while it runs, the report, and who was not reached.

Rules: nothing is kept beside the rows, so nothing can drift from them; a question is answered from one snapshot (the
connection it is given); no answer needs memory that grows with the audience, and long lists come a page at a time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, fields
from typing import Any, Protocol

from sqlalchemy import ColumnElement, Row, and_, exists, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.outcome import Outcome
from stentor.own_reasons import LEFT_OUT, sent
from stentor.queue.contract import PLAN
from stentor.recording.duration import paused_for, sent_for
from stentor.states import FINAL, STOPPED, CampaignState
from stentor.store import campaigns
from stentor.store.campaigns import Campaign
from stentor.store.letters import DeadLetter, latest_letters
from stentor.store.tables import WAVES, batches, chains, dead_letters, lanes, tasks
from stentor.store.tables import failures as failed

FAILURES_PAGE = 1000
LETTERS = 10


class Reader(Protocol):
    """What can be read from; a `store.database.Database` is one."""

    def read(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """A connection that sees one snapshot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneCounts:
    """Where the recipients of a lane are. Each is in exactly one place, so all others add up to `read`."""

    read: int = 0
    """Read from the audience so far."""
    queued: int = 0
    """In a batch that waits for a sender, and not tried yet. With a queue that isn't in the store, also in one that a
    sender holds: who holds what is the queue's own affair there."""
    in_flight: int = 0
    """In a batch that a sender holds, without an outcome on record; 0 where the queue isn't in the store."""
    retrying: int = 0
    """Tried, not accepted, and waiting to be tried again."""
    held: int = 0
    """Waiting for their wave to begin."""
    accepted: int = 0
    rejected: int = 0
    expired: int = 0
    cancelled: int = 0
    ambiguous: int = 0

    @property
    def pending(self) -> int:
        return self.queued + self.in_flight + self.retrying + self.held

    @property
    def failed(self) -> int:
        """Ended otherwise than accepted or cancelled: each of them has a row among the failures."""
        return self.rejected + self.expired + self.ambiguous

    @property
    def settled(self) -> int:
        return self.accepted + self.failed + self.cancelled


def total(counts: Iterable[LaneCounts]) -> LaneCounts:
    """The sum of some lanes."""
    sums = dict.fromkeys((each.name for each in fields(LaneCounts)), 0)
    for lane in counts:
        for name in sums:
            sums[name] += getattr(lane, name)
    return LaneCounts(**sums)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldWave:
    """Those who are held until a moment."""

    at: float
    """Epoch seconds."""
    gated: bool = False
    """Whether they wait for a release as well."""
    lanes: Mapping[str, int]
    """How many, by lane."""

    @property
    def held(self) -> int:
        return sum(self.lanes.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class PutAside:
    """Batches or plan steps of a campaign that were put aside because nobody could work on them."""

    many: int
    latest: Sequence[DeadLetter]
    """At most LETTERS of them."""


def unread(campaign: Campaign, read: int) -> int:
    """How many of a stopped campaign's audience were not read any more, by what was counted before its start.

    Args:
        read: how many were.
    """
    if campaign.planned or campaign.state not in STOPPED:
        return 0
    return max(0, sum(campaign.expected.values()) - read)


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneProblem:
    """Why a lane doesn't send."""

    problem: str
    remedy: str | None = None
    since: float | None = None
    until: float | None = None
    """When it is tried again by itself; None: when somebody mended it."""
    waiting: int | None = None
    """If the lane sends, and only some of its hosts are silent: at least how many recipients wait for these."""

    def __str__(self) -> str:
        """The problem and its remedy as sentences, whether or not they were written as such."""
        texts = [text.strip() for text in (self.problem, self.remedy or "")]
        return " ".join(f"{text[0].upper()}{text[1:].rstrip('.')}." for text in texts if text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a campaign is at one moment. Times are epoch seconds."""

    campaign: Campaign
    lanes: Mapping[str, LaneCounts]
    """The lanes of which something was read; `audience.contract.NO_LANE` where an installation has none."""
    problems: Mapping[str, LaneProblem] = field(default_factory=dict)
    """The campaign's lanes that don't send just now."""
    waves: Sequence[HeldWave] = ()
    """Those that have not begun, or not been put into the queue to their end, the next one first; those who wait for a
    release last."""
    reading: bool = False
    """Where there are waves: whether more of the audience is still to be read."""
    still: bool = False
    """Whether somebody looked for some seconds, and it didn't get on although it should."""
    at: float

    @property
    def campaign_id(self) -> str:
        return self.campaign.id

    @property
    def state(self) -> CampaignState:
        return self.campaign.state

    @property
    def planned(self) -> bool:
        return self.campaign.planned

    @property
    def expected(self) -> Mapping[str, int]:
        """Recipients by lane, as counted before the start; what is really read may differ a little."""
        return self.campaign.expected

    @property
    def total(self) -> LaneCounts:
        return total(self.lanes.values())

    @property
    def next_wave(self) -> float | None:
        """When the next wave begins, or has begun, in epoch seconds; None: there is none, or all wait for a release."""
        return next((wave.at for wave in self.waves if not wave.gated), None)

    @property
    def gated(self) -> int:
        """How many wait for a release."""
        return sum(wave.held for wave in self.waves if wave.gated)

    @property
    def resting(self) -> bool:
        """Whether everybody who is left is held for a wave that hasn't begun."""
        if not self.waves or self.reading or (self.next_wave is not None and self.next_wave <= self.at):
            return False
        left = self.total
        return left.pending == left.held


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasonCount:
    """How many of a lane ended for one reason."""

    reason: str
    outcome: Outcome
    count: int
    status: int = 0
    """The HTTP status of one of them; 0 where no answer gave it."""
    detail: str = ""
    """What the provider said to one of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A campaign's account, final or so far."""

    campaign: Campaign
    lanes: Mapping[str, LaneCounts]
    reasons: Mapping[str, Sequence[ReasonCount]]
    """By lane, the most frequent first; lanes without failures aren't there."""
    dead: int
    """Addresses that the providers called dead for good."""
    dead_letters: int
    """Batches or plan steps that were put aside because nobody could work on them."""
    put_aside: Sequence[DeadLetter] = ()
    """The latest of them, at most LETTERS."""
    problems: Mapping[str, LaneProblem] = field(default_factory=dict)
    """The campaign's lanes that don't send just now; of one that is over, none."""
    at: float

    @property
    def total(self) -> LaneCounts:
        return total(self.lanes.values())

    @property
    def unread(self) -> int:
        """Who was not read from the audience any more, as the campaign was stopped; by what was counted before."""
        return unread(self.campaign, self.total.read)

    @property
    def left_out(self) -> int:
        """How many of the rejected got nothing by a rule; see `own_reasons.LEFT_OUT`."""
        return sum(each.count for lane in self.reasons.values() for each in lane if each.reason in LEFT_OUT)

    def to_retry(self, reasons: Collection[str] = ()) -> int:
        """About how many a retry reaches: those who failed for one of these reasons; or, if none is named, all who
        failed and whose address isn't dead, but those who were left out by a rule; who were cancelled, and who were not
        read."""
        if reasons:
            return sum(each.count for lane in self.reasons.values() for each in lane if each.reason in reasons)
        return self.total.failed - self.dead - self.left_out + self.total.cancelled + self.unread

    @property
    def seconds(self) -> float:
        """From its start to its end, or to `at` while it has none, without the pauses."""
        return sent_for(self.campaign, self.at)

    @property
    def paused(self) -> float:
        """Seconds of its pauses after its start."""
        return paused_for(self.campaign, self.at)

    @property
    def rate(self) -> float:
        """Recipients that got an answer, or expired, a second, on average over `seconds`."""
        counts = self.total
        return (counts.accepted + counts.failed) / self.seconds if self.seconds else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """How many recipients of a campaign ended how so far."""

    accepted: int = 0
    failed: int = 0
    """Rejected, expired or ambiguous."""
    cancelled: int = 0
    pending: int = 0
    """Read from the audience, and without an outcome."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureRow:
    """A recipient that was not reached, and why."""

    installation: str
    lane: str
    outcome: Outcome
    reason: str
    status: int
    detail: str
    dead: bool
    """The address will never work again."""
    tries: int
    """How often it was sent to."""
    at: float
    """Epoch seconds."""
    batch_id: str
    position: int
    address: str | None = field(default=None, repr=False)
    """As the audience has it now; None if it wasn't asked for, is no longer there, or was registered since."""


_COLUMNS = tuple(each.name for each in fields(FailureRow) if each.name != "address")


def failure_columns() -> list[ColumnElement[Any]]:
    """What `failure_row` needs."""
    return [failed.c[name] for name in _COLUMNS]


def failure_row(row: Row[Any]) -> FailureRow:
    """One from a row with the failures' columns."""
    columns = {name: row._mapping[name] for name in _COLUMNS}
    return FailureRow(**{**columns, "outcome": Outcome(row.outcome), "tries": sent(row.reason, row.status, row.tries)})


async def progress(connection: AsyncConnection, campaign_id: str, now: float) -> Progress:
    """How far a campaign is. Cheap: ask as often as a person can read.

    Args:
        now: epoch seconds, by which a lease that has ended is told from one that holds.

    Raises:
        UnknownCampaign: there is no such campaign.
    """
    campaign = await campaigns.get(connection, campaign_id)
    waves = await _waves(connection, campaign)
    counts = await _counts(connection, campaign_id, now, waves)
    problems = await lane_problems(connection, {PLAN, *counts, *campaign.expected})
    reading = bool(waves) and await _reads(connection, campaign_id)
    return Progress(campaign=campaign, lanes=counts, problems=problems, waves=waves, reading=reading, at=now)


def with_missing(problems: Mapping[str, LaneProblem], missing: Mapping[str, LaneProblem]) -> Mapping[str, LaneProblem]:
    """By lane, why it doesn't go on; where only a part of it is said to wait, rather that a role is missing."""
    whole = {lane: problem for lane, problem in problems.items() if problem.waiting is None}
    return {**problems, **missing, **whole}


async def report(connection: AsyncConnection, campaign_id: str, now: float) -> Report:
    """A campaign's account up to now.

    Raises:
        UnknownCampaign: there is no such campaign.
    """
    campaign = await campaigns.get(connection, campaign_id)
    counts = await _counts(connection, campaign_id, now, await _waves(connection, campaign))
    over = campaign.state in FINAL
    aside = await put_aside(connection, campaign_id)
    dead = select(func.count()).where(failed.c.campaign_id == campaign_id, failed.c.dead)
    return Report(
        campaign=campaign,
        lanes=counts,
        reasons=await _reasons(connection, campaign_id),
        dead=(await connection.execute(dead)).scalar_one(),
        dead_letters=aside.many,
        put_aside=aside.latest,
        problems={} if over else await lane_problems(connection, {PLAN, *counts, *campaign.expected}),
        at=now,
    )


async def put_aside(connection: AsyncConnection, campaign_id: str) -> PutAside:
    """What nobody could work on; of a campaign that isn't there, nothing."""
    buried = select(func.count()).where(dead_letters.c.campaign_id == campaign_id)
    return PutAside(
        many=(await connection.execute(buried)).scalar_one(),
        latest=await latest_letters(connection, campaign_id, limit=LETTERS),
    )


async def totals(connection: AsyncConnection, campaign_ids: Collection[str]) -> dict[str, Totals]:
    """Those of each of these campaigns; of one of which nothing was read, or that isn't there, none."""
    c = batches.c
    sums = {
        "accepted": func.sum(c.accepted),
        "failed": func.sum(c.rejected + c.expired + c.ambiguous),
        "cancelled": func.sum(c.cancelled),
        "pending": func.sum(c.pending),
    }
    rows = await connection.execute(
        select(c.campaign_id, *(each.label(name) for name, each in sums.items()))
        .where(c.campaign_id.in_(campaign_ids))
        .group_by(c.campaign_id)
    )
    return {row.campaign_id: Totals(**{name: int(row._mapping[name]) for name in sums}) for row in rows}


async def _reads(connection: AsyncConnection, campaign_id: str) -> bool:
    of_audience = (chains.c.campaign_id == campaign_id, ~chains.c.done, ~chains.c.chain.startswith(WAVES))
    return bool(await connection.scalar(select(exists().where(*of_audience))))


async def _waves(connection: AsyncConnection, campaign: Campaign) -> tuple[HeldWave, ...]:
    c = batches.c
    rows = await connection.execute(
        select(c.wave, c.gated, c.lane, func.sum(c.pending).label("held"))
        .where(c.campaign_id == campaign.id, c.wave.is_not(None))
        .group_by(c.wave, c.gated, c.lane)
        .order_by(c.wave, c.lane)
    )
    lanes: dict[tuple[bool, float], dict[str, int]] = {}
    for row in rows:
        gated = bool(row.gated) and campaign.released_at is None
        of_lane = lanes.setdefault((gated, row.wave), {})
        of_lane[row.lane] = of_lane.get(row.lane, 0) + int(row.held)
    return tuple(HeldWave(at=at, gated=gated, lanes=lanes[gated, at]) for gated, at in sorted(lanes))


async def _counts(
    connection: AsyncConnection, campaign_id: str, now: float, waves: Collection[HeldWave]
) -> dict[str, LaneCounts]:
    names = ("accepted", "rejected", "expired", "cancelled", "ambiguous")
    sums = [func.sum(batches.c[name]).label(name) for name in names]
    rows = await connection.execute(
        select(batches.c.lane, func.sum(batches.c.size).label("read"), func.sum(batches.c.pending).label("left"), *sums)
        .where(batches.c.campaign_id == campaign_id)
        .group_by(batches.c.lane)
        .order_by(batches.c.lane)
    )
    places = await _places(connection, campaign_id, now)
    counts = {}
    for row in rows:
        in_flight, retrying = places.get(row.lane, (0, 0))
        held = sum(wave.lanes.get(row.lane, 0) for wave in waves)
        counts[row.lane] = LaneCounts(
            read=int(row.read),
            queued=int(row.left) - in_flight - retrying - held,
            in_flight=in_flight,
            retrying=retrying,
            held=held,
            **{name: int(row._mapping[name]) for name in names},
        )
    return counts


async def _places(connection: AsyncConnection, campaign_id: str, now: float) -> dict[str, tuple[int, int]]:
    """By lane, how many pending recipients are in flight, and how many wait to be tried again. Nobody is in flight
    where the queue isn't in the store: a task that was left there has no lease that still runs.

    Only batches that are not done yet are looked at: however large the audience, not many more than the queue's depth.
    """
    held = and_(tasks.c.lease.is_not(None), tasks.c.ready_at > now)
    rows = await connection.execute(
        select(
            batches.c.lane, batches.c.pending, held.label("held"), func.substr(batches.c.waiting, 1, 5).label("head")
        )
        .select_from(batches.outerjoin(tasks, tasks.c.id == batches.c.id))
        .where(batches.c.campaign_id == campaign_id, batches.c.pending > 0, batches.c.wave.is_(None))
    )
    places: dict[str, tuple[int, int]] = {}
    for row in rows:
        in_flight, retrying = places.get(row.lane, (0, 0))
        if row.held:
            in_flight += row.pending
        elif row.head:
            retrying += min(row.pending, _array_length(bytes(row.head)))
        places[row.lane] = in_flight, retrying
    return places


def _array_length(head: bytes) -> int:
    """How many entries a MessagePack array has, by its first bytes: a column of a thousand needn't be decoded."""
    match head[0]:
        case 0xDC:
            return int.from_bytes(head[1:3], "big")
        case 0xDD:
            return int.from_bytes(head[1:5], "big")
        case first:
            return first & 0x0F


async def lane_problems(connection: AsyncConnection, names: Collection[str] | None = None) -> dict[str, LaneProblem]:
    """Those of these lanes, or of all, that don't send just now, and why."""
    query = select(lanes).where(lanes.c.problem.is_not(None)).order_by(lanes.c.lane)
    rows = await connection.execute(query if names is None else query.where(lanes.c.lane.in_(names)))
    return {
        row.lane: LaneProblem(
            problem=row.problem, remedy=row.remedy, since=row.since, until=row.until, waiting=row.waiting
        )
        for row in rows
    }


async def _reasons(connection: AsyncConnection, campaign_id: str) -> dict[str, list[ReasonCount]]:
    count = func.count().label("many")
    by: tuple[ColumnElement[Any], ...] = (failed.c.lane, failed.c.reason, failed.c.outcome)
    rows = await connection.execute(
        select(*by, count, func.max(failed.c.status).label("status"), func.max(failed.c.detail).label("detail"))
        .where(failed.c.campaign_id == campaign_id)
        .group_by(*by)
        .order_by(failed.c.lane, count.desc(), failed.c.reason, failed.c.outcome)
    )
    reasons: dict[str, list[ReasonCount]] = {}
    for row in rows:
        reasons.setdefault(row.lane, []).append(
            ReasonCount(
                reason=row.reason, outcome=Outcome(row.outcome), count=row.many, status=row.status, detail=row.detail
            )
        )
    return reasons
