"""The commands of a cluster as processes, on both queues: from `send --detach` to a graceful end."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from stentor.config import load
from stentor.runtime.plain_http import get
from stentor.store.database import Database
from stentor.store.migrate import migrate
from stentor.testing.nats import run_nats
from stentor.testing.postgres import Postgres
from tests.integration.cli.commands import Cluster
from tests.integration.runtime.rehearsal import AUDIENCE, Facts, providers, write

pytestmark = pytest.mark.timeout(240)  # each starts several processes, which load all they need
PHONES = 40
SEND = ("send", "--title", "Hello", "--audience", AUDIENCE, "--detach", "--yes", "--json")


@pytest.fixture(scope="module")
def facts() -> Iterator[Facts]:
    with providers() as found:
        yield found


async def send(cluster: Cluster) -> None:
    """Start a campaign, and look on until all got it."""
    started = await cluster.json(*SEND)
    assert started["state"] == "running"
    found = await cluster.json("campaign", "watch", started["id"], "--json")
    assert (found["campaign"]["state"], found["accepted"], found["failed"]) == ("completed", PHONES, 0)


async def processes(cluster: Cluster, *wanted: str) -> list[tuple[str, int, list[str]]]:
    """Role, process id and lanes of those that have shown themselves, as soon as these roles are among them."""
    while True:  # each look is a process of its own, which takes its time
        found = (await cluster.json("roles", "--json"))["processes"]
        if not Counter(wanted) - Counter(each["role"] for each in found):
            return [(each["role"], each["pid"], each["lanes"]) for each in found]


async def test_serve(tmp_path: Path, facts: Facts) -> None:
    cluster = Cluster(write(tmp_path, facts, PHONES))
    async with cluster.running("serve", "--listen", "127.0.0.1:0") as served:
        pids = {}
        for role in ("planner", "sender"):
            pids[role] = int((await served.until(rf"INFO {role}-1 runs as process (\d+)"))[1])
        address = (await served.until(r"answering probes on http://(\S+)"))[1]
        await served.until(r"INFO scheduler-1 runs as process \d+")
        await send(cluster)
        assert (await get(address, "/readyz")).status == 200
        running = await processes(cluster, "planner", "sender", "scheduler")
        assert {role: pid for role, pid, _ in running if role in pids} == pids

        os.kill(pids["planner"], signal.SIGKILL)
        await served.until("WARNING planner-1 ended with signal SIGKILL")
        await served.until(r"INFO planner-1 runs as process \d+")
        assert await served.stop() == 0
        assert served.log[-1].endswith("INFO all have stopped")
    [(_, pid, _)] = await processes(cluster)
    assert pid == pids["planner"], "one that was killed couldn't take leave"


async def test_workers_on_jetstream_and_postgresql(
    tmp_path: Path, facts: Facts, postgres: str, nats_url: str, queue_name: str
) -> None:
    queue = {"STENTOR_QUEUE__URL": nats_url, "STENTOR_QUEUE__NAME": queue_name}
    cluster = Cluster(write(tmp_path, facts, PHONES), STENTOR_STORE__URL=postgres, **queue)
    await make_tables(postgres)
    async with (
        cluster.running("worker", "planner", "--concurrency", "2") as planner,
        cluster.running("worker", "sender", "--lane", "apns/ios", "--concurrency", "2") as ios,
        cluster.running("worker", "sender", "--lane", "fcm/android", "--listen", "127.0.0.1:0") as android,
        cluster.running("worker", "recorder") as recorder,
        cluster.running("worker", "scheduler") as scheduler,
    ):
        await send(cluster)
        drained = await cluster.json("drain", "--json", "--timeout", "30")
        running = await processes(cluster, "planner", "recorder", "scheduler", "sender", "sender")
        assert sorted(lanes for role, _, lanes in running if role == "sender") == [["apns/ios"], ["fcm/android"]]
        assert drained == {"drained": True, "campaigns": {}, "recipients": 0, "batches": 0, "unrecorded": 0}
        address = (await android.until(r"answering probes on http://(\S+)"))[1]
        assert b'lane="fcm/android"' in (page := (await get(address, "/metrics")).body)
        assert b'lane="apns/ios"' not in page, "it sends on one lane alone"
        for each in (planner, ios, android, recorder, scheduler):
            assert await each.stop() == 0
            assert each.log[-1].endswith("has stopped")
    assert await processes(cluster) == [], "each took leave"


async def make_tables(url: str) -> None:
    database = Database.open(url)
    try:
        await migrate(database)
    finally:
        await database.aclose()


async def test_serve_outlives_a_restart_of_postgresql_and_nats(
    tmp_path: Path, facts: Facts, postgres: str, postgres_server: Postgres
) -> None:
    """Also what must be started anew meanwhile is started again and again, until it can work."""
    with run_nats() as nats:
        cluster = Cluster(write(tmp_path, facts, PHONES), STENTOR_STORE__URL=postgres, STENTOR_QUEUE__URL=nats.url)
        async with cluster.running("serve") as served:
            sender = int((await served.until(r"sender-1 runs as process (\d+)"))[1])
            await served.until("recorder-1 runs")
            await asyncio.to_thread(nats.stop)
            await asyncio.to_thread(postgres_server.stop)
            try:
                os.kill(sender, signal.SIGKILL)
                await served.until("sender-1 ended with exit code 75: NATS on .* cannot be reached")
                await served.until("sender-1 runs as process")
            finally:
                await asyncio.to_thread(postgres_server.start)
            await asyncio.to_thread(nats.start)
            await send(cluster)
            served.process.terminate()
            await served.process.communicate()
            assert served.process.returncode == 0


async def test_what_passes_is_1_and_what_must_be_mended_is_2(tmp_path: Path, facts: Facts) -> None:
    """By that systemd knows whether to start it again."""
    file = write(tmp_path, facts, PHONES)
    await make_tables(load(file, {}).store.url)
    away = Cluster(file, STENTOR_STORE__URL="postgresql://stentor@127.0.0.1:1/stentor")
    with run_nats(jetstream=False) as nats:
        useless = Cluster(file, STENTOR_QUEUE__URL=nats.url)
        found = list(
            await asyncio.gather(
                away.run("worker", "planner"),
                Cluster(file).run("worker", "planner", "--listen", "nowhere.invalid:1"),
                useless.run("worker", "sender"),
                useless.run("serve"),
            )
        )
        nats.stop()
        found.append(await useless.run("serve"))
    assert [code for code, _, _ in found] == [1, 2, 2, 2, 1], found
    wanted = ("PostgreSQL", "nowhere.invalid", "has no JetStream", "has no JetStream", "cannot be reached")
    for text, (_, out, err) in zip(wanted, found, strict=True):
        assert text in err
        assert out == ""
        assert "Traceback" not in err
