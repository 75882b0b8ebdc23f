"""Whom campaigns leave alone, planned on a real store: who said no, who is on a list, who had it or had enough.

No cap is passed, whoever is killed between two steps, and however many plan at once.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.account import Failure, ends
from stentor.audience.contract import Wanted
from stentor.batch import decode_batch
from stentor.config import SendingConfig
from stentor.errors import InvalidAudience
from stentor.model import Message
from stentor.outcome import Outcome
from stentor.planning.care.look import KEY_LENGTH, bounds
from stentor.planning.content import Content
from stentor.planning.planner import Planner
from stentor.queue.sql import SqlQueue
from stentor.recording.contract import Settlement, Then
from stentor.recording.recorder import Recorder
from stentor.store import exclusions, opt_outs
from stentor.store.caring import CareSettings
from stentor.store.tables import batches, failures
from tests.integration.planning.world import ANDROID, HOLD, IOS, World, crowd, world

SIZE = 30
HOUR, DAY = 3600.0, 86_400.0
EVERYBODY = sorted(crowd(IOS, ANDROID, size=SIZE))


@pytest.fixture
async def planning(database_url: str) -> AsyncIterator[World]:
    async with world(database_url, crowd(IOS, ANDROID, size=SIZE)) as found:
        found.settings = SendingConfig(page=10, batch=5, ranges=3, depth=100)
        yield found


class Killed(Exception):
    """The process is gone."""


class Interrupted(SqlQueue):
    """A queue that does something before, or after, each settlement that writes; it may raise `Killed`."""

    def __init__(self, world: World, before: Callable[[], Awaitable[None]], *, within: bool = False) -> None:
        super().__init__(world.database, world.clock)
        self._before = before
        self._within = within

    async def settle(self, change: Any = None, **rest: Any) -> None:
        if change is None:
            await super().settle(**rest)
            return

        async def with_an_end(connection: AsyncConnection) -> None:
            await change(connection)
            await self._before()

        if not self._within:
            await self._before()
        await super().settle(with_an_end if self._within else change, **rest)


def planner(planning: World, queue: SqlQueue) -> Planner:
    return Planner(queue, planning.settings, planning.lanes, planning.clock)


async def begin(planning: World, campaign_id: str, care: CareSettings | None = None, **values: Any) -> None:
    """Start a campaign, and do its first step."""
    await planning.start(campaign_id, care=care or CareSettings(), **values)
    await planning.do_one()


async def plan(planning: World, campaign_id: str, care: CareSettings | None = None, **values: Any) -> None:
    """A campaign, planned to its end; nobody has taken its batches."""
    await begin(planning, campaign_id, care, **values)
    while leases := await planning.take():
        await planning.do(leases[0])


async def deliver(planning: World, outcome: Outcome = Outcome.ACCEPTED, *, queue: SqlQueue | None = None) -> None:
    """Take all that is queued, and record this of everybody."""
    recorder = Recorder(planning.database, queue or planning.queue, planning.clock)
    for lane in planning.lanes:
        leases = await planning.queue.take(lane, 1000, HOLD)
        settlements = []
        for lease in leases:
            batch = decode_batch(lease.payload)
            lost = outcome not in (Outcome.ACCEPTED, Outcome.CANCELLED)
            failed = [Failure(position=at, outcome=outcome, reason="Test", tries=1) for at in range(len(batch)) if lost]
            account = ends(len(batch), failed, dict.fromkeys(range(len(batch)), outcome) if not failed else {})
            settlements.append(Settlement(lease=lease, batch=batch, account=account, then=Then.ACK))
        await recorder.commit(settlements)


async def sent_to(planning: World, campaign_id: str) -> list[str]:
    """Who is in a batch of a campaign that is, or was, sent."""
    return await _in_batches(planning, campaign_id, batches.c.rejected == 0)


async def _in_batches(planning: World, campaign_id: str, which: sa.ColumnElement[bool]) -> list[str]:
    query = sa.select(batches.c.recipients).where(batches.c.campaign_id == campaign_id, which)
    rows = await planning.database.rows(query)
    return sorted(key.decode() for row in rows for key in msgspec.msgpack.decode(row.recipients, type=list[bytes]))


async def left_out(planning: World, campaign_id: str) -> dict[str, dict[str, str]]:
    """By reason, who got nothing and the detail."""
    found: defaultdict[str, dict[str, str]] = defaultdict(dict)
    query = sa.select(failures).where(failures.c.campaign_id == campaign_id, failures.c.reason != "Test")
    for row in await planning.database.rows(query):
        found[row.reason][row.installation] = row.detail
    return dict(found)


async def add(planning: World, *no: str, category: str = "all") -> None:
    await planning.database.write(lambda c: opt_outs.add(c, no, category, planning.clock()))


async def test_a_cap_holds_across_campaigns_and_ends(planning: World) -> None:
    planning.caps = ("2 in 24h",)
    for campaign_id in ("c1", "c2"):
        await plan(planning, campaign_id)
        await deliver(planning)
        assert await sent_to(planning, campaign_id) == EVERYBODY
        planning.clock.now += HOUR
    await plan(planning, "c3")
    assert await sent_to(planning, "c3") == []
    told = (await left_out(planning, "c3"))["Capped"]
    assert sorted(told) == EVERYBODY
    assert all(said.startswith("2 in 24h; the next may be sent from ") for said in told.values())
    planning.clock.now += DAY - 2 * HOUR + 1  # the first one is over, and the second isn't
    await plan(planning, "c4")
    assert await sent_to(planning, "c4") == EVERYBODY
    await plan(planning, "c5")
    assert await sent_to(planning, "c5") == []


@pytest.mark.parametrize(
    ("outcome", "counts"),
    [(Outcome.REJECTED, False), (Outcome.EXPIRED, False), (Outcome.CANCELLED, False), (Outcome.AMBIGUOUS, True)],
)
async def test_what_is_planned_counts_until_its_outcome_is_known(
    planning: World, outcome: Outcome, counts: bool
) -> None:
    planning.caps = ("1 in 24h",)
    await plan(planning, "c1")
    await plan(planning, "c2")
    assert await sent_to(planning, "c2") == [], "nobody knows yet whom the first one reaches"
    await deliver(planning, outcome)
    await plan(planning, "c3")
    assert await sent_to(planning, "c3") == ([] if counts else EVERYBODY)


async def test_a_retry_of_the_same_message_does_not_count_twice(planning: World) -> None:
    planning.caps = ("2 in 24h",)
    await plan(planning, "c1")
    await deliver(planning, Outcome.AMBIGUOUS)
    await plan(planning, "c1-again", same_as="c1")
    assert await sent_to(planning, "c1-again") == EVERYBODY
    await deliver(planning)
    await plan(planning, "c2")
    assert await sent_to(planning, "c2") == EVERYBODY
    await plan(planning, "c1-once-more", same_as="c1")
    assert await sent_to(planning, "c1-once-more") == EVERYBODY, "one other message, and this is the same one"
    await plan(planning, "c3")
    assert await sent_to(planning, "c3") == []


async def test_what_is_exempt_is_neither_counted_nor_capped(planning: World) -> None:
    planning.caps = ("1 in 24h",)
    await plan(planning, "test", CareSettings(exempt=True))
    await plan(planning, "c1")
    await plan(planning, "another test", CareSettings(exempt=True))
    for campaign_id in ("test", "c1", "another test"):
        assert await sent_to(planning, campaign_id) == EVERYBODY, campaign_id


async def test_a_cap_of_a_category_touches_no_other(planning: World) -> None:
    planning.caps = ("1 in 24h of news",)
    await plan(planning, "c1", CareSettings(category="news"))
    await plan(planning, "c2", CareSettings(category="offers"))
    await plan(planning, "c3")
    await plan(planning, "c4", CareSettings(category="news"))
    for campaign_id, expected in (("c1", EVERYBODY), ("c2", EVERYBODY), ("c3", EVERYBODY), ("c4", [])):
        assert await sent_to(planning, campaign_id) == expected, campaign_id


async def test_a_campaign_may_have_a_cap_of_its_own(planning: World) -> None:
    await plan(planning, "c1", CareSettings(category="news"))
    await plan(planning, "c2", CareSettings(caps=("1 in 24h of offers",)))
    await plan(planning, "c3", CareSettings(caps=("1 in 24h of news",)))
    assert (await sent_to(planning, "c2"), await sent_to(planning, "c3")) == (EVERYBODY, [])


async def test_a_day_is_the_recipients_own_and_utc_where_nobody_knows_it(planning: World) -> None:
    planning.caps = ("1 a day",)
    tokyo, berlin, junk, unknown = EVERYBODY[:4]
    planning.people.rows = dict.fromkeys(EVERYBODY[:4], IOS)
    planning.people.zones = {tokyo: "Asia/Tokyo", berlin: "Europe/Berlin", junk: "Asia"}
    planning.clock.now = 1_893_510_000.0  # 2030-01-01 15:00 UTC, midnight in Tokyo
    planning.clock.now -= 60
    await plan(planning, "c1")
    await deliver(planning)
    planning.clock.now += 120
    await plan(planning, "c2")
    assert await sent_to(planning, "c2") == [tokyo]
    assert sorted((await left_out(planning, "c2"))["Capped"]) == [berlin, junk, unknown]
    (batch,) = [decode_batch(each.payload) for each in await planning.queue.take(IOS, 10, HOLD)]
    assert batch.variables is None, "the zone was for the cap alone"


async def test_of_two_planners_that_have_looked_one_looks_again(planning: World) -> None:
    planning.caps = ("1 in 24h",)
    planning.settings = planning.settings.model_copy(update={"ranges": 1, "page": 100})
    await planning.start("c1")
    await planning.start("c2")
    for lease in await planning.take(2):
        await planning.do(lease)
    first, second = await planning.take(2)

    async def meanwhile() -> None:
        await planning.do(second)

    await planning.do(first, planner(planning, Interrupted(planning, meanwhile)))
    assert await sent_to(planning, second.campaign_id) == EVERYBODY
    assert await sent_to(planning, first.campaign_id) == []
    while leases := await planning.take():
        await planning.do(leases[0])
    assert await sent_to(planning, first.campaign_id) == []
    assert sorted((await left_out(planning, first.campaign_id))["Capped"]) == EVERYBODY


async def test_two_planners_at_once_pass_no_cap(planning: World) -> None:
    planning.caps = ("2 in 24h",)
    names = [f"c{number}" for number in range(5)]
    for name in names:
        await planning.start(name)
    async with planning.worker():
        await _work(planning, names)
    times = Counter([key for name in names for key in await sent_to(planning, name)])
    assert times == dict.fromkeys(EVERYBODY, 2)


@pytest.mark.parametrize("within", [False, True], ids=["before it writes", "before it commits"])
async def test_a_planner_that_dies_after_its_look_leaves_no_cap_passed(planning: World, within: bool) -> None:
    planning.caps = ("1 in 24h",)
    planning.settings = planning.settings.model_copy(update={"ranges": 1, "page": 100})
    await begin(planning, "c1")
    (lease,) = await planning.take()

    async def die() -> None:
        raise Killed

    with pytest.raises(Killed):
        await planning.do(lease, planner(planning, Interrupted(planning, die, within=within)))
    await plan(planning, "c2")
    assert await sent_to(planning, "c2") == EVERYBODY, "what was only looked at holds nothing back"
    planning.clock.now += HOLD + 1
    (again,) = await planning.take()
    await planning.do(again)
    assert await sent_to(planning, "c1") == []


async def test_a_planner_that_dies_after_its_commit_counts_once(planning: World) -> None:
    planning.caps = ("2 in 24h",)
    planning.settings = planning.settings.model_copy(update={"ranges": 1, "page": 100})
    await begin(planning, "c1")
    (lease,) = await planning.take()
    await planning.do(lease)
    await planning.do(lease)  # whoever took it before did it late
    await plan(planning, "c2")
    await plan(planning, "c3")
    assert [await sent_to(planning, each) for each in ("c1", "c2", "c3")] == [EVERYBODY, EVERYBODY, []]


async def test_a_recorder_that_dies_before_its_commit_leaves_what_was_planned_counted(planning: World) -> None:
    planning.caps = ("1 in 24h",)
    await plan(planning, "c1")

    async def die() -> None:
        raise Killed

    with pytest.raises(Killed):
        await deliver(planning, queue=Interrupted(planning, die, within=True))
    planning.clock.now += HOLD + 1
    await plan(planning, "c2")
    assert await sent_to(planning, "c2") == []


async def test_a_recorder_that_dies_after_its_commit_has_counted_once(planning: World) -> None:
    planning.caps = ("1 in 24h",)
    await plan(planning, "c1")
    await deliver(planning)
    accepted_at = planning.clock.now
    planning.clock.now = accepted_at + DAY - 1
    await plan(planning, "c2")
    assert await sent_to(planning, "c2") == []
    planning.clock.now = accepted_at + DAY + 1
    await plan(planning, "c3")
    assert await sent_to(planning, "c3") == EVERYBODY


async def test_who_said_no_gets_nothing(planning: World) -> None:
    first, second, third = EVERYBODY[:3]
    await add(planning, first)
    await add(planning, second, third, category="news")
    await plan(planning, "c1", CareSettings(category="news"))
    await plan(planning, "c2", CareSettings(category="offers"))
    await plan(planning, "c3")
    told = {first: "said no to all messages"}
    assert await left_out(planning, "c2") == await left_out(planning, "c3") == {"OptedOut": told}
    said = {second: "said no to news", third: "said no to news"}
    assert await left_out(planning, "c1") == {"OptedOut": {**told, **said}}
    assert await sent_to(planning, "c1") == EVERYBODY[3:]


async def test_who_is_on_a_list_gets_nothing(planning: World) -> None:
    await planning.database.write(lambda c: exclusions.add(c, "staff", EVERYBODY[:2], 1.0))
    await planning.database.write(lambda c: exclusions.add(c, "press", EVERYBODY[2:3], 1.0))
    await plan(planning, "c1", CareSettings(exclude=("staff",)))
    assert await left_out(planning, "c1") == {"Excluded": dict.fromkeys(EVERYBODY[:2], "on the list staff")}
    assert await sent_to(planning, "c1") == EVERYBODY[2:]


async def test_a_list_that_was_deleted_meanwhile_stops_the_planning(planning: World) -> None:
    await begin(planning, "c1", CareSettings(exclude=("staff",)))
    (lease,) = await planning.take()
    with pytest.raises(InvalidAudience, match="the exclusion list staff, which the campaign leaves out, was deleted"):
        await planning.do(lease)
    assert await sent_to(planning, "c1") == []


async def test_who_was_reached_by_a_campaign_gets_nothing(planning: World) -> None:
    planning.people.rows = crowd(IOS, ANDROID, size=10)
    await plan(planning, "c1")
    await deliver(planning)
    planning.people.rows = crowd(IOS, ANDROID, size=5, start=10)
    await plan(planning, "c1-again", same_as="c1")
    await deliver(planning, Outcome.REJECTED)
    planning.people.rows = crowd(IOS, ANDROID, size=SIZE)
    await plan(planning, "c2", CareSettings(not_reached_by=("c1",)))
    assert await left_out(planning, "c2") == {"Excluded": dict.fromkeys(EVERYBODY[:10], "reached by campaign c1")}
    assert await sent_to(planning, "c2") == EVERYBODY[10:]


async def test_batches_of_before_there_were_caps_are_read_for_whom_they_reached(planning: World) -> None:
    await plan(planning, "c1")
    await deliver(planning)
    forget = sa.update(batches).values(first_key=None, last_key=None)
    await planning.database.write(lambda c: _execute(c, forget))
    await plan(planning, "c2", CareSettings(not_reached_by=("c1",)))
    assert await sent_to(planning, "c2") == []


async def test_a_campaign_that_was_deleted_meanwhile_stops_the_planning(planning: World) -> None:
    await begin(planning, "c2", CareSettings(not_reached_by=("c1",)))
    (lease,) = await planning.take()
    with pytest.raises(InvalidAudience, match="campaign c1, whose recipients the campaign leaves out, was deleted"):
        await planning.do(lease)


async def test_of_several_rules_the_first_is_told(planning: World) -> None:
    planning.caps = ("1 in 24h",)
    await add(planning, *EVERYBODY[:2])
    await planning.database.write(lambda c: exclusions.add(c, "staff", EVERYBODY[1:4], 1.0))
    await plan(planning, "c1", CareSettings(exempt=True))
    await plan(planning, "c2", CareSettings(exempt=False))
    await plan(planning, "c3", CareSettings(exclude=("staff",)))
    found = {reason: sorted(those) for reason, those in (await left_out(planning, "c3")).items()}
    assert found == {"OptedOut": EVERYBODY[:2], "Excluded": EVERYBODY[2:4], "Capped": EVERYBODY[4:]}


async def test_the_look_says_when_the_capped_may_be_sent_to(planning: World) -> None:
    """For whoever holds them back until then."""
    planning.caps = ("1 in 24h",)
    await plan(planning, "c1")
    await deliver(planning)
    await planning.start("c2")
    care = planning.care.of(await planning.campaign("c2"), Content(message=Message(title="News")))
    page = await planning.people.find(EVERYBODY, Wanted())
    planning.clock.now += HOUR
    looked = await care.look(page)
    assert dict(looked.free_at) == dict.fromkeys(page.keys, planning.clock.now + 23 * HOUR)


async def test_long_keys_are_found_by_how_they_begin(planning: World) -> None:
    planning.caps = ("1 in 24h",)
    long = {f"{'x' * 2 * KEY_LENGTH}{number:03}": IOS for number in range(10)}
    planning.people.rows = dict(long)
    await plan(planning, "c1")
    await plan(planning, "c2")
    assert (await sent_to(planning, "c1"), await sent_to(planning, "c2")) == (sorted(long), [])


def test_bounds_are_cut() -> None:
    assert bounds([b"b" * 200, b"a" * 200, b"c"]) == (b"a" * KEY_LENGTH, b"c")


async def test_the_planner_leaves_out_whom_the_worker_s_configuration_caps(planning: World) -> None:
    planning.caps = ("1 in 24h",)
    await planning.start("c1")
    await planning.start("c2", care=CareSettings(category="news"))
    await _work(planning, ["c1", "c2"])
    assert sorted(await sent_to(planning, "c1") + await sent_to(planning, "c2")) == EVERYBODY


async def _work(planning: World, names: Iterable[str]) -> None:
    async with planning.worker(), asyncio.timeout(60):
        while not all([(await planning.campaign(name)).planned for name in names]):
            await planning.send()
            await asyncio.sleep(0.02)


async def _execute(connection: AsyncConnection, statement: Any) -> None:
    await connection.execute(statement)
