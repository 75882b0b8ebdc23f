"""The counts of a list: what is over is summed once, and never too early."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from stentor.config import Config, StoreConfig
from stentor.recording.report import Totals
from stentor.runtime.stentor import Stentor
from stentor.states import CampaignState
from stentor.store.database import Database
from stentor.store.migrate import migrate
from stentor.store.tables import campaigns
from tests.integration.recording.rows import NOW, Rows


@pytest.fixture
async def rows(database_url: str) -> AsyncIterator[Rows]:
    database = Database.open(database_url)
    try:
        await migrate(database)
        yield Rows(database)
    finally:
        await database.aclose()


@pytest.fixture
async def stentor(database_url: str, rows: Rows) -> AsyncIterator[Stentor]:
    async with Stentor(Config(store=StoreConfig(url=database_url))) as found:
        yield found


async def test_what_is_read_after_a_campaign_has_failed_is_counted(rows: Rows, stentor: Stentor) -> None:
    """A page of its audience was being read when the provider refused the message: it is planned, and called off."""

    async def totals() -> Totals:
        return (await stentor.outcomes.list_totals(await stentor.campaigns.newest()))["c1"]

    await rows.campaign(state=CampaignState.FAILED, finished_at=NOW)
    await rows.batch(1, "rr")
    assert await totals() == Totals(failed=2)
    await rows.batch(2, "aacc")
    await rows.change(campaigns.update().values(planned=True))
    assert await totals() == Totals(accepted=2, failed=2, cancelled=2)
