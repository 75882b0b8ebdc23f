"""Old campaigns are deleted when somebody asks, and by schedulers where the settings say so."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from stentor import pipeline
from stentor.access.caller import local_caller
from stentor.config import Config
from stentor.errors import InvalidConfiguration
from stentor.meter import Meter
from stentor.recording import pruning
from stentor.runtime.ports import open_backend, ports_for
from stentor.runtime.sources import ConfiguredSources
from stentor.runtime.stentor import Stentor
from stentor.states import CampaignState
from stentor.store.database import Database
from tests.integration.recording.rows import NOW, Rows

DAY = 86_400.0
ENDED: dict[str, Any] = {"state": CampaignState.COMPLETED, "planned": True}


def config(folder: Path, **store: Any) -> Config:
    return Config.model_validate({"store": {"url": f"sqlite:///{folder / 'stentor.db'}", **store}})


async def test_old_rows_of_the_log_of_actions_go_as_well(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "ACTIONS_AT_ONCE", 3)
    by, now = local_caller(), [NOW - 31 * DAY]
    async with Stentor(Config.model_validate({"store": {"url": database_url}}), lambda: now[0]) as stentor:
        for number in range(7):
            await stentor.access.log.record(by, "campaign.start", f"old{number}")
        now[0] = NOW - 29 * DAY
        await stentor.access.log.record(by, "campaign.start", "new")
        database = Database.open(database_url)
        assert await pruning.prune_actions(database, NOW - 30 * DAY) == 7
        assert await pruning.prune_actions(database, NOW - 30 * DAY) == 0
        await database.aclose()
        assert [row.object for row in await stentor.access.log.page(by)] == ["new"]


async def add_campaigns(database: Database) -> None:
    rows = Rows(database)
    await rows.campaign("old", **ENDED, finished_at=NOW - 31 * DAY)
    await rows.batch(1, "ar", campaign="old")
    await rows.campaign("new", **ENDED, finished_at=NOW - 29 * DAY)


async def test_it_is_counted_and_deleted_by_age(tmp_path: Path) -> None:
    async with Stentor(config(tmp_path), lambda: NOW) as stentor:
        database = Database.open(config(tmp_path).store.url)
        await add_campaigns(database)
        await database.aclose()
        found = await stentor.campaigns.prunable(30 * DAY)
        assert (found.campaigns, found.recipients, found.failures) == (["old"], 2, 1)
        assert [each.id for each in await stentor.campaigns.newest()] == ["old", "new"]
        assert await stentor.campaigns.prune(30 * DAY) == found
        assert [each.id for each in await stentor.campaigns.newest()] == ["new"]
        for age in (0.0, DAY - 1, -1.0, float("inf"), float("nan")):
            with pytest.raises(InvalidConfiguration, match="for a day at least"):
                await stentor.campaigns.prune(age)


async def test_a_scheduler_does_so_by_itself(tmp_path: Path) -> None:
    settings = config(tmp_path, keep_days=30)
    async with Stentor(settings, lambda: NOW) as stentor:
        database = Database.open(settings.store.url)
        await add_campaigns(database)
        backend, sources = open_backend(settings, database, lambda: NOW), ConfiguredSources(settings, database)
        ports = ports_for(settings, database, backend, sources, meter=Meter(), clock=lambda: NOW)
        stop = asyncio.Event()
        running = asyncio.create_task(pipeline.schedule(ports, stop))
        async with asyncio.timeout(60):
            while len(found := await stentor.campaigns.newest()) == 2:  # noqa: ASYNC110 - the store says so
                await asyncio.sleep(0.01)
        assert [each.id for each in found] == ["new"]
        stop.set()
        await running
        await sources.aclose()
        await database.aclose()


def test_without_the_setting_none_is_deleted(tmp_path: Path) -> None:
    settings = config(tmp_path)
    database = Database.open(settings.store.url)
    backend, sources = open_backend(settings, database, lambda: NOW), ConfiguredSources(settings, database)
    assert ports_for(settings, database, backend, sources, meter=Meter()).keep is None
