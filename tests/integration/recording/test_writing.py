"""Writing: the same end however settlements come, whoever writes them, and few statements however many batches."""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, event, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.account import Account, Failure, Receipt, Waiting, encode_waiting, merge, unknown
from stentor.batch import VERSION, Batch
from stentor.outcome import Outcome
from stentor.queue.contract import Lease
from stentor.recording.contract import Settlement
from stentor.recording.writing import COLUMNS, write
from stentor.store.database import POSTGRESQL, Database
from stentor.store.tables import (
    METADATA,
    batches,
    campaigns,
    chains,
    dead_letters,
    failures,
    installations,
    payloads,
    tasks,
)
from tests.integration.planning.world import ANDROID, IOS, NO_LANE, World, crowd, world
from tests.integration.recording.rows import NOW, Rows, fresh_rows

SIZE = 5
OWED = (Outcome.REJECTED, Outcome.EXPIRED, Outcome.AMBIGUOUS)


def lease_of(name: str) -> Lease:
    campaign, channel, app, _ = name.split("/")
    return Lease(
        id=name, lane=f"{channel}/{app}", campaign_id=campaign, payload=b"", deliveries=1, token="t", until=0.0
    )


def batch_of(name: str, size: int = SIZE) -> Batch:
    number = name.rpartition(".")[2].encode()
    lease = lease_of(name)
    return Batch(
        version=VERSION,
        id=name,
        campaign_id=lease.campaign_id,
        lane=lease.lane,
        expires_at=NOW,
        recipients=[b"k%s-%d" % (number, position) for position in range(size)],
        addresses=[b"a%s-%d" % (number, position) for position in range(size)],
    )


def settled(
    name: str,
    outcomes: Sequence[int],
    *,
    why: str = "Refused",
    whole: bool = True,
    waiting: tuple[Waiting, ...] = (),
    receipts: tuple[Receipt, ...] = (),
) -> Settlement:
    """With a failure for each that owes one."""
    found = tuple(
        Failure(
            position=at,
            outcome=Outcome(outcome),
            reason=why,
            status=410 if outcome == Outcome.REJECTED else 0,
            dead=outcome == Outcome.REJECTED,
            since=NOW,
        )
        for at, outcome in enumerate(outcomes)
        if outcome in OWED
    )
    batch = batch_of(name, len(outcomes)) if whole else None
    account = Account(outcomes=bytes(outcomes), failures=found, waiting=waiting, receipts=receipts)
    return Settlement(lease=lease_of(name), batch=batch, account=account)


def account_of(settlement: Settlement) -> Account:
    assert settlement.account is not None
    return settlement.account


async def tell(database: Database, settlements: Sequence[Settlement], now: float = NOW) -> None:
    async def change(connection: AsyncConnection) -> None:
        await write(connection, settlements, now)

    await database.write(change)


async def standing(database: Database) -> dict[str, tuple[Any, ...]]:
    """What is recorded of each batch, once everything about it was seen to agree."""
    found = {}
    for row in await database.rows(select(batches).order_by(batches.c.id)):
        outcomes = row.outcomes or bytes(row.size)
        assert len(outcomes) == row.size
        assert {name: row._mapping[name] for name in COLUMNS.values()} == {
            name: outcomes.count(outcome) for outcome, name in COLUMNS.items()
        }
        explained = await database.rows(
            select(failures).where(failures.c.batch_id == row.id).order_by(failures.c.position)
        )
        assert [(each.position, each.outcome) for each in explained] == [
            (position, outcome) for position, outcome in enumerate(outcomes) if outcome in OWED
        ]
        number = row.id.rpartition(".")[2]
        assert [each.installation for each in explained] == [f"k{number}-{each.position}" for each in explained]
        found[row.id] = (outcomes, row.waiting, [each.reason for each in explained])
    return found


# -- in whatever order -------------------------------------------------------------------------------------------------

NAMES = [f"c1/apns/ios/0.0.7.{number}" for number in (1, 2)]
columns_of_outcomes = st.lists(st.sampled_from([0, 0, *Outcome]), min_size=SIZE, max_size=SIZE)
waits = st.builds(
    Waiting,
    st.integers(0, SIZE - 1),
    st.integers(1, 3),
    st.sampled_from([NOW, NOW + 9]),
    st.sampled_from(["Busy", "Interrupted"]),
    st.booleans(),
    st.booleans(),
)
told_settlements = st.lists(
    st.builds(
        settled,
        st.sampled_from(NAMES),
        columns_of_outcomes,
        why=st.sampled_from("abc"),
        whole=st.booleans(),
        waiting=st.lists(waits, max_size=2).map(tuple),
    ),
    max_size=6,
)


