"""The rows by which the processes of roles show that they run, on both databases."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest
from sqlalchemy import update

from stentor.store import role_processes as rows
from stentor.store.database import SQLITE, Database
from stentor.store.migrate import migrate
from stentor.store.role_processes import FORGOTTEN_AFTER, SILENT, ProcessSign, ServedLane, ShownProcess
from stentor.store.tables import role_processes

NEAR = 30.0
"""Seconds that a busy machine may take for a test."""


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    found = Database.open(database_url)
    await migrate(found)
    yield found
    await found.aclose()


def process(name: str = "a", role: str = "sender") -> ShownProcess:
    return ShownProcess(id=name, role=role, host="host\0-a", pid=2**40, version="1.2.3")


async def show(
    database: Database,
    shown: ShownProcess,
    lanes: Mapping[str, ServedLane] | None = None,
    running_for: float = 60.0,
    clock: Callable[[], float] = time.time,
) -> None:
    await database.write(lambda connection: rows.show(connection, shown, running_for, lanes or {}, clock))


async def signs(database: Database, clock: Callable[[], float] = time.time) -> list[ProcessSign]:
    return await database.ask(lambda connection: rows.all_signs(connection, clock))


async def change(database: Database, name: str, **values: Any) -> None:
    query = update(role_processes).where(role_processes.c.id == name).values(**values)
    await database.write(lambda connection: connection.execute(query))


async def test_a_process_shows_itself_until_it_takes_leave(database: Database) -> None:
    lanes = {"apns/ios": ServedLane(timed={3: 5}, expires_at=7.0), "fcm/android": ServedLane()}
    await show(database, process())
    [found] = await signs(database)
    assert (found.role, found.host, found.pid, found.version) == ("sender", "host\ufffd-a", 2**40, "1.2.3")
    assert found.started_at == pytest.approx(time.time() - 60.0, abs=NEAR)
    assert (found.lanes, found.is_silent) == ({}, False)
    await show(database, process(), lanes, running_for=70.0)
    await show(database, process("b", "planner"))
    before, (other, again) = found, await signs(database)
    assert (other.role, again.started_at, again.lanes) == ("planner", before.started_at, lanes)
    assert again.seen_at >= before.seen_at
    await database.write(lambda connection: rows.take_leave(connection, "a"))
    assert [each.id for each in await signs(database)] == ["b"]


@pytest.mark.parametrize("wrong", [-86_400.0, 86_400.0])
async def test_no_machines_clock_need_be_right_where_the_store_has_one(database: Database, wrong: float) -> None:
    if database.dialect == SQLITE:
        return  # there, only one machine writes and reads
    await show(database, process(), clock=lambda: time.time() + wrong)
    [found] = await signs(database, lambda: time.time() - wrong)
    assert found.silent_for < NEAR
    assert found.started_at == pytest.approx(time.time() - 60.0, abs=NEAR)


async def test_one_that_shows_no_sign_is_silent_and_forgotten_after_an_hour(database: Database) -> None:
    for name, ago in (("now", 0.0), ("silent", SILENT + NEAR), ("gone", FORGOTTEN_AFTER + NEAR)):
        await show(database, process(name))
        await change(database, name, seen_at=role_processes.c.seen_at - ago)
    found = {each.id: each.is_silent for each in await signs(database)}
    assert found == {"now": False, "silent": True, "gone": True}
    await database.write(lambda connection: rows.forget(connection, time.time))
    assert {each.id for each in await signs(database)} == {"now", "silent"}
    await show(database, process("gone"), running_for=4000.0)
    [again] = [each for each in await signs(database) if each.id == "gone"]
    assert again.started_at == pytest.approx(time.time() - 4000.0, abs=NEAR), "it was only cut off, and is there again"


async def test_what_a_newer_version_says_of_lanes_is_not_understood(database: Database) -> None:
    odd, more = b'{"apns/ios": {"timed": "yes"}}', b'{"apns/ios": {"new": 1}}'
    for name, said in (("odd", odd), ("more", more), ("bad", b"x")):
        await show(database, process(name))
        await change(database, name, lanes=said)
    found = {each.id: each.lanes for each in await signs(database)}
    assert found == {"odd": {}, "more": {"apns/ios": ServedLane()}, "bad": {}}
