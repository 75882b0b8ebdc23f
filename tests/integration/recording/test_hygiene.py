"""Dead addresses in the registry: marked where the provider is right about what is registered now, and nowhere else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.account import Failure, ends
from stentor.audience.registry import Registration
from stentor.audience.registry import register as import_
from stentor.batch import VERSION, Batch
from stentor.outcome import Outcome
from stentor.queue.contract import Lease
from stentor.recording.contract import Settlement
from stentor.recording.writing import write
from stentor.store.tables import batches, campaigns, chains, failures, installations
from tests.integration.recording.rows import NOW, Rows


async def register(rows: Rows, name: str = "k1-0", address: str = "old", **values: Any) -> None:
    await rows.insert(installations, {"id": name, "channel": "apns", "address": address, **values})


async def dead(rows: Rows) -> dict[str, tuple[float, str]]:
    """When and why each installation that is marked was."""
    async with rows.database.read() as connection:
        query = select(installations).where(installations.c.dead_at.is_not(None))
        return {row.id: (row.dead_at, row.dead_reason) for row in await connection.execute(query)}


async def report_dead(rows: Rows, *, since: float | None, size: int = 1, is_dead: bool = True) -> None:
    """A campaign's recipients at the address `old` are refused now."""
    await rows.campaign()
    name = await rows.batch(1, "p" * size, task=None)
    lease = Lease(id=name, lane="apns/ios", campaign_id="c1", payload=b"", deliveries=1, token="t", until=0.0)
    batch = Batch(
        version=VERSION,
        id=name,
        campaign_id="c1",
        lane="apns/ios",
        expires_at=NOW,
        recipients=[b"k1-%d" % position for position in range(size)],
        addresses=[b"old"] * size,
    )
    found = tuple(
        Failure(position=at, outcome=Outcome.REJECTED, reason="Unregistered", dead=is_dead, since=since)
        for at in range(size)
    )
    settled = Settlement(lease=lease, batch=batch, account=ends(size, found))

    async def change(connection: AsyncConnection) -> None:
        await write(connection, [settled], NOW)

    await rows.database.write(change)
    async with rows.database.read() as connection:
        assert (await connection.execute(select(failures.c.dead))).scalars().all() == [is_dead] * size


@pytest.mark.parametrize("registered_at", [None, NOW - 51, NOW - 50])
async def test_what_was_registered_before_it_died_is_marked(rows: Rows, registered_at: float | None) -> None:
    await register(rows, registered_at=registered_at)
    await report_dead(rows, since=NOW - 50)
    assert await dead(rows) == {"k1-0": (NOW, "Unregistered")}


async def test_what_was_registered_again_since_is_not(rows: Rows) -> None:
    await register(rows, registered_at=NOW - 49)
    await report_dead(rows, since=NOW - 50)
    assert await dead(rows) == {}


async def test_what_was_dead_before_it_was_imported_is_marked(rows: Rows) -> None:
    """An import that doesn't say when an address was registered doesn't say that it was registered since."""
    told = Registration(id="k1-0", channel="apns", address="old")
    await import_(rows.database, [told])
    await import_(rows.database, [replace(told, language="de")])
    await report_dead(rows, since=1_000_000_000.0)
    assert await dead(rows) == {"k1-0": (NOW, "Unregistered")}


async def test_without_a_date_the_provider_means_now(rows: Rows) -> None:
    await register(rows, registered_at=NOW - 1)
    await report_dead(rows, since=None)
    assert await dead(rows) == {"k1-0": (NOW, "Unregistered")}


async def test_another_address_is_another_matter(rows: Rows) -> None:
    await register(rows, address="new", registered_at=NOW - 100)
    await report_dead(rows, since=NOW - 50)
    assert await dead(rows) == {}


async def test_a_refusal_that_is_no_death_marks_nothing(rows: Rows) -> None:
    await register(rows)
    await report_dead(rows, since=None, is_dead=False)
    assert await dead(rows) == {}


async def test_who_is_not_in_the_registry_is_left_alone(rows: Rows) -> None:
    await register(rows, "k1-1")
    await register(rows, "somebody")
    await report_dead(rows, since=None, size=3)  # k1-0 and k1-2 are of an audience of the app's own
    assert list(await dead(rows)) == ["k1-1"]


async def test_the_first_report_stays(rows: Rows) -> None:
    await register(rows, dead_at=NOW - 500, dead_reason="ExpiredToken")
    await report_dead(rows, since=None)
    assert await dead(rows) == {"k1-0": (NOW - 500, "ExpiredToken")}


async def test_a_registration_revives_and_an_old_report_does_not_kill_again(rows: Rows) -> None:
    await register(rows)
    await report_dead(rows, since=NOW - 50)
    await rows.change(update(installations).values(dead_at=None, dead_reason=None, registered_at=NOW - 10))
    await rows.change(failures.delete())
    for table in (batches, chains, campaigns):
        await rows.change(table.delete())
    await report_dead(rows, since=NOW - 50)
    assert await dead(rows) == {}
