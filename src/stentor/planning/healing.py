"""Puts batches again that the queue has lost: in a storage of its own, it may lose what the store knows to be pending.

The store has the recipients' keys and not their addresses, so these are read from the audience again. Rules: a batch
counts as lost only when nobody has touched it for minutes and two looks in a row found it lost; it is put with the same
id, edition and order, so that putting it twice, or beside the one that was thought lost, changes nothing; who is
settled stays so. Who is no longer in the audience ends as ambiguous: such a batch may have been sent, and what came of
it lost with the queue. So does everybody who is pending of a batch that was put again already because no recorder could
write down what became of it, and at once where a second message would be seen beside the first.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import msgspec
from sqlalchemy import Row, bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor import channels
from stentor.account import DEAD_LETTER, Failure, Waiting, decode_waiting
from stentor.audience.contract import UNREADABLE_ROW, Audience, Selection, Wanted
from stentor.counted import counted
from stentor.errors import AudienceUnavailable, InvalidAudience, InvalidMessage, StoreUnavailable, UnknownCampaign
from stentor.outcome import Outcome
from stentor.planning.content import decode_content
from stentor.planning.division import TOO_LARGE_REASON, IndexOf
from stentor.planning.restoring import GONE_REASON, Lost, Restored, restore, restore_to_end, settlement
from stentor.planning.worker import Sources
from stentor.queue.contract import Queue, Task
from stentor.recording.contract import Settlement
from stentor.states import STOPPED, CampaignState
from stentor.store import campaigns
from stentor.store.campaigns import Campaign
from stentor.store.database import Database
from stentor.store.letters import DeadLetter, buried_outcomes
from stentor.store.tables import batches
from stentor.store.tables import campaigns as campaigns_table

logger = logging.getLogger(__name__)

LOST_AFTER = 120.0
"""Seconds for which nobody has touched a batch that counts as lost. As long as a queue may refuse to take a task again
that it had before (`queue.streams.DUPLICATES`): looking earlier would be in vain."""
PUT_AGAIN = 1
"""How often a batch is put again whose outcomes were put aside."""
AGAIN = 5.0
"""Seconds after which is looked again where the store or the queue could not be reached."""
SURELY_OVER = 60.0
"""Seconds after which a batch's time is over by everybody's clock."""
DETAILS = {
    GONE_REASON: "its batch was lost with the queue, and it is no longer in the audience",
    TOO_LARGE_REASON: "its batch was lost with the queue, and it no longer fits into one",
    UNREADABLE_ROW: "its batch was lost with the queue, and its row can no longer be read",
}

_OPEN = (CampaignState.RUNNING, CampaignState.PAUSED, CampaignState.CANCELLING, CampaignState.FAILED)
_UNTOUCHED = (
    select(batches.c.id, batches.c.campaign_id)
    .join_from(batches, campaigns_table, campaigns_table.c.id == batches.c.campaign_id)
    .where(
        campaigns_table.c.state.in_([state.value for state in _OPEN]),
        batches.c.pending > 0,
        batches.c.wave.is_(None),
        func.coalesce(batches.c.recorded_at, batches.c.planned_at) <= bindparam("before"),
    )
)
_COLUMNS = ("id", "campaign_id", "lane", "size", "edition", "outcomes", "waiting", "recipients", "expires_at")
_BATCH = select(*(batches.c[name] for name in _COLUMNS)).where(
    batches.c.id == bindparam("batch"), batches.c.pending > 0
)
_RECIPIENTS = msgspec.msgpack.Decoder(list[bytes])


class LossFinder(Protocol):
    """Knows what is lost, and writes down how those end who cannot be sent to; `recording.losses.Losses` is one."""

    async def find(self, campaign_id: str) -> Sequence[str]:
        """The ids of a campaign's batches that are lost. Raises: StoreUnavailable."""

    async def settle(self, settlements: Sequence[Settlement], now: float) -> None:
        """Raises: StoreUnavailable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """A campaign's audience, and what is read of it."""

    audience: Audience
    wanted: Wanted
    index_of: IndexOf | None


