"""Batches that a queue has lost are put again: late enough, once, and with those in them who can still be sent to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.account import Waiting
from stentor.audience.contract import Page, Wanted
from stentor.batch import Batch, decode_batch
from stentor.errors import AudienceUnavailable, InvalidAudience, QueueUnavailable, StoreUnavailable
from stentor.outcome import Outcome
from stentor.planning.healing import LOST_AFTER, Healer
from stentor.queue.contract import Lease
from stentor.recording.audit import audit
from stentor.recording.explain import explain
from stentor.recording.losses import Losses
from stentor.recording.report import report
from stentor.states import CampaignState
from stentor.store.letters import DeadLetter, bury_outcomes
from stentor.store.tables import batches, failures, tasks
from tests.integration.planning.world import ANDROID, CAMPAIGN, HOLD, IOS, World, crowd, run, world


class Trial(World):
    """Three batches of five on one lane, all planned and queued."""

    def healer(self) -> Healer:
        return Healer(self.database, self.queue, self, Losses(self.database, self.queue, None), self.clock)

    async def queued(self) -> list[str]:
        return sorted(row.id for row in await self.database.rows(sa.select(tasks.c.id)))

    async def lose(self, *names: str) -> None:
        """Some tasks, or all of them."""
        await run(self.database, sa.delete(tasks).where(tasks.c.id.in_(names) if names else sa.true()))

    async def taken(self) -> list[tuple[Lease, Batch]]:
        leases = await self.queue.take(IOS, 100, HOLD)
        return [(lease, decode_batch(lease.payload)) for lease in leases]

    async def heal(self) -> int:
        """Look twice, when all is untouched for long enough."""
        self.clock.now += LOST_AFTER
        healer = self.healer()
        assert await healer.look() == 0
        return await healer.look()


@pytest.fixture
async def trial(database_url: str) -> AsyncIterator[Trial]:
    async with world(database_url, crowd(IOS, size=15)) as made:
        trial = Trial(made.database, made.people, made.clock)
        await trial.start()
        await trial.do_all(drain=())
        assert len(await trial.queued()) == 3
        yield trial


async def test_what_was_lost_is_put_again_as_it_was(trial: Trial) -> None:
    before = await trial.taken()
    names = await trial.queued()
    await trial.lose(*names[1:])
    assert await trial.heal() == 2
    assert await trial.queued() == names
    after = {lease.id: batch for lease, batch in await trial.taken() if lease.id in names[1:]}
    ends = (await trial.campaign()).expires_at
    assert after == {
        lease.id: msgspec.structs.replace(batch, expires_at=ends) for lease, batch in before if lease.id in names[1:]
    }
    async with trial.database.read() as connection:
        found = await audit(connection, CAMPAIGN, trial.clock())
    assert found.exact, found.checks


async def test_nothing_is_put_that_is_not_lost(trial: Trial) -> None:
    held = await trial.taken()
    assert await trial.heal() == 0
    await trial.queue.settle(release=[(lease, 3600.0) for lease, _ in held])
    assert await trial.heal() == 0


async def test_one_look_is_not_enough_and_a_second_after_it_was_found_does_not_count(trial: Trial) -> None:
    names = await trial.queued()
    await trial.lose(names[0])
    trial.clock.now += LOST_AFTER
    healer = trial.healer()
    assert await healer.look() == 0
    assert names[0] not in await trial.queued()
    assert await healer.look() == 1
    assert await healer.look() == 0  # there it is
    await trial.lose(names[0])
    assert await healer.look() == 0  # lost again, and seen so once
    assert await healer.look() == 1


async def test_what_was_touched_lately_is_left_alone(trial: Trial) -> None:
    names = await trial.queued()
    await trial.lose()
    trial.clock.now += LOST_AFTER
    await run(trial.database, sa.update(batches).where(batches.c.id == names[0]).values(recorded_at=trial.clock() - 1))
    healer = trial.healer()
    await healer.look()
    assert await healer.look() == 2
    assert await trial.queued() == names[1:]
    trial.clock.now += LOST_AFTER
    await healer.look()
    assert await healer.look() == 1


async def test_a_fresh_campaign_costs_the_queue_no_question(trial: Trial) -> None:
    class Unasked(Losses):
        async def find(self, campaign_id: str) -> list[str]:
            raise AssertionError("asked")

    losses = Unasked(trial.database, trial.queue, None)
    assert await Healer(trial.database, trial.queue, trial, losses, trial.clock).look() == 0


async def test_several_healers_put_it_once(trial: Trial) -> None:
    names = await trial.queued()
    await trial.lose()
    trial.clock.now += LOST_AFTER
    healers = [trial.healer() for _ in range(3)]
    for _ in range(2):
        await asyncio.gather(*(healer.look() for healer in healers))
    assert await trial.queued() == names


async def test_who_is_settled_has_no_address_and_who_is_gone_ends_as_ambiguous(trial: Trial) -> None:
    name = (await trial.queued())[0]
    keys = [key.decode() for key in (await trial.taken())[0][1].recipients]
    waiting = msgspec.msgpack.encode([Waiting(2, 3, trial.clock(), "ServiceUnavailable")])
    values = {"outcomes": bytes([0, 1, 0, 0, 0]), "pending": 4, "accepted": 1, "waiting": waiting}
    await run(trial.database, sa.update(batches).where(batches.c.id == name).values(values))
    del trial.people.rows[keys[0]], trial.people.rows[keys[1]], trial.people.rows[keys[2]]
    trial.people.rows[keys[3]] = ANDROID
    await trial.lose(name)
    assert await trial.heal() == 1
    ((_, batch),) = [each for each in await trial.taken() if each[0].id == name]
    assert [key.decode() for key in batch.recipients] == keys
    assert batch.addresses == [b"", b"", b"", b"", b"address"]
    (row,) = await trial.database.rows(sa.select(batches).where(batches.c.id == name))
    gone, settled, left = Outcome.AMBIGUOUS, Outcome.ACCEPTED, Outcome.PENDING
    assert [*row.outcomes] == [gone, settled, gone, gone, left]
    rows = await trial.database.rows(sa.select(failures).order_by(failures.c.position))
    assert [(each.position, each.reason, each.tries, each.dead) for each in rows] == [
        (0, "Gone", 0, False),
        (2, "Gone", 3, False),
        (3, "Gone", 0, False),
    ]
    async with trial.database.read() as connection:
        found = await audit(connection, CAMPAIGN, trial.clock())
    assert found.exact, found.checks


async def put_aside(trial: Trial, name: str, reason: str, lane: str = IOS) -> None:
    """What became of a batch, which is lost with it."""
    letter = DeadLetter(id=name, lane=lane, campaign_id=CAMPAIGN, reason=reason, deliveries=1, at=trial.clock())

    async def change(connection: AsyncConnection) -> None:
        await bury_outcomes(connection, letter, b"what became of it")

    await trial.database.write(change)
    await trial.lose(name)


async def test_a_batch_whose_outcomes_are_put_aside_is_sent_again_once_and_then_ends(trial: Trial) -> None:
    first, *others = await trial.queued()
    column = {"outcomes": bytes([1, 0, 0, 0, 0]), "pending": 4, "accepted": 1}
    await run(trial.database, sa.update(batches).where(batches.c.id == first).values(column))
    await put_aside(trial, first, "it is no message")
    assert await trial.heal() == 1
    assert await trial.queued() == [first, *others]
    await put_aside(trial, first, "5 recorders died while they held it")
    assert await trial.heal() == 1
    assert await trial.queued() == others
    for _ in range(2):
        assert await trial.heal() == 0
    (row,) = await trial.database.rows(sa.select(batches).where(batches.c.id == first))
    assert (row.outcomes, row.pending, row.ambiguous) == (bytes([1, 5, 5, 5, 5]), 0, 4)
    rows = await trial.database.rows(sa.select(failures).order_by(failures.c.position))
    assert {(each.reason, each.detail) for each in rows} == {("DeadLetter", "5 recorders died while they held it")}
    async with trial.database.read() as connection:
        found = await audit(connection, CAMPAIGN, trial.clock())
        told = await report(connection, CAMPAIGN, trial.clock())
        about = await explain(connection, CAMPAIGN, rows[0].installation, trial.clock())
    assert found.exact, found.checks
    assert [(each.reason, each.count) for each in told.reasons[IOS]] == [("DeadLetter", 4)]
    (letter,) = told.put_aside
    assert (letter.id, letter.deliveries) == (f"{first}#outcomes", 2)
    assert letter.reason == "5 recorders died while they held it"
    assert "5 recorders died while they held it" in "\n".join(each.text for each in about.events)


async def test_it_ends_at_once_where_a_second_message_would_be_seen_beside_the_first(trial: Trial) -> None:
    first, *others = await trial.queued()
    await put_aside(trial, first, "it is no message", "telegram/bot")
    assert await trial.heal() == 1
    assert await trial.queued() == others
    assert await trial.count(failures) == 5


async def test_it_ends_in_a_stopped_campaign_as_well(trial: Trial) -> None:
    first, *others = await trial.queued()
    for _ in range(2):
        await put_aside(trial, first, "it is no message")
    await trial.lose(others[0])
    await trial.move(CampaignState.CANCELLING)
    assert await trial.heal() == 2
    assert await trial.queued() == others
    assert await trial.count(failures) == 5


async def test_until_then_explain_tells_that_its_outcomes_were_put_aside(trial: Trial) -> None:
    first = (await trial.queued())[0]
    key = (await trial.taken())[0][1].recipients[0].decode()
    await put_aside(trial, first, "it is no message")
    async with trial.database.read() as connection:
        told = await explain(connection, CAMPAIGN, key, trial.clock(), queue_apart=True)
    assert "put aside, as they could not be recorded: it is no message" in "\n".join(each.text for each in told.events)


async def test_a_batch_of_which_nobody_is_left_is_not_put(trial: Trial) -> None:
    names = await trial.queued()
    trial.people.rows.clear()
    await trial.lose()
    assert await trial.heal() == 3
    assert await trial.queued() == []
    outcomes = [row.outcomes for row in await trial.database.rows(sa.select(batches.c.outcomes))]
    assert outcomes == [bytes([Outcome.AMBIGUOUS] * 5)] * len(names)


@pytest.mark.parametrize("state", [CampaignState.CANCELLING, CampaignState.FAILED])
async def test_a_stopped_campaign_is_put_to_be_ended_without_reading_the_audience(
    trial: Trial, state: CampaignState
) -> None:
    names = await trial.queued()
    await trial.lose()
    await trial.move(state)
    trial.people.rows.clear()
    assert await trial.heal() == 3
    assert await trial.queued() == names
    assert {address for _, batch in await trial.taken() for address in batch.addresses} == {b""}
    assert await trial.count(failures) == 0


async def test_so_is_one_whose_time_is_over(trial: Trial) -> None:
    await trial.lose()
    await trial.move(CampaignState.PAUSED)
    trial.people.rows.clear()
    trial.clock.now += 3600
    assert await trial.heal() == 3
    assert await trial.count(failures) == 0
    ((_, batch), *_) = await trial.taken()
    assert (batch.addresses, batch.expires_at < trial.clock()) == ([b""] * 5, True)


async def test_a_paused_campaign_is_healed_and_a_final_one_left_alone(trial: Trial) -> None:
    await trial.lose()
    await trial.move(CampaignState.PAUSED)
    assert await trial.heal() == 3
    await trial.lose()
    await trial.move(CampaignState.CANCELLING)
    await trial.move(CampaignState.CANCELLED)
    assert await trial.heal() == 0


@pytest.mark.parametrize(
    "error", [AudienceUnavailable("it is down"), InvalidAudience("it has no such column"), KeyError("unforeseen")]
)
async def test_an_audience_that_cannot_be_read_is_told_of_and_waited_for(
    trial: Trial, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = await trial.queued()
    await trial.lose()
    trial.clock.now += LOST_AFTER
    healer = trial.healer()

    async def refuse(*_: object) -> Page:
        raise error

    with monkeypatch.context() as down:
        down.setattr(trial.people, "find", refuse)
        for _ in range(3):
            assert await healer.look() == 0
        assert healer.problem is None
        assert str(error) in (healer.notice or "")
        assert await trial.queued() == []
    assert await healer.look() == 3
    assert await trial.queued() == names
    await healer.look()
    assert healer.notice is None


async def test_a_queue_that_is_away_is_a_problem_while_it_is(trial: Trial) -> None:
    class Away(Losses):
        async def find(self, campaign_id: str) -> list[str]:
            raise QueueUnavailable("NATS is away")

    trial.clock.now += LOST_AFTER
    healer = Healer(trial.database, trial.queue, trial, Away(trial.database, trial.queue, None), trial.clock)
    with pytest.raises(StoreUnavailable):
        await healer.look()
    running = asyncio.create_task(healer.run())
    while healer.problem is None:  # noqa: ASYNC110 - nobody is told of it
        await asyncio.sleep(0.01)
    assert healer.problem == "NATS is away"
    assert healer.beat is None
    running.cancel()
    await asyncio.wait([running])


async def test_it_looks_again_and_again(trial: Trial) -> None:
    names = await trial.queued()
    await trial.lose()
    trial.clock.now += LOST_AFTER
    losses = Losses(trial.database, trial.queue, None)
    running = asyncio.create_task(Healer(trial.database, trial.queue, trial, losses, trial.clock, 0.02).run())
    while await trial.queued() != names:  # noqa: ASYNC110 - nobody is told of it
        await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.wait([running])


async def test_a_batch_costs_one_question(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    find = trial.people.find

    async def counted(keys: list[str], wanted: Wanted) -> Page:
        asked.append(len(keys))
        return await find(keys, wanted)

    monkeypatch.setattr(trial.people, "find", counted)
    await trial.lose()
    await trial.heal()
    assert asked == [5, 5, 5]
