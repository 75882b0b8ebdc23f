"""`stentor bench cluster`: the campaign of `stentor bench campaign` over NATS JetStream and PostgreSQL, by role.

What it is compared with is measured in the same run: the same campaign on SQLite alone. The servers are looked at a few
times a second from beside, so what they cost and store is known for just the time from the start to the last outcome.
"""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import Any

import asyncpg  # type: ignore[import-untyped]  # has no annotations
import uvloop
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError

from stentor.bench import campaign
from stentor.bench.journey import Measured
from stentor.bench.servers import NatsServers, PostgresServer, Traffic, nats_servers, postgres_server
from stentor.config import QueueConfig
from stentor.counted import counted
from stentor.errors import InvalidConfiguration
from stentor.queue.nats import Nats
from stentor.queue.streams import Streams
from stentor.store.tables import batches as table

INTERVAL = 0.2
"""Seconds between two looks at the servers."""
REPLICAS = 3
"""Of each stream in a cluster."""


def run(
    recipients: int,
    nodes: int,
    senders: int,
    servers: tuple[str | None, str | None],
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Measure both paths; `say` is told what is being measured.

    Args:
        recipients: installations in the audience.
        nodes: NATS servers to start.
        senders: sender processes; 0: one a core.
        servers: the URLs of a NATS and of a PostgreSQL to use; None: one is started for this.

    Returns: a JSON object, described in `bench/README.md`.

    Raises:
        InvalidConfiguration: a server's wheel isn't installed, or one that was named can't be used.
        QueueUnavailable: the NATS that was named can't be reached.
    """
    sections = {"sending": {"senders": senders}}
    with ExitStack() as stack:
        place = stack.enter_context(ClusterServers.found(nodes, servers))
        say(f"embedded: making {counted(recipients, 'installation')} in SQLite")
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stentor-bench-")))
        store, audience = stack.enter_context(campaign.sqlite(folder, recipients))
        say("embedded: sending")
        embedded = campaign.figures(recipients, *campaign.send(store, audience, **sections))
        say(f"cluster: making {counted(recipients, 'installation')} in PostgreSQL")
        store, audience = stack.enter_context(campaign.postgresql(place.database, recipients))
        queue = stack.enter_context(place.queue())
        say("cluster: sending")
        watcher = Watcher(place)
        with watcher:
            sent, simulators = campaign.send(store, audience, queue=queue, **sections)
        batches, stored = uvloop.run(_sizes(store))
        cluster = campaign.figures(recipients, sent, simulators)
        cost = place.cost(watcher, sent, recipients, batches)
    cost["postgresql"]["table_bytes_a_recipient"] = round(stored / recipients, 1)
    return {
        "recipients": recipients,
        "nodes": nodes if place.nats_servers else None,
        "replicas": queue["replicas"],
        "batches": batches,
        "ratio": round(cluster["cpu_us"] / embedded["cpu_us"], 3),
        "cluster": {"roles": by_role(cluster["stages"]), **cluster},
        "embedded": {"roles": by_role(embedded["stages"]), **embedded},
        "servers": cost,
    }


def by_role(stages: Mapping[str, float]) -> dict[str, float]:
    """µs a recipient by role, from those by `role.stage`."""
    found: dict[str, float] = {}
    for stage, cpu in stages.items():
        role = stage.partition(".")[0]
        found[role] = round(found.get(role, 0.0) + cpu, 2)
    return found


@dataclass(frozen=True, slots=True)
class ClusterServers:
    """Where a campaign is sent: a NATS and a PostgreSQL, and whether they are ours to look into."""

    nats: str = field(repr=False)
    database: str = field(repr=False)
    nodes: int
    nats_servers: NatsServers | None
    """None where they are somebody else's."""
    postgres_server: PostgresServer | None

    @classmethod
    @contextmanager
    def found(cls, nodes: int, servers: tuple[str | None, str | None]) -> Iterator[ClusterServers]:
        """Those servers that are given, and for the rest some that run as long as this context lasts.

        Raises: InvalidConfiguration, QueueUnavailable: they can't be used.
        """
        nats_url, database = servers
        if database is not None and not database.startswith("postgresql://"):
            raise InvalidConfiguration("--database must be postgresql://user:password@host/database")
        if nats_url is not None:
            if not nats_url.startswith(("nats://", "tls://")):
                raise InvalidConfiguration("--nats must be nats://host:4222, or tls://…")
            uvloop.run(_check(nats_url))
        with ExitStack() as stack:
            started = None if nats_url is not None else stack.enter_context(nats_servers(nodes))
            postgres = None if database is not None else stack.enter_context(postgres_server())
            yield cls(
                nats=nats_url or (started.url if started else ""),
                database=database or (postgres.url if postgres else ""),
                nodes=nodes,
                nats_servers=started,
                postgres_server=postgres,
            )

    @contextmanager
    def queue(self) -> Iterator[dict[str, Any]]:
        """Settings of a queue whose streams are gone at the end."""
        name = f"bench_{secrets.token_hex(4)}"
        try:
            yield {"url": self.nats, "name": name, "replicas": REPLICAS if self.nodes > 1 else 1}
        finally:
            uvloop.run(_delete_streams(self.nats, name))

    def cost(self, watcher: Watcher, sent: Measured, recipients: int, batches: int) -> dict[str, dict[str, Any]]:
        """What the servers did from the campaign's start to its end; null for what only servers of ours tell."""
        first, last = watcher.around(sent.started_at, sent.finished_at)
        queue: dict[str, Any] = dict.fromkeys(
            ("cpu_us", "peak_mb", "messages_a_batch", "bytes_a_recipient", "most_stored_mb")
        )
        store: dict[str, Any] = dict.fromkeys(("cpu_us", "peak_mb", "statements", "writes_a_batch"))
        if self.nats_servers is not None and first.traffic and last.traffic:
            queue |= {
                "cpu_us": round((last.nats_cpu - first.nats_cpu) / recipients * 1e6, 2),
                "peak_mb": round(watcher.nats_peak_mb, 1),
                "messages_a_batch": {
                    "in": round((last.traffic.messages_in - first.traffic.messages_in) / batches, 1),
                    "out": round((last.traffic.messages_out - first.traffic.messages_out) / batches, 1),
                },
                "bytes_a_recipient": {
                    "in": round((last.traffic.bytes_in - first.traffic.bytes_in) / recipients, 1),
                    "out": round((last.traffic.bytes_out - first.traffic.bytes_out) / recipients, 1),
                },
                "most_stored_mb": round(max(each.stored for each in watcher.samples) / 2**20, 1),
            }
        if self.postgres_server is not None:
            statements = self.postgres_server.statements(sent.started_at, sent.finished_at)
            store |= {
                "cpu_us": round((last.postgres_cpu - first.postgres_cpu) / recipients * 1e6, 2),
                "peak_mb": round(watcher.postgres_peak_mb, 1),
                "statements": dict(statements),
                "writes_a_batch": round(statements["writes"] / batches, 3),
            }
        store["wal_bytes_a_recipient"] = round((last.wal - first.wal) / recipients, 1)
        return {"nats": queue, "postgresql": store}


@dataclass(frozen=True, slots=True)
class Sample:
    """The servers at one moment."""

    at: float
    """Epoch seconds."""
    nats_cpu: float
    """Seconds so far; 0 where the servers aren't ours, as `postgres_cpu`."""
    postgres_cpu: float
    traffic: Traffic | None
    stored: int
    """Bytes in JetStream's files on the node that has most."""
    wal: int
    """Bytes that PostgreSQL has written to its log so far."""


class Watcher:
    """Looks at the servers from a thread of its own while its context lasts."""

    def __init__(self, place: ClusterServers) -> None:
        self.samples: list[Sample] = []
        self.nats_peak_mb = 0.0
        self.postgres_peak_mb = 0.0
        self._place = place
        self._enough = Event()
        self._begun = Event()
        self._thread = Thread(target=lambda: uvloop.run(self._watch()), name="bench watcher")

    def __repr__(self) -> str:
        return f"<Watcher, {len(self.samples)} samples>"

    def __enter__(self) -> None:
        self._thread.start()
        self._begun.wait()

    def __exit__(self, *_error: object) -> None:
        self._enough.set()
        self._thread.join()

    def around(self, begin: float, end: float) -> tuple[Sample, Sample]:
        """The last sample before a time and the first one after it. Raises: RuntimeError: it could not look."""
        if not self.samples:
            raise RuntimeError("the servers could not be looked at")
        before = [sample for sample in self.samples if sample.at <= begin]
        after = [sample for sample in self.samples if sample.at >= end]
        return (before or self.samples)[-1 if before else 0], (after or self.samples)[0 if after else -1]

    async def _watch(self) -> None:
        connection = None
        try:
            connection = await asyncpg.connect(self._place.database)
            while True:
                enough = self._enough.is_set()  # one more look after the end
                self.samples.append(await self._look(connection))
                self._begun.set()
                if enough:
                    break
                self._enough.wait(INTERVAL)
        finally:
            self._begun.set()
            if connection is not None:
                await connection.close()

    async def _look(self, connection: asyncpg.Connection) -> Sample:
        at, wal = await connection.fetchrow(
            "SELECT extract(epoch FROM clock_timestamp())::float8, (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint"
        )
        servers, postgres = self._place.nats_servers, self._place.postgres_server
        if servers is not None:
            self.nats_peak_mb = servers.peak_mb
        if postgres is not None:  # its processes end with the connections that they are for
            self.postgres_peak_mb = max(self.postgres_peak_mb, postgres.peak_mb)
        return Sample(
            at=at,
            nats_cpu=servers.cpu_seconds if servers else 0.0,
            postgres_cpu=postgres.cpu_seconds if postgres else 0.0,
            traffic=servers.traffic if servers else None,
            stored=servers.stored if servers else 0,
            wal=wal,
        )


async def _sizes(store: str) -> tuple[int, int]:
    """How many batches there are, and how many bytes the store's tables and indices have for them."""
    connection = await asyncpg.connect(store)
    try:
        batches = await connection.fetchval(f"SELECT count(*) FROM {table.name}")
        stored = await connection.fetchval("SELECT pg_total_relation_size($1::regclass)", table.name)
        return batches, stored
    finally:
        await connection.close()


@asynccontextmanager
async def _connected(url: str, name: str) -> AsyncIterator[tuple[JetStreamContext, Streams]]:
    """Raises: QueueUnavailable, InvalidConfiguration."""
    nats = Nats(QueueConfig(url=url, name=name))
    try:
        async with nats.trouble():
            yield await nats.jetstream(), Streams(nats, name, 1)
    finally:
        await nats.aclose()


async def _check(url: str) -> None:
    async with _connected(url, "bench"):
        return


async def _delete_streams(url: str, name: str) -> None:
    async with _connected(url, name) as (jetstream, streams):
        for stream in (streams.batches, streams.plan, streams.outcomes, streams.dead, f"KV_{streams.notes}"):
            with suppress(NotFoundError):
                await jetstream.delete_stream(stream)