class Healer:
    """Puts lost batches again. Any number may work at once."""

    name = "heal"

    def __init__(
        self,
        database: Database,
        queue: Queue,
        sources: Sources,
        losses: LossFinder,
        clock: Callable[[], float] = time.time,
        lost_after: float = LOST_AFTER,
    ) -> None:
        """Args:
        lost_after: seconds for which nobody has touched a batch that counts as lost; it is looked twice in that time.
        """
        self._database = database
        self._queue = queue
        self._sources = sources
        self._losses = losses
        self._clock = clock
        self._lost_after = lost_after
        self._seen: frozenset[str] = frozenset()  # lost when we looked the last time
        self._troubles: dict[str, str] = {}
        self.beat: float | None = None
        """When it last gave a sign, by the monotonic clock; None while it rests."""
        self.problem: str | None = None
        """Why it could not look the last time; None where it could."""

    @property
    def notice(self) -> str | None:
        """Why a campaign's lost batches cannot be put again just now."""
        return next(iter(self._troubles.values()), None)

    async def run(self) -> None:
        """Look twice in `lost_after` seconds, for ever."""
        while True:
            self.beat = time.monotonic()
            pause = self._lost_after / 2
            try:
                await self.look()
                self.problem = None
            except StoreUnavailable as error:
                self.problem = str(error)
                pause = min(pause, AGAIN)
            self.beat = None
            await asyncio.sleep(pause)

    async def look(self) -> int:
        """Find what is lost, and put again what was found lost the last time as well. Returns how many batches.

        Raises: StoreUnavailable.
        """
        before = self._clock() - self._lost_after
        untouched: dict[str, set[str]] = defaultdict(set)
        for row in await self._database.rows(_UNTOUCHED, {"before": before}):
            untouched[row.campaign_id].add(row.id)
        lost = {each: untouched[each].intersection(await self._losses.find(each)) for each in untouched}
        again = {each: sorted(names & self._seen) for each, names in lost.items()}
        self._seen = frozenset().union(*lost.values())
        self._troubles = {name: trouble for name, trouble in self._troubles.items() if lost.get(name)}
        return sum([await self._heal(campaign_id, names) for campaign_id, names in again.items() if names])

    async def _heal(self, campaign_id: str, names: Sequence[str]) -> int:
        lost = counted(len(names), "batch", "batches")
        facts = {"campaign": campaign_id}
        logger.warning("campaign %s: %s, lost with the queue, put again", campaign_id, lost, extra=facts)
        try:
            campaign, content = await self._database.ask(lambda connection: campaigns.whole(connection, campaign_id))
            names, ended = await self._end_unreadable(names)
            return ended + await self._put_again(campaign, content, names)
        except UnknownCampaign:
            return 0  # it was deleted
        except (AudienceUnavailable, InvalidAudience, InvalidMessage) as error:
            if campaign_id not in self._troubles:
                logger.warning("the lost batches of campaign %s wait: %s", campaign_id, error, extra=facts)
            self._troubles[campaign_id] = f"batches of campaign {campaign_id} were lost, and wait: {error}"
            return 0
        except StoreUnavailable:
            raise
        except Exception as error:  # the process would die of it again and again, and heal nobody else
            logger.error("the lost batches of campaign %s wait: %r", campaign_id, error, exc_info=error, extra=facts)
            self._troubles[campaign_id] = f"batches of campaign {campaign_id} were lost, and wait: {error!r}"
            return 0

    async def _end_unreadable(self, names: Sequence[str]) -> tuple[list[str], int]:
        """End those batches of which nobody can tell what becomes of them. Returns: the others, and how many ended."""
        letters = await self._database.ask(lambda connection: buried_outcomes(connection, names))
        over = {
            name: letter
            for name, letter in letters.items()
            if letter.deliveries > PUT_AGAIN or channels.is_on_record(letter.lane)
        }
        for name, letter in over.items():
            if (row := await self._row(name)) is not None:
                facts = {"campaign": letter.campaign_id, "lane": letter.lane, "batch": name}
                said = "batch %s is not sent again, as nobody could record what became of it"
                logger.error(said, name, extra=facts)
                lost = _lost(row)
                tried = {each.position: each for each in decode_waiting(row.waiting)}
                await self._losses.settle([_end_all(lost, letter, tried)], self._clock())
        return [name for name in names if name not in over], len(over)

    async def _put_again(self, campaign: Campaign, encoded: bytes, names: Sequence[str]) -> int:
        """Nobody is sent to any more if it was stopped or its time is over: who takes such a batch settles all of it,
        and needs no address for it."""
        reading: _Reading | None = None
        try:
            for name in names:
                if (row := await self._row(name)) is None:
                    continue
                lost = _lost(row)
                expires_at = campaign.expires_at or 0.0 if lost.expires_at is None else lost.expires_at
                if campaign.state in STOPPED or expires_at <= self._clock() - SURELY_OVER:
                    task = restore_to_end(lost, expires_at)
                    await self._put([replace(task, urgent=campaign.is_message)])
                    continue
                if reading is None:
                    reading = self._open(campaign, encoded)
                found = await reading.audience.find(
                    [lost.recipients[at].decode() for at in lost.pending], reading.wanted
                )
                restored = restore(lost, expires_at, found, reading.index_of)
                task = replace(restored.task, urgent=campaign.is_message)
                await self._finish(row, lost, replace(restored, task=task))
        finally:
            if reading is not None:
                await reading.audience.aclose()
        return len(names)

    def _open(self, campaign: Campaign, encoded: bytes) -> _Reading:
        content = decode_content(encoded)
        several = len(content.languages) > 1
        return _Reading(
            audience=self._sources.open(msgspec.json.decode(campaign.audience, type=Selection)),
            wanted=Wanted(language=several, variables=tuple(content.variables)),
            index_of=content.language_index if several else None,
        )

    async def _finish(self, row: Row[Any], lost: Lost, restored: Restored) -> None:
        """Settle first: whoever takes the batch must know already whom to leave out."""
        if restored.unsendable:
            now = self._clock()
            tried = {each.position: each for each in decode_waiting(row.waiting)}
            await self._losses.settle([_end(lost, restored.unsendable, tried)], now)
        if len(restored.unsendable) < len(lost.pending):
            await self._put([restored.task])

    async def _put(self, tasks: Sequence[Task]) -> None:
        await self._queue.settle(put=tasks)
        self.beat = time.monotonic()

    async def _row(self, name: str) -> Row[Any] | None:
        """A batch that is still pending."""

        async def question(connection: AsyncConnection) -> Row[Any] | None:
            return (await connection.execute(_BATCH, {"batch": name})).first()

        return await self._database.ask(question)


