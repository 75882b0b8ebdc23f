"""A chaos trial: a campaign during which a seed decides what goes wrong, when and for how long, and how it ends.

Machines are killed and fall asleep, servers and networks go away, clocks step, streams are lost. Then the campaign is
seen through, or cancelled, or its message's life ends; at last it may be taken back. Afterwards it is held against the
simulators' ledgers person by person. A failure tells the seed, what happened when, and who is at fault.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Literal

from stentor.runtime.child import Role
from stentor.states import CampaignState
from stentor.testing.postgres import Postgres
from stentor.testing.proxy import Proxy
from tests.integration.chaos.network import (
    LOSING,
    SILENT,
    TWICE,
    before_provider,
    delay,
    nats_through,
    provider_through,
)
from tests.integration.chaos.stage import WHOLE, Cluster
from tests.integration.kill.lost import delete_streams, scheduling
from tests.integration.kill.running import take_back
from tests.integration.kill.stage import APPS, CHANNELS, PHONES
from tests.integration.ledgers import CHATS

ROLES: tuple[Role, ...] = ("planner", "sender", "recorder", "scheduler")
TROUBLES = (*LOSING, *SILENT, delay)
CLOCKS = (0.0, 0.0, 3600.0, -3600.0)
Ending = Literal["complete", "cancel", "expire"]
ENDINGS: tuple[Ending, ...] = ("complete", "cancel", "cancel", "expire")
MIXTURES: tuple[tuple[str, ...], ...] = (
    *(PHONES, PHONES, PHONES),
    ("apns", "webpush", "webhook"),
    ("telegram",),
    ("discord", "fcm"),
    CHANNELS,
)
SIGNED_WITHIN, HOUR = 200.0, 3600.0
"""Seconds by which a sender's clock may stay wrong, and that a clock steps at most."""
CHATTERS = 80
"""Recipients of a channel, where there are chats."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong."""

    kind: str
    role: Role
    after: int
    """Pushes since the one before."""
    seconds: float
    by: float
    """Seconds, where a clock steps."""


@dataclass(frozen=True, slots=True)
class Plot:
    """What happens in a trial."""

    seed: int
    channels: tuple[str, ...]
    recipients: int
    faults: tuple[Fault, ...]
    ahead: Mapping[Role, float]
    """By how much one process of each role has a wrong clock."""
    ending: Ending
    lifetime: float | None
    """Seconds, where it ends by this."""
    wait: int
    """Pushes after the last fault, after which it is cancelled."""
    deserted: bool
    """Whether all senders are killed before it is cancelled, and started again afterwards."""
    undo: bool


@dataclass(slots=True)
class Scene:
    """What a fault can befall."""

    cluster: Cluster
    postgres: Postgres
    to_nats: Proxy
    """On the way of one sender."""
    to_provider: Proxy
    """On the way of all senders to one of them."""
    draw: random.Random
    stack: AsyncExitStack
    """Of what is there until the campaign's end."""
    history: list[str]
    """What happened, and when."""
    began: float = field(default_factory=time.monotonic)

    def tell(self, what: object) -> None:
        self.history.append(f"{time.monotonic() - self.began:6.2f} s, {self.cluster.stage.pushes:4} sent: {what}")


async def kill(scene: Scene, fault: Fault) -> None:
    await scene.cluster.kill_one(fault.role)
    await asyncio.sleep(fault.seconds / 10)
    scene.cluster.start(fault.role)


async def kill_all(scene: Scene, fault: Fault) -> None:
    """Of all roles."""
    await scene.cluster.kill(*ROLES)
    await asyncio.sleep(fault.seconds / 10)
    scene.cluster.start(*WHOLE)


async def stand_still(scene: Scene, fault: Fault) -> None:
    still = scene.draw.choice(scene.cluster.running[fault.role])
    still.suspend()
    if fault.role == "sender":
        await scene.cluster.struck(goes_on=True)
    await asyncio.sleep(fault.seconds)
    still.go_on()


async def kill_nats(scene: Scene, fault: Fault) -> None:
    """All servers."""
    await scene.cluster.struck(goes_on=True, nats=True)
    await asyncio.to_thread(scene.cluster.nats.kill)
    await asyncio.sleep(fault.seconds)
    await asyncio.to_thread(scene.cluster.nats.start)


async def kill_a_nats(scene: Scene, fault: Fault) -> None:
    """One server, or the only one."""
    node = scene.draw.choice(scene.cluster.nats.nodes)
    await scene.cluster.struck(goes_on=True, nats=len(scene.cluster.nats.nodes) == 1)
    await asyncio.to_thread(node.kill)
    await asyncio.sleep(fault.seconds)
    await asyncio.to_thread(scene.cluster.nats.start)


async def still_nats(scene: Scene, fault: Fault) -> None:
    node = scene.draw.choice(scene.cluster.nats.nodes)
    await scene.cluster.struck(goes_on=True)
    node.suspend()
    await asyncio.sleep(fault.seconds)
    node.go_on()


async def stop_postgresql(scene: Scene, fault: Fault) -> None:
    await asyncio.to_thread(scene.postgres.stop)
    await asyncio.sleep(scene.draw.choice((0.0, fault.seconds, 20.0)))
    await asyncio.to_thread(scene.postgres.start)


