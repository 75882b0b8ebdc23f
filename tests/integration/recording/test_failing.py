"""The list of who was not reached, and how many there are of each kind, read from real databases."""

from __future__ import annotations

import re
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.errors import UnknownCampaign
from stentor.outcome import Outcome
from stentor.recording import failing
from stentor.recording.failing import WantedFailures, counts, failures
from stentor.recording.report import FailureRow, failure_row
from stentor.store.database import SQLITE
from stentor.store.tables import failures as table
from tests.integration.recording.rows import NOW, Rows


async def listed(rows: Rows, campaign: str = "c1", *, page: int = 1000, **wanted: Any) -> list[FailureRow]:
    return [row async for row in failures(rows.database, campaign, WantedFailures(**wanted), page=page)]


async def keys(rows: Rows, **wanted: Any) -> list[str]:
    return [row.installation for row in await listed(rows, **wanted)]


async def counted(rows: Rows, campaign: str = "c1") -> list[tuple[str, str, str, int, bool]]:
    async with rows.database.read() as connection:
        found = await counts(connection, campaign)
    return [(each.kind.lane, each.kind.reason, each.kind.outcome.name, each.count, each.exact) for each in found]


async def test_failures_come_a_page_at_a_time_each_once(rows: Rows) -> None:
    await rows.campaign()
    await rows.batch(1, "rarxm")
    await rows.batch(2, "rrr")
    everybody = await listed(rows)
    assert [row.installation for row in everybody] == ["k1-0", "k1-2", "k1-3", "k1-4", "k2-0", "k2-1", "k2-2"]
    for page in (1, 2, 3, 7, 8):
        assert await listed(rows, page=page) == everybody
    assert everybody[2] == FailureRow(
        installation="k1-3",
        lane="apns/ios",
        outcome=Outcome.EXPIRED,
        reason="expired",
        status=0,
        detail="",
        dead=False,
        tries=2,
        at=NOW - 20,
        batch_id="c1/apns/ios/0.0.7.1",
        position=3,
    )


async def test_failures_can_be_chosen(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failing, "_AT_ONCE", 2)
    await rows.campaign()
    await rows.batch(1, "rxm")
    await rows.batch(2, "rx")
    await rows.batch(1, "r", lane="fcm/android", keys=[b"phone"])
    await rows.campaign("c10")
    await rows.batch(1, "r", campaign="c10", keys=[b"another campaign's"])
    for page in (1, 2, 1000):
        assert await keys(rows, page=page, lane="fcm/android") == ["phone"]
        assert await keys(rows, page=page, reason="expired") == ["k1-1", "k2-1"]
        assert await keys(rows, page=page, outcome=Outcome.AMBIGUOUS) == ["k1-2"]
        assert await keys(rows, page=page, dead=True) == ["k1-0", "k2-0", "phone"]
        assert await keys(rows, page=page, dead=False) == ["k1-1", "k1-2", "k2-1"]
        assert await keys(rows, page=page, lane="fcm/android", reason="expired") == []
    assert [row.installation for row in await listed(rows, "c10")] == ["another campaign's"]
    with pytest.raises(UnknownCampaign):
        await listed(rows, "nosuch")


async def test_each_row_is_read_once_however_many_kinds_there_are(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    await rows.campaign()
    for number in range(20):
        await rows.batch(number, "rx" * 10)
    everybody = [row for row in await listed(rows) if row.outcome is Outcome.REJECTED]
    for place, row in enumerate(everybody):  # one kind in ten has most of them
        reason = f"Reason{place % 9}" if place % 3 else "Unregistered"
        one = (table.c.batch_id == row.batch_id, table.c.position == row.position)
        await rows.change(table.update().where(*one).values(reason=reason))
    everybody = [row for row in await listed(rows) if row.outcome is Outcome.REJECTED]
    read: list[Any] = []

    def counting(row: Any) -> FailureRow:
        read.append(row)
        return failure_row(row)

    monkeypatch.setattr("stentor.recording.failing.failure_row", counting)
    for page in (7, 30, 1000):
        read.clear()
        assert await listed(rows, page=page, outcome=Outcome.REJECTED) == everybody
        assert len(read) == len(everybody) == 200


async def test_each_kind_is_counted(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    await rows.campaign()
    await rows.batch(1, "rrrrxma")
    await rows.batch(1, "r", lane="fcm/android")
    await rows.campaign("c10")
    await rows.batch(1, "rr", campaign="c10")
    everything = [
        ("apns/ios", "Unregistered", "REJECTED", 4, True),
        ("apns/ios", "ambiguous", "AMBIGUOUS", 1, True),
        ("apns/ios", "expired", "EXPIRED", 1, True),
        ("fcm/android", "Unregistered", "REJECTED", 1, True),
    ]
    assert await counted(rows) == everything
    assert await counted(rows, "nosuch") == []
    # of a kind with more than are counted, the rest is known if it is the only one of its lane and outcome
    monkeypatch.setattr(failing, "MOST_COUNTED", 2)
    assert await counted(rows) == everything
    one = (table.c.batch_id == "c1/apns/ios/0.0.7.1", table.c.position == 0)
    await rows.change(table.update().where(*one).values(reason="BadDeviceToken"))
    assert (await counted(rows))[:2] == [
        ("apns/ios", "Unregistered", "REJECTED", 3, True),
        ("apns/ios", "BadDeviceToken", "REJECTED", 1, True),
    ]
    monkeypatch.setattr(failing, "MOST_COUNTED", 0)
    assert {each[3:] for each in await counted(rows) if each[2] == "REJECTED" and each[0] == "apns/ios"} == {(0, False)}


async def test_no_query_reads_more_than_it_shows(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each follows an index from where it begins, so that it costs the same however many failures there are."""
    await rows.campaign()
    for number in range(40):
        await rows.batch(number, "rxm" * 100)
    sqlite = rows.database.dialect == SQLITE
    if not sqlite:
        await rows.change(sa.text("ANALYZE stentor_failures"))
    plans: list[str] = []
    execute = AsyncConnection.execute

    async def explained(self: AsyncConnection, statement: Any, *arguments: Any, **more: Any) -> Any:
        if "stentor_failures" in str(statement) and not isinstance(statement, sa.TextClause):
            compiled = statement.compile(dialect=self.dialect, compile_kwargs={"literal_binds": True})
            how = "EXPLAIN QUERY PLAN" if sqlite else "EXPLAIN"
            plan = (await execute(self, sa.text(f"{how} {str(compiled).replace(':', chr(92) + ':')}"))).all()
            plans.append("\n".join(str(row) for row in plan))
        return await execute(self, statement, *arguments, **more)

    monkeypatch.setattr(AsyncConnection, "execute", explained)
    filters: tuple[dict[str, Any], ...] = (
        {},
        {"dead": True},
        {"reason": "expired"},
        {"lane": "apns/ios", "outcome": Outcome.AMBIGUOUS},
    )
    for wanted in filters:
        found = failures(rows.database, "c1", WantedFailures(**wanted), after=("c1/apns/ios/0.0.7.20", 50), page=5)
        for _ in range(6):
            await anext(found)
    await counted(rows)
    assert len(plans) > 15
    for plan in plans:  # those of one batch may be sorted, never all of a kind
        whole = re.sub(r"Incremental Sort|TEMP B-TREE FOR (RIGHT|LAST) [\w ]+ OF ORDER BY", "", plan)
        assert "TEMP B-TREE" not in whole, plan
        assert not re.search(r"Sort {2}\(", whole), plan
        assert "Seq Scan" not in plan, plan
        assert "SCAN stentor" not in plan, plan