def _lost(row: Row[Any]) -> Lost:
    return Lost(
        id=row.id,
        campaign_id=row.campaign_id,
        lane=row.lane,
        edition=row.edition or "",
        recipients=_RECIPIENTS.decode(row.recipients),
        outcomes=bytes(row.size) if row.outcomes is None else bytes(row.outcomes),
        expires_at=row.expires_at,
    )


def _end(lost: Lost, unsendable: Mapping[int, str], tried: Mapping[int, Waiting]) -> Settlement:
    """How those end who cannot be sent to again."""
    return _ambiguous(lost, {position: (reason, DETAILS[reason]) for position, reason in unsendable.items()}, tried)


def _end_all(lost: Lost, letter: DeadLetter, tried: Mapping[int, Waiting]) -> Settlement:
    """How those end whose outcomes were put aside."""
    return _ambiguous(lost, dict.fromkeys(lost.pending, (DEAD_LETTER, letter.reason)), tried)


def _ambiguous(lost: Lost, why: Mapping[int, tuple[str, str]], tried: Mapping[int, Waiting]) -> Settlement:
    """That those at some positions may have been sent to or not: the reason and the detail of each."""
    failures = [
        Failure(
            position=position,
            outcome=Outcome.AMBIGUOUS,
            reason=reason,
            detail=detail,
            tries=tried[position].tries if position in tried else 0,
        )
        for position, (reason, detail) in why.items()
    ]
    return settlement(lost, failures)
