"""The caretaker: a queue that lost a campaign's steps gets them again, and nothing is done twice for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import delete, update

from stentor.errors import StoreUnavailable
from stentor.planning.caretaker import Caretaker
from stentor.queue.contract import PLAN
from stentor.states import CampaignState
from stentor.store.tables import campaigns, payloads, tasks
from tests.integration.planning.test_worker import is_planned, until
from tests.integration.planning.world import ANDROID, CAMPAIGN, HOLD, IOS, World, crowd, run, world


@pytest.fixture
async def planning(database_url: str) -> AsyncIterator[World]:
    async with world(database_url, crowd(IOS, ANDROID, size=60)) as found:
        yield found


def _() -> None:
    _ = (asyncio, StoreUnavailable, Caretaker, PLAN, CampaignState, campaigns, payloads, tasks, delete, update, CAMPAIGN, HOLD, run, until, is_planned)
