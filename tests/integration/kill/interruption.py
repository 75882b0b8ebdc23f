"""Senders that are killed in full flight on every channel at once, and what then becomes of the campaign.

Whoever was in a batch that a sender had begun and not settled may have got it. Each function takes the stage of a
campaign that nobody runs yet, and the roles that run beside planner and sender where the queue isn't in the store.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from multiprocessing.context import ForkServerContext
from typing import Any

from stentor.outcome import Outcome
from stentor.runtime.child import Role
from stentor.simulators.faults import Faults, Latency, StreamLimit
from stentor.states import CampaignState
from tests.integration.kill.running import run_to_the_end, running_roles, take_back, until
from tests.integration.kill.stage import CHANNELS, PHONES, Providers, Stage, open_providers, prove

RECIPIENTS = 100 * len(CHANNELS)
MANY: Mapping[str, Any] = {"recipients": RECIPIENTS, "page": 300, "batch": 50}
"""Batches of seconds, in the midst of which it is easy to strike."""
SLOWLY = Faults(latency=Latency(median_s=0.1, p99_s=0.1), stream_limit=StreamLimit(normal=1))
RATES: Mapping[str, Mapping[str, float]] = {
    channel: {"max_connections": 1} if channel in PHONES else {"rate": 10.0} for channel in CHANNELS
}
"""Each channel is under way for ten seconds: the fastest hasn't ended when the slowest begins."""
UNSETTLED = 4
"""Recipients that each channel's ledger has, and that have no outcome yet, when the senders are killed."""
LIFETIME = 20.0
"""Seconds of a message whose end comes after the kill: enough for the slowest machine to begin."""
INTERRUPTED = "Interrupted"


@asynccontextmanager
async def all_channels() -> AsyncIterator[Providers]:
    async with open_providers(SLOWLY, channels=CHANNELS, rates=RATES) as found:
        yield found


async def kill_in_full_flight(stage: Stage, processes: ForkServerContext, *others: Role) -> frozenset[str]:
    """Kill two senders, and all else, in the midst of every channel. Returns: who may have it, and had no outcome."""
    wanted = Counter(dict.fromkeys(stage.providers.channels, UNSETTLED))

    async def is_the_midst() -> bool:
        if not wanted <= Counter(stage.channels[key] for key in stage.sends()):
            return False
        settled = await stage.settled()
        over = set(CHANNELS) - {channel for key, channel in stage.channels.items() if key not in settled}
        assert not over, f"{over} had ended before all others had begun"
        return wanted <= Counter(stage.channels[key] for key in stage.sends().keys() - settled)

    async with running_roles(stage, processes, "planner", "sender", "sender", *others) as roles:
        await until(is_the_midst)
        await asyncio.gather(*(role.kill() for role in roles))
    in_doubt = stage.sends().keys() - await stage.settled()
    assert {stage.channels[key] for key in in_doubt} == wanted.keys(), "one was recorded at the very moment"
    return frozenset(stage.addresses.keys() - await stage.settled()) if others else await stage.in_hands()


async def cancel_after_a_kill(stage: Stage, processes: ForkServerContext, *others: Role) -> None:
    """Nobody who is in a ledger ends as cancelled, and only those are ambiguous whom the dead senders held."""
    unsure = await kill_in_full_flight(stage, processes, *others)
    await stage.stentor.campaigns.cancel(stage.campaign_id)
    await run_to_the_end(stage, processes, *others)
    await prove(stage, state=CampaignState.CANCELLED, unsure=unsure)
    await _see_reasons(stage)


async def expire_after_a_kill(stage: Stage, processes: ForkServerContext, *others: Role) -> None:
    """The same with the message's life, which ends before anybody goes on. Of a stage whose `lifetime` is LIFETIME."""
    unsure = await kill_in_full_flight(stage, processes, *others)
    campaign = await stage.stentor.campaigns.get(stage.campaign_id)
    left = (campaign.expires_at or 0.0) - time.time()
    assert left > 0, "the message's life ended before the senders were killed"
    await asyncio.sleep(left)  # its end is a moment, not a condition
    await run_to_the_end(stage, processes, *others)
    await prove(stage, unsure=unsure)
    await _see_reasons(stage)


async def undo_after_a_kill(stage: Stage, processes: ForkServerContext, *others: Role) -> None:
    """After a cancel, an undo concerns everybody who is in a ledger, and everybody who may be."""
    await kill_in_full_flight(stage, processes, *others)
    await stage.stentor.campaigns.cancel(stage.campaign_id)
    await run_to_the_end(stage, processes, *others)
    await take_back(stage, processes, *others)


async def _see_reasons(stage: Stage) -> None:
    """That each who is ambiguous is so because of the kill."""
    people = (await stage.people()).values()
    unsure = [person for person in people if person.outcome is Outcome.AMBIGUOUS]
    assert unsure, "nobody is ambiguous, after a kill in full flight"
    assert {person.reason for person in unsure} == {INTERRUPTED}
