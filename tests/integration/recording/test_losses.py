"""A batch is called lost if it is, and never because it moved on while it was looked for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import update

from stentor.account import Failure, ends
from stentor.errors import QueueUnavailable, UnknownCampaign
from stentor.outcome import Outcome
from stentor.queue.contract import Lease
from stentor.recording import losses as losses_module
from stentor.recording.audit import Audit, audit_apart
from stentor.recording.contract import Settlement
from stentor.recording.explain import explain
from stentor.recording.losses import Losses
from stentor.recording.report import progress
from stentor.store.tables import batches, failures
from tests.integration.recording.rows import NOW, Rows


async def nothing() -> None:
    return


@dataclass
class Elsewhere:
    """A queue and its outbox, of which only what is in them is known."""

    in_queue: set[str] = field(default_factory=set)
    in_outbox: set[str] = field(default_factory=set)
    then: Callable[[], Awaitable[None]] = nothing
    """What happens between the look into the queue and that into the outbox."""
    after: Callable[[], Awaitable[None]] = nothing
    """What happens after both."""
    asked: list[str] = field(default_factory=list)

    async def queued(self, campaign_id: str) -> AbstractSet[str]:
        self.asked.append("queue")
        found = frozenset(self.in_queue)
        await self.then()
        return found

    async def tasks(self, campaign_id: str) -> AbstractSet[str]:
        self.asked.append("outbox")
        found = frozenset(self.in_outbox)
        await self.after()
        return found


def losses(rows: Rows, elsewhere: Elsewhere, *, outbox: bool = True) -> Losses:
    both: Any = elsewhere
    return Losses(rows.database, both, both if outbox else None)


async def settled(rows: Rows, name: str) -> None:
    outcomes = {"outcomes": bytes([1, 1]), "pending": 0, "accepted": 2}
    await rows.change(update(batches).where(batches.c.id == name).values(**outcomes))


async def test_what_is_neither_queued_nor_told_nor_recorded_is_lost(rows: Rows) -> None:
    await rows.campaign(read=10)
    queued, told, lost, _, other = [await rows.batch(number, "pp" if number != 4 else "aa") for number in range(1, 6)]
    await rows.campaign("c10", read=2)
    await rows.batch(1, "pp", campaign="c10")
    elsewhere = Elsewhere({queued}, {told})
    assert await losses(rows, elsewhere).find("c1") == [lost, other]
    assert elsewhere.asked == ["queue", "outbox"]
    assert await losses(rows, elsewhere, outbox=False).find("c1") == [told, lost, other]


async def test_where_nobody_is_pending_the_queue_is_not_asked(rows: Rows) -> None:
    await rows.campaign(read=2)
    await rows.batch(1, "aa")
    elsewhere = Elsewhere()
    assert await losses(rows, elsewhere).find("c1") == []
    assert elsewhere.asked == []


async def test_what_moves_on_meanwhile_is_not_lost(rows: Rows) -> None:
    """Sent, told and acked before the queue was asked; recorded before, or after, the outbox was asked."""
    await rows.campaign(read=2)
    name = await rows.batch(1, "pp")

    async def record() -> None:
        await settled(rows, name)

    assert await losses(rows, Elsewhere(in_outbox={name}, after=record)).find("c1") == []


async def test_what_is_recorded_between_the_looks_is_not_lost(rows: Rows) -> None:
    await rows.campaign(read=2)
    name = await rows.batch(1, "pp")

    async def record() -> None:
        await settled(rows, name)

    assert await losses(rows, Elsewhere(then=record)).find("c1") == []


async def test_what_is_told_between_the_looks_is_not_lost(rows: Rows) -> None:
    await rows.campaign(read=2)
    name = await rows.batch(1, "pp")
    elsewhere = Elsewhere()

    async def tell() -> None:
        elsewhere.in_outbox.add(name)

    elsewhere.then = tell
    assert await losses(rows, elsewhere).find("c1") == []


async def test_what_is_planned_meanwhile_is_not_lost(rows: Rows) -> None:
    await rows.campaign(read=4)
    lost = await rows.batch(1, "pp")

    async def plan() -> None:
        await rows.batch(2, "pp")

    assert await losses(rows, Elsewhere(then=plan)).find("c1") == [lost]


async def test_many_suspects(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(losses_module, "AT_ONCE", 3)
    await rows.campaign(read=16)
    names = sorted([await rows.batch(number, "pp") for number in range(8)])
    assert await losses(rows, Elsewhere()).find("c1") == names


async def test_how_those_end_who_cannot_be_sent_to(rows: Rows) -> None:
    await rows.campaign(read=3)
    name = await rows.batch(1, "app")
    lease = Lease(id=name, lane="apns/ios", campaign_id="c1", payload=b"", deliveries=0, token="", until=0.0)
    gone = Failure(position=1, outcome=Outcome.AMBIGUOUS, reason="Gone", tries=0)
    settlement = Settlement(lease=lease, batch=None, account=ends(3, [gone]))
    for _ in range(2):
        await losses(rows, Elsewhere()).settle([settlement], NOW)
    row = (await rows.database.rows(batches.select()))[0]
    assert (row.outcomes, row.pending, row.ambiguous) == (bytes([1, 5, 0]), 1, 1)
    (failure,) = await rows.database.rows(failures.select())
    assert (failure.installation, failure.reason, failure.at) == ("k1-1", "Gone", NOW)


# -- what audit, report and `explain` say with such a queue -----------------------------------------------------------


async def recount(rows: Rows, elsewhere: Elsewhere) -> Audit:
    return await audit_apart(rows.database, losses(rows, elsewhere), "c1", NOW)


async def test_a_campaign_in_the_middle_is_exact(rows: Rows) -> None:
    await rows.campaign(read=6)
    queued, told, done = [await rows.batch(number, text, task=None) for number, text in enumerate(("pp", "pa", "aa"))]
    found = await recount(rows, Elsewhere({queued, done}, {told}))
    assert found.exact, found.checks
    assert [check.name for check in found.checks].count("queue") == 1


async def test_the_audit_finds_what_is_lost(rows: Rows) -> None:
    await rows.campaign(read=6)
    queued, lost, _ = [await rows.batch(number, "pp", task=None) for number in range(3)]
    found = await recount(rows, Elsewhere({queued}))
    (check,) = [check for check in found.checks if not check.ok]
    assert check.name == "queue"
    assert f"batch {lost} has pending recipients and is lost (and 1 more)" in check.detail


async def test_an_audit_without_its_queue_or_campaign_says_so(rows: Rows) -> None:
    with pytest.raises(UnknownCampaign):
        await recount(rows, Elsewhere())
    await rows.campaign(read=2)
    await rows.batch(1, "pp", task=None)

    async def refuse() -> None:
        raise QueueUnavailable

    with pytest.raises(QueueUnavailable):
        await recount(rows, Elsewhere(then=refuse))


async def test_progress_adds_up_without_tasks_in_the_store(rows: Rows) -> None:
    await rows.campaign(read=5)
    await rows.batch(1, "ppp", task=None)
    await rows.batch(2, "ap", task=None)
    async with rows.database.read() as connection:
        total = (await progress(connection, "c1", NOW)).total
    assert (total.read, total.queued, total.in_flight, total.retrying, total.accepted) == (5, 4, 0, 0, 1)


async def test_explain_does_not_claim_to_know_where_a_batch_is(rows: Rows) -> None:
    await rows.campaign(read=1)
    name = await rows.batch(1, "p", task=None)

    async def story() -> str:
        async with rows.database.read() as connection:
            told = await explain(connection, "c1", "k1-0", NOW, queue_apart=True)
        return "\n".join(event.text for event in told.events)

    assert "Its batch was given to lane apns/ios; whether it waits there or a sender has it" in await story()
    await rows.task(name)  # left there by another queue
    assert "is ready" not in await story()
    assert "defect" not in await story()
    await rows.bury(name, "its columns have different lengths")
    assert "put aside, as it could not be processed: its columns have different lengths" in await story()
