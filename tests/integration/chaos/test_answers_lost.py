"""Answers of push services are lost in a cluster, and the message's life ends before the next try."""

from __future__ import annotations

import asyncio
import time
from multiprocessing.context import ForkServerContext

from stentor.testing.nats import RunningNats
from tests.integration.kill.answers_lost import LOSSES, SHORT, see_that_nobody_expired_who_has_it
from tests.integration.kill.running import running_roles, until_final
from tests.integration.kill.stage import open_providers, open_stage


async def test_what_came_of_the_first_try_is_recorded_after_the_end(
    postgres: str, nats_server: RunningNats, queue_name: str, processes: ForkServerContext
) -> None:
    """No recorder is there before: it is known in the queue alone."""
    queue = {"url": nats_server.url, "name": queue_name}
    async with (
        open_providers(LOSSES, channels=["webpush"]) as providers,
        open_stage(postgres, providers, queue=queue, **SHORT) as stage,
        running_roles(stage, processes, "planner", "sender", "sender", "scheduler"),
    ):
        campaign = await stage.stentor.campaigns.get(stage.campaign_id)
        await asyncio.sleep((campaign.expires_at or 0.0) + 2.0 - time.time())  # its end is a moment, not a condition
        async with running_roles(stage, processes, "recorder"):
            await until_final(stage)
        await see_that_nobody_expired_who_has_it(stage)
