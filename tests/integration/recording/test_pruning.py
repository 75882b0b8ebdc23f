"""Campaigns that ended long ago are deleted whole, and nothing that anybody still needs."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from sqlalchemy import func, select

from stentor.audience.contract import Selection
from stentor.recording import pruning
from stentor.recording.pruning import Prunable, prunable, prune
from stentor.recording.report import report
from stentor.states import CampaignState
from stentor.store import once
from stentor.store.tables import METADATA, flags
from tests.integration.recording.rows import NOW, Rows

OLD, NEW = NOW - 100 * 86_400, NOW - 86_400
BEFORE = NOW - 90 * 86_400
ENDED: dict[str, Any] = {"state": CampaignState.COMPLETED, "planned": True, "finished_at": OLD}


async def look(rows: Rows) -> Prunable:
    async with rows.database.read() as connection:
        return await prunable(connection, BEFORE)


async def rows_left(rows: Rows) -> dict[str, int]:
    """By table."""
    async with rows.database.read() as connection:
        counts = {
            table.name: (await connection.execute(select(func.count()).select_from(table))).scalar_one()
            for table in METADATA.sorted_tables
        }
    return {name.removeprefix("stentor_"): count for name, count in counts.items() if count}


async def test_what_ended_long_ago_is_deleted_whole_and_nothing_else(
    rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "AT_ONCE", 2)
    await rows.campaign("new", **{**ENDED, "finished_at": NEW})
    await rows.batch(1, "ar", campaign="new")
    await rows.campaign("going", state=CampaignState.RUNNING)
    before = await rows_left(rows)
    for name, state in (("old", CampaignState.COMPLETED), ("gone", CampaignState.CANCELLED)):
        await rows.campaign(name, **{**ENDED, "state": state})
        for number in range(5):
            await rows.batch(number, "arxm", campaign=name)
    await rows.bury("old/apns/ios/0.0.7.9", "unreadable", campaign="old")
    await rows.task("old/plan", campaign="old")
    found = await look(rows)
    assert (set(found.campaigns), found.recipients, found.failures, found.oldest) == ({"old", "gone"}, 40, 30, OLD)
    assert await prune(rows.database, BEFORE) == found
    assert await rows_left(rows) == before
    assert (await prune(rows.database, BEFORE)).campaigns == []


async def test_what_somebody_still_needs_is_kept(rows: Rows) -> None:
    for name in ("undone", "again", "draft-of", "pending", "free"):
        await rows.campaign(name, **ENDED)
    await rows.batch(1, "ap", campaign="pending")
    for name, state, selection in (
        ("undo", CampaignState.RUNNING, Selection(source="users", reached_by="undone")),
        ("retry", CampaignState.PAUSED, Selection(source="users", failed_of="again")),
        ("draft", CampaignState.DRAFT, Selection(source="users", failed_of="draft-of")),
        ("done", CampaignState.COMPLETED, Selection(source="users", failed_of="free")),
    ):
        await rows.campaign(name, state=state, audience=msgspec.json.encode(selection))
    assert (await look(rows)).campaigns == ["free"]


async def test_one_that_could_not_be_deleted_to_its_end_says_so_and_is_next_time(
    rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "AT_ONCE", 1)
    await rows.campaign("old", **ENDED)
    for number in range(3):
        await rows.batch(number, "ar", campaign="old")

    def cut() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await prune(rows.database, BEFORE, cut)
    async with rows.database.read() as connection:
        told = await report(connection, "old", NOW)
    assert told.total.read == 4
    assert told.campaign.problem == pruning.BEING_PRUNED
    assert (await prune(rows.database, BEFORE)).recipients == 4
    assert await rows_left(rows) == {}


async def test_what_was_sent_once_stays_sent(rows: Rows) -> None:
    await rows.campaign("old", **ENDED)
    await rows.database.write(lambda connection: once.claim(connection, "episode-12", "old", OLD))
    await prune(rows.database, BEFORE)
    assert await rows_left(rows) == {"flags": 1}
    async with rows.database.read() as connection:
        assert await once.claimed(connection, "episode-12") == once.KeyHolder("old", OLD)
        assert (await connection.execute(select(flags.c.name))).scalar_one() == "once/episode-12"
