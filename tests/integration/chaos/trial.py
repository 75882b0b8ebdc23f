"""A chaos trial: a campaign during which a seed decides what goes wrong, when and for how long, and the proof."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from stentor.runtime.worker import Role
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

ROLES: tuple[Role, ...] = ("planner", "sender", "recorder", "scheduler")
TROUBLES = (*LOSING, *SILENT, delay)
CLOCKS = (0.0, 0.0, 3600.0, -3600.0)


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong."""

    kind: str
    role: Role
    after: int
    """Pushes since the one before."""
    seconds: float


@dataclass(frozen=True, slots=True)
class Plot:
    """What happens in a trial."""

    seed: int
    faults: tuple[Fault, ...]
    ahead: Mapping[Role, float]
    """By how much one process of each role has a wrong clock."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What a fault can befall."""

    cluster: Cluster
    postgres: Postgres
    to_nats: Proxy
    """On the way of one sender."""
    to_provider: Proxy
    """On the way of all senders to one of the two."""
    draw: random.Random


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
    )
}


def make_plot(seed: int, recipients: int) -> Plot:
    draw = random.Random(seed)
    faults = tuple(
        Fault(
            kind=draw.choice((*KINDS, "kill", "stand_still")),
            role=draw.choice(ROLES),
            after=draw.randrange(recipients // 4),
            seconds=draw.uniform(0.1, 6.0),
        )
        for _ in range(draw.randrange(1, 6))
    )
    return Plot(seed, faults, {role: draw.choice(CLOCKS) for role in ROLES})


async def play(plot: Plot, cluster: Cluster, postgres: Postgres) -> int:
    """Run a trial and prove it exact. Returns how many pushes were sent twice."""
    config = cluster.stage.config
    nats_port = cluster.nats.nodes[0].port
    async with Proxy("127.0.0.1", nats_port) as to_nats, before_provider(config, "ios") as to_provider:
        through = provider_through(to_provider, config, "ios")
        for role in ROLES:
            cluster.start(role, config=through)
            cluster.start(role, config=nats_through(to_nats, through), ahead=plot.ahead[role])
        scene = Scene(cluster, postgres, to_nats, to_provider, random.Random(plot.seed))
        for fault in plot.faults:
            await cluster.until_sent(cluster.stage.pushes + fault.after)
            await KINDS[fault.kind](scene, fault)
        await cluster.finish()
    return await cluster.prove()