async def spoil_way_to_nats(scene: Scene, fault: Fault) -> None:
    await scene.cluster.struck(goes_on=True)
    await scene.draw.choice(TROUBLES)(scene.to_nats, fault.seconds)


async def spoil_way_to_provider(scene: Scene, fault: Fault) -> None:
    trouble = scene.draw.choice(TROUBLES)
    if trouble in LOSING:
        for _ in range(1 + (trouble in TWICE)):
            await scene.cluster.struck(killed=len(scene.cluster.running["sender"]))
    await trouble(scene.to_provider, fault.seconds)


async def step_clock(scene: Scene, fault: Fault) -> None:
    """Of one machine; what providers would refuse for long is mended."""
    cluster = scene.cluster
    clock = cluster.clocks[scene.draw.choice(cluster.running[fault.role])]
    if fault.role == "sender":
        await cluster.struck(goes_on=True)
    clock.step(fault.by)
    if abs(fault.by) > SIGNED_WITHIN:
        await asyncio.sleep(fault.seconds)
        if fault.role == "sender":
            await cluster.struck(goes_on=True)
        clock.step(-fault.by)


async def lose_streams(scene: Scene, fault: Fault) -> None:
    """All of them, or those of which the outcomes' is one."""
    cluster = scene.cluster
    await cluster.struck(goes_on=True, nats=True)
    await delete_streams(cluster.stage, *scene.draw.choice(((), ("outcomes", "batches"))))
    await scene.stack.enter_async_context(scheduling(cluster.stage))


KINDS: Mapping[str, Callable[[Scene, Fault], Awaitable[None]]] = {
    each.__name__: each
    for each in (
        kill,
        kill_all,
        stand_still,
        kill_nats,
        kill_a_nats,
        still_nats,
        stop_postgresql,
        spoil_way_to_nats,
        spoil_way_to_provider,
        step_clock,
        lose_streams,
    )
}


def make_plot(seed: int, recipients: int) -> Plot:
    draw = random.Random(seed)
    channels = draw.choice(MIXTURES)
    if not CHATS.isdisjoint(channels):
        recipients = min(recipients, CHATTERS * len(channels))
    faults = tuple(
        Fault(
            kind=draw.choice((*KINDS, "kill", "stand_still", "step_clock")),
            role=draw.choice(ROLES),
            after=draw.randrange(recipients // 4),
            seconds=draw.uniform(0.1, 6.0),
            by=math.exp(draw.uniform(0.0, math.log(HOUR))) * draw.choice((1.0, -1.0)),
        )
        for _ in range(draw.randrange(1, 6))
    )
    ending = draw.choice(ENDINGS)
    return Plot(
        seed=seed,
        channels=channels,
        recipients=recipients,
        faults=faults,
        ahead={role: draw.choice(CLOCKS) for role in ROLES},
        ending=ending,
        lifetime=draw.uniform(4.0, 15.0) if ending == "expire" else None,
        wait=draw.choice((0, draw.randrange(1, recipients // 4))),
        deserted=draw.random() < 0.5,
        undo=draw.random() < 0.5,
    )


async def play(plot: Plot, cluster: Cluster, postgres: Postgres, history: list[str]) -> int:
    """Run a trial and prove it exact. Returns how many pushes were sent twice.

    Args:
        history: is told what happens.
    """
    config, app = cluster.stage.config, APPS[plot.channels[0]]
    nats_port = cluster.nats.nodes[0].port
    async with Proxy("127.0.0.1", nats_port) as to_nats, before_provider(config, app) as to_provider:
        through = provider_through(to_provider, config, app)
        for role in ROLES:
            cluster.start(role, config=through)
            cluster.start(role, config=nats_through(to_nats, through), ahead=plot.ahead[role])
        async with AsyncExitStack() as stack:
            scene = Scene(cluster, postgres, to_nats, to_provider, random.Random(plot.seed), stack, history)
            for fault in plot.faults:
                await cluster.until_sent(cluster.stage.pushes + fault.after)
                scene.tell(fault)
                await KINDS[fault.kind](scene, fault)
            if plot.ending == "cancel":
                await _cancel(plot, scene)
            await cluster.finish()
            scene.tell("has ended")
    unsure = cluster.unsure
    if plot.ending == "complete":  # what replaces the first push is sent again
        unsure = frozenset(key for key in unsure if cluster.stage.channels.get(key) in CHATS)
    cancelled = plot.ending == "cancel" and await cluster.stage.state() is CampaignState.CANCELLED
    state = CampaignState.CANCELLED if cancelled else CampaignState.COMPLETED
    repeated = await cluster.prove(state=state, unsure=unsure)
    if plot.undo:
        scene.tell("is taken back")
        await take_back(cluster.stage, cluster.processes, "recorder", "scheduler")
    return repeated


async def _cancel(plot: Plot, scene: Scene) -> None:
    cluster = scene.cluster
    await cluster.until_sent(cluster.stage.pushes + plot.wait)
    if plot.deserted:
        scene.tell("kill the senders")
        await cluster.kill("sender")
    if not await cluster.has_ended():
        scene.tell("is cancelled")
        await cluster.stage.stentor.campaigns.cancel(cluster.stage.campaign_id)
    if plot.deserted:
        cluster.start("sender", "sender")
