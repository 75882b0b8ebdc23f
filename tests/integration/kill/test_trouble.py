"""What else happens to a campaign: a full disk, a database that is locked or gone, clocks that jump, two at once,
poison.

Afterwards it is exact, always; and it got there by itself.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, closing
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import TypeVar
from unittest.mock import patch

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.config import dump
from stentor.providers.apns.lane import ApnsLane
from stentor.providers.http2_lane import Http2Flight
from stentor.providers.lane import Prepared, Variables
from stentor.store.database import Database
from stentor.store.tables import failures, payloads, tasks
from stentor.testing.postgres import Postgres
from stentor.testing.roles import RoleProcess, run_role, start_stentor
from tests.integration.kill.inside import Clock, run_roles
from tests.integration.kill.running import running_roles, suspend, until, until_final, until_sent
from tests.integration.kill.stage import (
    FAULTS,
    SLOW,
    Stage,
    copy_of,
    open_providers,
    open_stage,
    prove,
    repeats,
)

T = TypeVar("T")
HOUR = 3600.0
AS_LONG = 3.0
"""Seconds for which the database is in trouble: several leases."""


class FullDisk(Database):
    """Cannot grow beyond `pages`."""

    pages: int | None = None
    refused = 0

    async def write(self, change: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        async def limited(connection: AsyncConnection) -> T:
            pages = self.pages or 1_000_000
            await connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
            try:
                return await change(connection)
            except sa.exc.OperationalError as error:
                self.refused += "full" in str(error.orig)
                raise

        return await super().write(limited)


async def test_the_disk_is_full_for_a_while(tmp_path: Path, blank: Path) -> None:
    url = copy_of(blank, tmp_path / "s.db")
    async with open_providers() as providers, open_stage(url, providers, recipients=400) as stage:
        disk = FullDisk.open(url, patience=0.2)
        assert isinstance(disk, FullDisk)
        sending = asyncio.create_task(run_roles(stage, disk, Clock()))
        await until_sent(stage, 50)
        disk.pages = 1  # SQLite doesn't go below what it has

        async def refused() -> bool:
            return disk.refused > 5

        await until(refused)
        disk.pages = None
        await sending
        assert not repeats(await prove(stage))


@pytest.mark.parametrize("patience", [0.2, 30.0])
async def test_another_program_locks_the_database(patience: float, tmp_path: Path, blank: Path) -> None:
    """For longer than the leases, and than the patience of a single write."""
    path = tmp_path / "s.db"
    url = copy_of(blank, path)
    async with open_providers() as providers, open_stage(url, providers, recipients=400) as stage:
        sending = asyncio.create_task(run_roles(stage, Database.open(url, patience=patience), Clock()))
        await until_sent(stage, 50)
        with closing(sqlite3.connect(path, isolation_level=None, timeout=10.0, check_same_thread=False)) as other:
            await asyncio.to_thread(other.execute, "BEGIN IMMEDIATE")  # the roles go on meanwhile
            await asyncio.sleep(AS_LONG)
            assert not sending.done()
            other.execute("ROLLBACK")
        await sending
        assert not repeats(await prove(stage))


async def test_postgresql_is_gone_for_ten_seconds(
    postgres: str, postgres_server: Postgres, processes: ForkServerContext
) -> None:
    async with (
        open_providers() as providers,
        open_stage(postgres, providers, recipients=400) as stage,
        running_roles(stage, processes, "planner", "sender") as roles,
    ):
        await until_sent(stage, 50)
        await asyncio.to_thread(postgres_server.stop)
        try:
            await asyncio.sleep(10.0)
            assert all(role.runs for role in roles)
        finally:
            await asyncio.to_thread(postgres_server.start)
        await until_final(stage)
        assert [await role.stop() for role in roles] == [0, 0]
        assert not repeats(await prove(stage))


async def test_the_supervisor_rides_out_a_restart_of_postgresql(
    postgres: str, postgres_server: Postgres, processes: ForkServerContext
) -> None:
    async with (
        open_providers(SLOW) as providers,
        open_stage(postgres, providers, recipients=400) as stage,
        AsyncExitStack() as stack,
    ):
        stentor = start_stentor(processes, stage.campaign_id, stage.config)
        stack.push_async_callback(stentor.end)
        for pushes in (30, 120, 210):
            await until_sent(stage, pushes)
            await asyncio.to_thread(postgres_server.stop)
            await asyncio.to_thread(postgres_server.start)
        assert await stentor.ended() == 0
        assert not repeats(await prove(stage))


@pytest.mark.parametrize("jump", [-HOUR, HOUR])
async def test_the_clock_jumps(jump: float, tmp_path: Path, blank: Path) -> None:
    """Set back, what was put before waits until then; set forward, all leases end at once."""
    url = copy_of(blank, tmp_path / "s.db")
    clock = Clock()
    async with open_providers(SLOW) as providers, open_stage(url, providers, recipients=200) as stage:
        sending = asyncio.create_task(run_roles(stage, Database.open(url), clock))
        await until_sent(stage, 50)
        clock.ahead += jump
        if jump < 0:
            await asyncio.sleep(AS_LONG)
            clock.ahead -= jump
        await sending
        counts = await prove(stage)
        assert not repeats(counts)


async def test_two_at_once(database_url: str, processes: ForkServerContext) -> None:
    """Two `stentor` processes, each with a planner and a sender, on the same campaign."""
    async with (
        open_providers(FAULTS) as providers,
        open_stage(database_url, providers, recipients=1000, lease=10.0) as stage,
        AsyncExitStack() as stack,
    ):
        both = [start_stentor(processes, stage.campaign_id, stage.config) for _ in range(2)]
        for stentor in both:
            stack.push_async_callback(stentor.end)
        assert [await stentor.ended() for stentor in both] == [0, 0]
        assert not repeats(await prove(stage))


async def test_the_supervisor_is_killed(database_url: str, processes: ForkServerContext) -> None:
    """Its workers notice, finish what they have, and another one goes on."""
    async with (
        open_providers(SLOW) as providers,
        open_stage(database_url, providers, recipients=400, lease=10.0) as stage,
        AsyncExitStack() as stack,
    ):
        for pushes in (20, 140, None):
            stentor = start_stentor(processes, stage.campaign_id, stage.config)
            stack.push_async_callback(stentor.end)
            if pushes is None:
                assert await stentor.ended() == 0
            else:
                await until_sent(stage, pushes)
                await stentor.kill()
        assert not repeats(await prove(stage))


async def test_a_sender_stands_still_for_longer_than_its_lease(
    tmp_path: Path, blank: Path, processes: ForkServerContext
) -> None:
    """Another one takes over; when the first goes on, what it still has to say changes nothing."""
    async with (
        open_providers(SLOW) as providers,
        open_stage(copy_of(blank, tmp_path / "s.db"), providers, recipients=200) as stage,
        running_roles(stage, processes, "planner", "sender") as (planner, still),
    ):
        await until_sent(stage, 40)
        await suspend(still, stage.config.store.url)
        in_flight = await stage.settled()
        async with running_roles(stage, processes, "sender") as (other,):
            await until_final(stage)
            still.go_on()
            assert [await role.stop() for role in (still, other, planner)] == [0, 0, 0]
        counts = await prove(stage)
        assert max(counts.values()) <= 2
        assert repeats(counts).keys().isdisjoint(in_flight)


# -- poison -----------------------------------------------------------------------------------------------------------


async def test_a_batch_that_cannot_be_read_is_put_aside(
    tmp_path: Path, blank: Path, processes: ForkServerContext
) -> None:
    async with (
        open_providers() as providers,
        open_stage(copy_of(blank, tmp_path / "s.db"), providers, recipients=200) as stage,
    ):
        async with running_roles(stage, processes, "planner"):
            await until(lambda: _is_planned(stage))
        poisoned = await _poison(stage)
        async with running_roles(stage, processes, "planner", "sender"):
            await until_final(stage)
        await _check_put_aside(stage, poisoned, "not a batch")


async def test_a_batch_that_kills_its_sender_is_put_aside(
    tmp_path: Path, blank: Path, processes: ForkServerContext
) -> None:
    async with (
        open_providers() as providers,
        open_stage(copy_of(blank, tmp_path / "s.db"), providers, recipients=200) as stage,
        running_roles(stage, processes, "planner"),
    ):
        deadly = next(key for key in sorted(stage.addresses)[31:] if len(stage.addresses[key]) == 64)
        deaths = 0
        while True:
            sender = RoleProcess(
                processes.Process(target=_run_mortal, args=(dump(stage.config), deadly)), "mortal sender"
            )
            final, ended = asyncio.create_task(until_final(stage)), asyncio.create_task(sender.ended())
            await asyncio.wait([final, ended], return_when=asyncio.FIRST_COMPLETED)
            if final.done():
                sender.terminate()
                assert await ended == 0
                break
            final.cancel()
            await asyncio.wait([final])
            assert await ended == DEADLY
            deaths += 1
        assert deaths >= stage.config.sending.deliveries
        await _check_put_aside(stage, await _batch_of(stage, deadly), "senders died while holding it")


DEADLY = 9


class MortalLane(ApnsLane):
    """Takes its whole process with it when it is to send to a certain installation."""

    deadly: bytes

    async def begin(
        self,
        prepared: Prepared,
        recipients: list[bytes],  # type: ignore[override]  # as the sender gives them
        addresses: list[bytes],  # type: ignore[override]
        languages: bytes | None = None,
        variables: list[Variables] | None = None,  # type: ignore[override]
    ) -> Http2Flight:
        if self.deadly in recipients:
            os._exit(DEADLY)
        return await super().begin(prepared, recipients, addresses, languages, variables)


def _run_mortal(settings: bytes, deadly: str) -> None:
    MortalLane.deadly = deadly.encode()
    with patch("stentor.providers.apns.lane.ApnsLane", MortalLane):
        run_role("sender", settings)


async def _is_planned(stage: Stage) -> bool:
    return (await stage.stentor.campaigns.get(stage.campaign_id)).planned


async def _poison(stage: Stage) -> frozenset[str]:
    """Spoil a queued batch. Returns who is in it."""
    async with stage.database.read() as connection:
        name = await connection.scalar(sa.select(tasks.c.id).where(tasks.c.lane == "apns/ios").limit(1))

    async def change(connection: AsyncConnection) -> None:
        await connection.execute(sa.update(payloads).where(payloads.c.id == name).values(payload=b"\xc1 nothing"))

    await stage.database.write(change)
    return (await stage.batches())[str(name)]


async def _batch_of(stage: Stage, key: str) -> frozenset[str]:
    return next(keys for keys in (await stage.batches()).values() if key in keys)


async def _check_put_aside(stage: Stage, poisoned: frozenset[str], why: str) -> None:
    """These, and nobody else, have no known fate, and it says why."""
    await prove(stage, lost=poisoned)
    (letter,) = await stage.queue.dead_letters(stage.campaign_id)
    assert why in letter.reason
    async with stage.database.read() as connection:
        rows = (await connection.execute(sa.select(failures).where(failures.c.reason == "DeadLetter"))).all()
    assert {row.installation for row in rows} == poisoned
    assert all(why in row.detail for row in rows)