@settings(max_examples=60)
@given(st.data())
def test_any_order_and_any_number_of_times(data: st.DataObject) -> None:
    told = data.draw(told_settlements)
    order = data.draw(st.permutations([*told, *told[: data.draw(st.integers(0, len(told)))]]))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(order)), max_size=3)))
    groups = [order[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(order)], strict=True)]
    expected = {name: unknown(SIZE) for name in NAMES}
    for each in order:
        expected[each.lease.id] = merge(expected[each.lease.id], account_of(each))

    async def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            async with fresh_rows(f"sqlite:///{Path(folder) / 'stentor.db'}") as rows:
                await rows.campaign()
                for number in (1, 2):
                    await rows.batch(number, "p" * SIZE, task=None)
                for group in groups:
                    await tell(rows.database, group)
                    await standing(rows.database)
                found = await standing(rows.database)
                assert found == {
                    name: (each.outcomes, encode_waiting(each.waiting), [lost.reason for lost in each.failures])
                    for name, each in expected.items()
                }
                for each in order:  # all of it again changes nothing
                    await tell(rows.database, [each], NOW + 1)
                assert await standing(rows.database) == found

    asyncio.run(run())


@pytest.fixture
async def two(rows: Rows) -> Rows:
    await rows.campaign()
    for number in (1, 2):
        await rows.batch(number, "p" * SIZE, task=None)
    return rows


async def test_a_failure_that_comes_after_its_outcome_is_recorded(two: Rows) -> None:
    whole = settled(NAMES[0], [1, 2, 3, 0, 0])
    bare = replace(whole, batch=None, account=Account(outcomes=account_of(whole).outcomes))
    await tell(two.database, [bare])
    await tell(two.database, [whole])
    assert (await standing(two.database))[NAMES[0]] == (account_of(whole).outcomes, None, ["Refused", "Refused"])


async def test_a_failure_that_contradicts_what_stands_is_not(two: Rows) -> None:
    await tell(two.database, [settled(NAMES[0], [1, 2, 3, 5, 4], why="first")])
    await tell(two.database, [settled(NAMES[0], [2, 3, 2, 2, 2], why="second")])
    assert (await standing(two.database))[NAMES[0]] == (bytes([1, 2, 3, 5, 4]), None, ["first"] * 3)


async def test_the_first_of_two_explanations_stays(two: Rows) -> None:
    await tell(two.database, [settled(NAMES[0], [2] * SIZE, why="first"), settled(NAMES[0], [2] * SIZE, why="second")])
    assert (await standing(two.database))[NAMES[0]][2] == ["first"] * SIZE


async def test_who_may_have_got_it_is_ambiguous_whatever_comes_later(two: Rows) -> None:
    """A cancellation has no reason of its own; the others keep theirs."""
    doubts = tuple(Waiting(position, 1, NOW, "NoAnswer", ambiguous=True) for position in range(4))
    await tell(two.database, [settled(NAMES[0], [0] * SIZE, waiting=doubts)])
    await tell(two.database, [settled(NAMES[0], [1, 2, 3, 4, 4])])
    assert (await standing(two.database))[NAMES[0]] == (
        bytes([1, 5, 5, 5, 4]),
        None,
        ["Refused", "Refused", "Interrupted"],
    )


async def test_what_is_not_new_is_not_written(two: Rows) -> None:
    again = Waiting(4, 1, NOW, "Busy")
    same = settled(NAMES[0], [1, 2, 0, 0, 0], waiting=(again,))
    await tell(two.database, [same])
    await tell(two.database, [same], NOW + 50)
    (row,) = await two.database.rows(select(batches).where(batches.c.id == NAMES[0]))
    assert row.recorded_at == NOW
    assert {each.at for each in await two.database.rows(select(failures))} == {NOW}


async def test_settlements_of_other_recipients_or_unknown_batches_are_left_out(two: Rows) -> None:
    before = await standing(two.database)
    await tell(two.database, [settled(NAMES[0], [2] * (SIZE + 1)), settled("c9/apns/ios/0.0.7.1", [2] * SIZE)])
    await tell(two.database, [Settlement(lease=lease_of(NAMES[0]), batch=None)])
    assert await standing(two.database) == before


