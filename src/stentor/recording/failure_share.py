"""How large the share of failures is on each lane of a campaign, and which campaigns pause because of it.

What counts: a recipient that was rejected, expired or is ambiguous, unless its address is dead or a rule left it out.
Rules: a lane is judged when it has enough outcomes; of a campaign that was resumed, what came after that. A campaign is
paused by its row alone, so any number of schedulers may look.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress

import msgspec
from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.audience.contract import NO_LANE
from stentor.counted import counted
from stentor.errors import InvalidState, StoreUnavailable, UnknownCampaign
from stentor.outcome import Outcome
from stentor.own_reasons import LEFT_OUT
from stentor.recording.meanings import meaning
from stentor.states import CampaignState
from stentor.store import campaigns
from stentor.store.database import Database
from stentor.store.tables import batches, failures
from stentor.store.tables import campaigns as campaign_rows

INTERVAL = 3.0
"""Seconds between two looks."""
_OUTCOMES = func.sum(batches.c.accepted + batches.c.rejected + batches.c.expired + batches.c.ambiguous)
_ENDED_BADLY = func.sum(batches.c.rejected + batches.c.expired + batches.c.ambiguous)
_LOOK = (
    select(
        campaign_rows.c.id,
        campaign_rows.c.pause_above,
        campaign_rows.c.pause_from,
        batches.c.lane,
        _OUTCOMES.label("outcomes"),
        _ENDED_BADLY.label("ended_badly"),
    )
    .select_from(campaign_rows.join(batches, batches.c.campaign_id == campaign_rows.c.id))
    .where(
        campaign_rows.c.state == CampaignState.RUNNING.value,
        campaign_rows.c.pause_above.is_not(None),
        batches.c.lane != NO_LANE,
    )
    .group_by(campaign_rows.c.id, campaign_rows.c.pause_above, campaign_rows.c.pause_from, batches.c.lane)
)
_EXCUSED = or_(failures.c.dead, failures.c.reason.in_(sorted(LEFT_OUT)))
"""Failures that don't count."""


class LaneTally(msgspec.Struct, frozen=True, array_like=True):
    """What a lane of a campaign has."""

    outcomes: int = 0
    """Recipients that were accepted, rejected, expired or are ambiguous."""
    ended_badly: int = 0
    """Those of them that were not accepted."""
    left_out: int = 0
    """Those of these whom a rule left out."""
    dead: int = 0
    """Those of these whose address is dead."""

    @property
    def counted(self) -> int:
        """Outcomes of which the share is taken: all that could have been accepted."""
        return self.outcomes - self.left_out

    @property
    def failed(self) -> int:
        return self.ended_badly - self.left_out - self.dead

    def since(self, before: LaneTally) -> LaneTally:
        """What came after."""
        mine, theirs = msgspec.structs.astuple(self), msgspec.structs.astuple(before)
        return LaneTally(*(max(0, now - then) for now, then in zip(mine, theirs, strict=True)))


def encode_tallies(tallies: Mapping[str, LaneTally]) -> bytes:
    return msgspec.json.encode(tallies)


def decode_tallies(encoded: bytes | None) -> dict[str, LaneTally]:
    return {} if encoded is None else msgspec.json.decode(bytes(encoded), type=dict[str, LaneTally])


async def tallies(connection: AsyncConnection, campaign_id: str) -> dict[str, LaneTally]:
    """What each lane of a campaign has now."""
    query = (
        select(batches.c.lane, _OUTCOMES.label("outcomes"), _ENDED_BADLY.label("ended_badly"))
        .where(batches.c.campaign_id == campaign_id)
        .group_by(batches.c.lane)
    )
    found = {row.lane: LaneTally(int(row.outcomes), int(row.ended_badly)) for row in await connection.execute(query)}
    return await _with_excused(connection, campaign_id, found)


async def _with_excused(
    connection: AsyncConnection, campaign_id: str, found: Mapping[str, LaneTally]
) -> dict[str, LaneTally]:
    """The same with how many of the failures don't count."""
    by = (failures.c.lane, failures.c.reason)
    query = select(*by, func.count().label("many")).where(
        failures.c.campaign_id == campaign_id, failures.c.lane.in_(list(found)), _EXCUSED
    )
    excused: dict[str, tuple[int, int]] = {}
    for row in await connection.execute(query.group_by(*by)):
        left_out, dead = excused.get(row.lane, (0, 0))
        ruled = row.reason in LEFT_OUT
        excused[row.lane] = (left_out + row.many * ruled, dead + row.many * (not ruled))
    return {
        lane: LaneTally(each.outcomes, each.ended_badly, *excused.get(lane, (0, 0))) for lane, each in found.items()
    }


