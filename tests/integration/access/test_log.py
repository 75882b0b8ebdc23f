"""The log of who did what, on both databases: paged, filtered, and without secrets."""

from __future__ import annotations

import re
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.access.caller import Caller
from stentor.access.key_text import new_key
from stentor.access.log import LONGEST_DETAIL, LONGEST_OBJECT, MOST, ActionFilter
from stentor.access.scopes import Scope
from stentor.errors import Forbidden
from stentor.store.database import SQLITE
from tests.integration.access.house import LOCAL, NOW, House

SHOP = Caller("k1", "shop", "key", Scope.SEND)


async def test_the_newest_is_first_and_pages_miss_nothing(house: House) -> None:
    for number in range(7):
        house.clock.now = NOW + number // 3  # several at the same instant
        await house.log.record(SHOP, "campaign.start", f"c{number}")
    seen, after = [], None
    while page := await house.log.page(LOCAL, after=after, limit=3):
        seen += page
        after = page[-1].id
    assert [each.object for each in seen] == [f"c{number}" for number in reversed(range(7))]
    first = seen[-1]
    assert (first.at, first.caller_id, first.caller_name, first.caller_kind) == (NOW, "k1", "shop", "key")
    assert (first.action, first.outcome, first.detail) == ("campaign.start", "done", "")


async def test_what_comes_in_between_shifts_no_page(house: House) -> None:
    for number in range(4):
        house.clock.now += 1
        await house.log.record(SHOP, "campaign.start", f"c{number}")
    first = await house.log.page(LOCAL, limit=2)
    house.clock.now += 1
    await house.log.record(SHOP, "campaign.start", "new")
    second = await house.log.page(LOCAL, after=first[-1].id, limit=2)
    assert [each.object for each in [*first, *second]] == ["c3", "c2", "c1", "c0"]


async def test_rows_are_chosen(house: House) -> None:
    await house.log.record(SHOP, "campaign.start", "c1")
    house.clock.now += 10
    await house.log.record(SHOP, "campaign.pause", "c1", "refused", "it has ended")
    house.clock.now += 10
    await house.log.record(LOCAL, "campaign.start", "c2")

    async def found(**wanted: object) -> list[str]:
        rows = await house.actions(ActionFilter(**wanted))  # type: ignore[arg-type]
        return [f"{row.action} {row.object}" for row in rows]

    assert await found(caller_id="k1") == ["campaign.pause c1", "campaign.start c1"]
    assert await found(action="campaign.start") == ["campaign.start c2", "campaign.start c1"]
    assert await found(object="c1", outcome="refused") == ["campaign.pause c1"]
    assert await found(since=NOW + 10) == ["campaign.start c2", "campaign.pause c1"]
    assert await found(until=NOW + 10) == ["campaign.start c1"]
    assert await found(caller_id="nobody") == []
    assert await found(since=-1.0, until=1e300) == await found()


async def test_no_row_has_a_secret_and_every_text_is_bounded(house: House) -> None:
    key, token = new_key(), "a1b2" * 16
    await house.log.record(SHOP, "x" * 500, key, "failed", f"{key} and {token}, " + "long " * 1000)
    await house.log.record(Caller("k", f"named {key}", "key", Scope.VIEW), "y", token)
    rows = await house.actions()
    assert key not in repr(rows)
    assert key[13:] not in repr(rows)
    assert token not in repr(rows)
    assert rows[1].detail.startswith("stento… and a1b2a1…, long")
    assert all(len(row.detail) <= LONGEST_DETAIL and len(row.object) <= LONGEST_OBJECT for row in rows)
    assert [row.object for row in await house.actions(ActionFilter(object=token))] == ["a1b2a1…"]


async def test_a_page_is_bounded(house: House) -> None:
    await house.log.record(SHOP, "campaign.start")
    assert len(await house.log.page(LOCAL, limit=-5)) == 1
    assert MOST <= 1000
    assert len(await house.log.page(LOCAL, limit=10**9)) == 1


async def test_only_an_admin_reads_it(house: House) -> None:
    with pytest.raises(Forbidden):
        await house.log.page(SHOP)


async def test_each_filter_of_a_page_follows_an_index(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a page costs the same however long the log is."""
    for number in range(300):
        await house.log.record(SHOP, "campaign.start", f"c{number}", "refused" if number % 100 == 0 else "done")
    database, plans = house.database, []
    sqlite = database.dialect == SQLITE
    if not sqlite:
        await database.write(lambda connection: connection.execute(sa.text("ANALYZE stentor_actions")))
    execute = AsyncConnection.execute

    async def explained(self: AsyncConnection, statement: Any, *arguments: Any, **more: Any) -> Any:
        if "stentor_actions" in str(statement) and not isinstance(statement, sa.TextClause):
            compiled = statement.compile(dialect=self.dialect, compile_kwargs={"literal_binds": True})
            how = "EXPLAIN QUERY PLAN" if sqlite else "EXPLAIN"
            if not sqlite:  # there are too few rows for an index to be quicker
                for way in ("seqscan", "bitmapscan"):
                    await execute(self, sa.text(f"SET enable_{way} = off"))
            plan = (await execute(self, sa.text(f"{how} {str(compiled).replace(':', chr(92) + ':')}"))).all()
            plans.append("\n".join(str(row) for row in plan))
        return await execute(self, statement, *arguments, **more)

    monkeypatch.setattr(AsyncConnection, "execute", explained)
    wanted = ({"caller_id": "k1"}, {"action": "campaign.start"}, {"object": "c7"}, {"outcome": "refused"})
    for each in wanted:
        assert await house.log.page(LOCAL, ActionFilter(**each), limit=5)  # type: ignore[arg-type]
    assert len(plans) == len(wanted)
    for (name,), plan in zip(wanted, plans, strict=True):
        assert f"ix_stentor_actions_{name}_id" in plan or not sqlite, plan  # PostgreSQL may go by the ids alone
        assert not re.search("TEMP B-TREE|Sort|Seq Scan|SCAN stentor", plan), plan
