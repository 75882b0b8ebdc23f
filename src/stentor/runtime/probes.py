"""The pages that a role's process answers: `/healthz` and `/readyz` by its health, `/metrics` beside them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

from stentor.pipeline import Ports
from stentor.queue.contract import PLAN
from stentor.runtime.health import Health, Lookup, ProbeResult
from stentor.runtime.plain_http import PlainPage, listening
from stentor.store import migrate
from stentor.store.database import Database
from stentor.store.letters import letters_by_lane

SCHEMA_LASTS = 10.0
"""Seconds for which it counts that the store's tables were as they must be."""
DEPTHS_LAST = 5.0
"""Seconds for which the queue's depths, and the numbers of dead letters, count: to count them is work for queue and
store, and every planner is asked for them."""
COUNTS_QUEUE = frozenset({"planner", "scheduler"})
"""The roles whose metrics have them; what everybody exports, everybody must ask for."""


def pages(
    alive: Callable[[], Awaitable[ProbeResult]],
    ready: Callable[[], Awaitable[ProbeResult]],
    metrics: Callable[[], Awaitable[PlainPage]],
) -> Callable[[str], Awaitable[PlainPage | None]]:
    """The three pages, for `listening`."""

    async def answer(path: str) -> PlainPage | None:
        if path == "/healthz":
            return (await alive()).response
        if path == "/readyz":
            return (await ready()).response
        return await metrics() if path == "/metrics" else None

    return answer


@asynccontextmanager
async def watched(
    role: str,
    ports: Ports,
    stop: asyncio.Event,
    listen: str | None,
    tell: Callable[[str | None], None],
    doubts: Sequence[Callable[[], str | None]] = (),
) -> AsyncIterator[None]:
    """Have the role that works in this context answer probes at `listen`; not at all where that is None.

    Args:
        listen: `HOST:PORT`; with port 0 the system chooses.
        tell: told where it listens, or None, as soon as the role can work.
        doubts: see `Health`.

    Raises: InvalidConfiguration: it cannot listen there.
    """
    if listen is None:
        tell(None)
        yield
        return
    from stentor.runtime.metrics import RoleMetrics  # noqa: PLC0415 - who isn't asked needs no library for it

    schema = Lookup(lambda: migrate.check(ports.database), SCHEMA_LASTS)
    lanes = (PLAN, *ports.lanes)
    depths = Lookup(lambda: ports.queue.depths(lanes), DEPTHS_LAST) if role in COUNTS_QUEUE else None
    letters = Lookup(lambda: _letters(ports.database, lanes), DEPTHS_LAST) if role in COUNTS_QUEUE else None
    health = Health(role, ports.stages, ports.desk, stop, schema, doubts)
    metrics = RoleMetrics(role, ports.stages, ports.meter, ports.desk, depths, letters)

    async def alive() -> ProbeResult:
        return health.alive()

    try:
        async with listening(listen, pages(alive, health.ready, metrics.page)) as address:
            tell(address)
            yield
    finally:
        await schema.aclose()
        for lookup in (depths, letters):
            if lookup is not None:
                await lookup.aclose()


async def _letters(database: Database, lanes: Sequence[str]) -> Mapping[str, int]:
    """How many dead letters each of these lanes has, and each other that has any."""
    return dict.fromkeys(lanes, 0) | await database.ask(letters_by_lane)