def is_too_much(found: LaneTally, above: float, after: int) -> bool:
    """Whether a campaign pauses.

    Args:
        above: the share of failures.
        after: outcomes that a lane must have first.
    """
    return found.counted >= after and found.failed > above * found.counted


class FailureWatch:
    """Pauses campaigns on whose lanes too much fails. A stage of a scheduler."""

    name = "failures"
    notice: str | None = None

    def __init__(self, database: Database, after: int, clock: Callable[[], float] = time.time) -> None:
        """Args:
        after: outcomes that a lane must have before it is judged.
        clock: epoch seconds.
        """
        self._database = database
        self._after = after
        self._clock = clock
        self.beat: float | None = None
        """When `run` last went round, by the monotonic clock."""
        self.problem: str | None = None
        """Why it could not look the last time; None where it could."""

    async def run(self) -> None:
        """Look every INTERVAL seconds, for ever."""
        while True:
            self.beat = time.monotonic()
            try:
                await self.look()
                self.problem = None
            except StoreUnavailable as error:
                self.problem = str(error)
            await asyncio.sleep(INTERVAL)

    async def look(self) -> list[str]:
        """Pause what must be. Returns: the ids of those that were. Raises: StoreUnavailable."""
        suspects: dict[str, set[str]] = {}
        for row in await self._database.rows(_LOOK):
            before = decode_tallies(row.pause_from).get(row.lane, LaneTally())
            found = LaneTally(int(row.outcomes), int(row.ended_badly)).since(before)
            # As if all that ended badly counted: if that is not too much, neither is what does.
            if found.outcomes >= self._after and found.ended_badly > row.pause_above * found.outcomes:
                suspects.setdefault(row.id, set()).add(row.lane)
        return [campaign_id for campaign_id, lanes in suspects.items() if await self._judge(campaign_id, lanes)]

    async def _judge(self, campaign_id: str, lanes: Collection[str]) -> bool:
        """Pause a campaign if too much of what counts failed on one of these lanes. Returns: whether it was."""

        async def change(connection: AsyncConnection) -> bool:
            campaign = await campaigns.lock(connection, campaign_id)
            above = campaign.pause_above
            if above is None or campaign.state is not CampaignState.RUNNING:
                return False
            from_then = decode_tallies(await campaigns.pause_from(connection, campaign_id))
            now = await tallies(connection, campaign_id)
            for lane in sorted(lanes):
                found = now.get(lane, LaneTally()).since(from_then.get(lane, LaneTally()))
                if is_too_much(found, above, self._after):
                    said = _said(lane, found, above, resumed=bool(from_then))
                    said += await _mostly(connection, campaign_id, lane)
                    at = self._clock()
                    return await campaigns.move(connection, campaign_id, CampaignState.PAUSED, problem=said, now=at)
            return False

        with suppress(InvalidState, UnknownCampaign):  # it ended or was deleted meanwhile
            return await self._database.write(change)
        return False


def _said(lane: str, found: LaneTally, above: float, *, resumed: bool) -> str:
    since = " since it was resumed" if resumed else ""
    share = 100 * found.failed / found.counted
    return (
        f"{lane}: {found.failed:,} of {counted(found.counted, 'outcome')}{since} are failures ({share:.1f} %), more"
        f" than the {100 * above:g} % above which it pauses"
    )


async def _mostly(connection: AsyncConnection, campaign_id: str, lane: str) -> str:
    """The most frequent reason of a lane's failures that count, as the rest of a sentence."""
    many = func.count().label("many")
    query = (
        select(failures.c.reason, failures.c.outcome, many)
        .where(failures.c.campaign_id == campaign_id, failures.c.lane == lane, ~_EXCUSED)
        .group_by(failures.c.reason, failures.c.outcome)
        .order_by(many.desc(), failures.c.reason)
        .limit(1)
    )
    row = (await connection.execute(query)).first()
    if row is None:
        return ""
    means = meaning(lane, row.reason, Outcome(row.outcome))
    often = counted(row.many, "time")
    return f"; most often {row.reason} ({often}){f': {means}' if means else ''}".rstrip(".")