async def test_a_campaign_that_is_deleted_meanwhile_takes_its_batches_along(two: Rows) -> None:
    for table in (batches, chains, campaigns):
        await two.change(delete(table))
    await tell(two.database, [settled(name, [2] * SIZE) for name in NAMES])
    assert await standing(two.database) == {}


async def test_two_recorders_write_the_same_batches_at_once(postgres: str) -> None:
    """In opposite orders, with the same dead addresses: each waits for the other, and neither is undone for it."""
    async with fresh_rows(postgres) as rows:
        await rows.campaign()
        names = [await rows.batch(number, "p" * SIZE, task=None) for number in range(40)]
        people = [(key.decode(), address.decode()) for name in names for key, address in _people(name)]
        await rows.insert(
            installations, *({"id": key, "channel": "apns", "address": address} for key, address in people)
        )
        recorders = [Database.open(postgres) for _ in range(2)]
        chance = random.Random(7)

        async def record(database: Database, why: str) -> None:
            for _ in range(15):
                group = [
                    settled(name, chance.choices([0, 0, 1, 2, 3, 5], k=SIZE), why=why)
                    for name in chance.sample(names, 25)
                ]
                await tell(database, group)

        await asyncio.gather(*(record(database, why) for database, why in zip(recorders, "ab", strict=True)))
        for database in recorders:
            await database.aclose()
        found = await standing(rows.database)
        assert {reason for _, _, reasons in found.values() for reason in reasons} == {"a", "b"}
        dead = await rows.database.rows(select(installations.c.id).where(installations.c.dead_at.is_not(None)))
        rejected = await rows.database.rows(select(failures.c.installation).where(failures.c.dead))
        assert {row.id for row in dead} == {row.installation for row in rejected}
        conflicts = text("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        assert [tuple(row) for row in await rows.database.rows(conflicts)] == [(0,)]


async def test_two_campaigns_find_the_same_addresses_dead_at_once(postgres: str) -> None:
    """Their recorders share no batch, so only the order in which they lock the installations keeps them apart."""
    async with fresh_rows(postgres) as rows:
        people = [f"p{number:03}" for number in range(300)]
        await rows.insert(installations, *({"id": each, "channel": "apns", "address": each} for each in people))
        for way in ("seqscan", "hashjoin", "mergejoin"):  # so that it goes from one to the next, as in a large registry
            await rows.change(
                text(f"ALTER DATABASE {postgres.partition('?')[0].rpartition('/')[2]} SET enable_{way} = off")
            )
        recorders = [Database.open(postgres) for _ in range(2)]
        told = []
        for campaign, order in (("c1", people), ("c2", people[::-1])):
            await rows.campaign(campaign)
            keys = [each.encode() for each in order]
            name = await rows.batch(1, "p" * len(keys), campaign=campaign, keys=keys, task=None)
            whole = msgspec.structs.replace(batch_of(name), recipients=keys, addresses=keys)
            told.append(replace(settled(name, [2] * len(keys)), batch=whole))
        for _ in range(10):
            await asyncio.gather(*(tell(database, [each]) for database, each in zip(recorders, told, strict=True)))
            alive = await rows.database.rows(select(installations.c.id).where(installations.c.dead_at.is_(None)))
            assert alive == []
            await rows.change(installations.update().values(dead_at=None))
        for database in recorders:
            await database.aclose()
        conflicts = text("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        assert [tuple(row) for row in await rows.database.rows(conflicts)] == [(0,)]


def _people(name: str) -> Iterator[tuple[bytes, bytes]]:
    batch = batch_of(name)
    return zip(batch.recipients, batch.addresses, strict=True)


# -- how many statements -----------------------------------------------------------------------------------------------


class Statements:
    """The writing statements that PostgreSQL executed, the queue's own apart: each counts itself there, by a trigger
    that is run once an execution, however many rows that writes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def install(self) -> None:
        async def change(connection: AsyncConnection) -> None:
            await connection.execute(text("CREATE TABLE executions (statement text, kind text, target text)"))
            await connection.execute(
                text(
                    "CREATE FUNCTION count_execution() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                    " INSERT INTO executions VALUES (statement_timestamp()::text, TG_OP, TG_TABLE_NAME);"
                    " RETURN NULL; END $$"
                )
            )
            for table in METADATA.tables.keys() - {tasks.name, payloads.name, dead_letters.name}:
                await connection.execute(
                    text(
                        f"CREATE TRIGGER counted AFTER INSERT OR UPDATE OR DELETE ON {table}"
                        " FOR EACH STATEMENT EXECUTE FUNCTION count_execution()"
                    )
                )

        await self._database.write(change)

    async def taken(self) -> list[tuple[str, ...]]:
        """What each statement since the last time wrote to, in the order of their execution."""

        async def change(connection: AsyncConnection) -> list[tuple[str, ...]]:
            rows = await connection.execute(
                text(
                    "SELECT string_agg(kind || ' ' || target, ',' ORDER BY kind, target) AS written FROM executions"
                    " GROUP BY statement ORDER BY statement"
                )
            )
            found = [tuple(row.written.replace("stentor_", "").split(",")) for row in rows]
            await connection.execute(text("DELETE FROM executions"))
            return found

        return await self._database.write(change)


PLANNED = ("INSERT batches",)
RECORDED = ("UPDATE batches",)
FAILED = ("INSERT failures", "UPDATE installations")


@asynccontextmanager
async def planned(url: str, people: int, page: int, *lanes: str) -> AsyncIterator[tuple[World, list[tuple[str, ...]]]]:
    """An audience that was planned in batches of five, and what that executed."""
    async with world(url, crowd(*lanes, size=people)) as made:
        made.settings = made.settings.model_copy(update={"page": page, "ranges": 1, "depth": 1000})
        statements = Statements(made.database)
        await statements.install()
        await made.start()
        await made.do_all(drain=[])
        yield made, await statements.taken()


async def record_with_failures(made: World) -> list[tuple[str, ...]]:
    """What is executed to record all batches at once, with some of each failure and dead addresses in each."""
    names = [row.id for row in await made.database.rows(select(batches.c.id).where(batches.c.pending > 0))]
    await tell(made.database, [settled(name, [1, 2, 3, 5, 2]) for name in names])
    assert len(await made.database.rows(select(failures).where(failures.c.dead))) == 2 * len(names)
    return await Statements(made.database).taken()


async def test_a_batch_alone_costs_three_statements(postgres: str) -> None:
    async with planned(postgres, 5, 5, IOS) as (made, planning):
        assert planning.count(PLANNED) == 1
        assert not [each for each in planning if "INSERT batches" in each and each != PLANNED]
        assert await record_with_failures(made) == [RECORDED, FAILED]


async def test_fifty_batches_cost_no_more_than_one(postgres: str) -> None:
    async with planned(postgres, 250, 250, IOS, ANDROID) as (made, planning):
        assert await made.count(batches) == 50
        assert planning.count(PLANNED) == 1
        assert len(planning) <= 6  # the campaign's own among them: its start, its chain, its end
        assert await record_with_failures(made) == [RECORDED, FAILED]
        await made.database.write(lambda connection: connection.execute(batches.update().values(pending=5)))
        await Statements(made.database).taken()
        again = [settled(row.id, [1] * 5) for row in await made.database.rows(select(batches.c.id))]
        await tell(made.database, again)
        assert await Statements(made.database).taken() == []  # what was recorded before costs nothing


async def test_who_is_refused_while_planning_costs_one_more_a_page(postgres: str) -> None:
    async with planned(postgres, 50, 25, IOS, NO_LANE) as (made, planning):
        assert planning.count(PLANNED) == planning.count(("INSERT failures",)) == 2
        assert await made.count(failures) == 25


async def test_the_count_sees_each_execution(postgres: str) -> None:
    """One that a driver repeats for each row counts as often."""
    async with fresh_rows(postgres) as rows:
        statements = Statements(rows.database)
        await statements.install()
        await rows.insert(installations, *({"id": str(at), "channel": "apns", "address": "a"} for at in range(30)))
        assert await statements.taken() == [("INSERT installations",)] * 30


async def test_a_commit_reads_with_one_prepared_statement_whatever_its_size(postgres: str) -> None:
    async with fresh_rows(postgres) as rows:
        await rows.campaign()
        names = [await rows.batch(number, "p" * SIZE, task=None) for number in range(6)]
        executed: set[str] = set()
        engine = rows.database._engine.sync_engine
        event.listen(engine, "before_cursor_execute", lambda *told: executed.add(told[2]))
        assert rows.database.dialect == POSTGRESQL
        for size in (1, 2, 4, 6):
            await tell(rows.database, [settled(name, [2] * SIZE, whole=False) for name in names[:size]])
        assert len(executed) == 4  # lock, update, recipients, failures with the dead
