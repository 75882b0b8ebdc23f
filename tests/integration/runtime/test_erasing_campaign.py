"""Erasing a person while a campaign is under way: with the queue in the store, and in NATS."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from stentor import pipeline
from stentor.audience.contract import Selection
from stentor.config import Config, QueueConfig
from stentor.errors import InvalidAudience
from stentor.meter import Meter
from stentor.model import Message
from stentor.planning.content import Content
from stentor.queue.contract import PLAN
from stentor.runtime.draft import Draft
from stentor.runtime.ports import open_backend, ports_for
from stentor.runtime.sources import ConfiguredSources
from stentor.runtime.stentor import Stentor
from stentor.states import CampaignState
from stentor.store.database import Database
from tests.integration.runtime.rehearsal import Facts, rehearse

NEWS = Content(message=Message(title="News", ttl=3600))
EVERYBODY = Selection(source="registry")
ANNA, PHONES = "phone-7", 12


async def phones() -> AsyncIterator[bytes]:
    for number in range(PHONES):
        row = {"id": f"phone-{number}", "token": f"{number:064x}", "channel": "apns"}
        yield json.dumps(row).encode() + b"\n"


async def plan(config: Config) -> None:
    """Plan all there is, as the planner's process would."""
    database = Database.open(config.store.url)
    backend, sources, stop = (
        open_backend(config, database, time.time),
        ConfiguredSources(config, database),
        asyncio.Event(),
    )
    ports = ports_for(config, database, backend, sources, meter=Meter(), clock=time.time)
    async with asyncio.TaskGroup() as group:
        group.create_task(pipeline.plan(ports, stop))
        while (await ports.queue.depths([PLAN]))[PLAN].total:  # noqa: ASYNC110 - it is the database that says so
            await asyncio.sleep(0.01)
        stop.set()
    await sources.aclose()
    await backend.aclose()
    await database.aclose()


async def start(stentor: Stentor) -> str:
    assert (await stentor.installations.upsert_many(phones())).added == PHONES
    return (await stentor.campaigns.send(Draft(NEWS, EVERYBODY))).id


async def test_who_is_erased_is_not_sent_to_and_all_others_are(tmp_path: Path, facts: Facts) -> None:
    config = rehearse(tmp_path, facts)
    async with Stentor(config) as stentor:
        campaign = await start(stentor)
        await plan(config)
        done = await stentor.installations.erase(ANNA)
        assert (done.places, done.cancelled, done.left) == (1, 1, [])
        report = await stentor.roles.run(campaign)
        assert report.campaign.state is CampaignState.COMPLETED
        assert (report.total.accepted, report.total.cancelled) == (PHONES - 1, 1)
        audit = await stentor.outcomes.audit(campaign)
        assert audit.exact, audit.checks
        with pytest.raises(InvalidAudience, match="nobody to try again"):  # nobody can tell whose place it was
            await stentor.campaigns.retry(campaign)
        told = await stentor.outcomes.explain(campaign, ANNA)
        assert told.place is None


async def test_what_waits_in_nats_is_told_and_erased_once_it_is_done(
    tmp_path: Path, facts: Facts, postgres: str, nats_url: str, queue_name: str
) -> None:
    config = rehearse(tmp_path, facts, store=postgres)
    config = config.model_copy(update={"queue": QueueConfig(url=nats_url, name=queue_name)})
    async with Stentor(config) as stentor:
        campaign = await start(stentor)
        assert "still reading its audience" in (await stentor.installations.erase("nobody")).left[0]
        await plan(config)
        done = await stentor.installations.erase(ANNA, patience=0.0)
        assert (done.places, done.cancelled) == (0, 0)
        assert "waits in NATS" in done.left[0]
        report = await stentor.roles.run(campaign)
        assert report.total.accepted == PHONES
        done = await stentor.installations.erase(ANNA)
        assert (done.registered, done.places, done.left) == (True, 1, [])
        audit = await stentor.outcomes.audit(campaign)
        assert audit.exact, audit.checks
