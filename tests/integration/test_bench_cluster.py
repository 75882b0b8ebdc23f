"""`stentor bench cluster` and `scaling`: small campaigns over real servers, with every figure there and adding up."""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]  # has no annotations
import nats
import pytest

from stentor.testing.nats import RunningNats
from tests.integration.processes import bench

RECIPIENTS = 5_001
ROLES = {"planner", "sender", "recorder", "scheduler", "watch"}


@pytest.mark.timeout(240)
def test_every_figure_is_there_and_they_add_up() -> None:
    # Not pytest's folder: for root, PostgreSQL runs as another user, whom other pytests may shut out of that meanwhile.
    with tempfile.TemporaryDirectory() as folder:
        found = bench("cluster", "--recipients", str(RECIPIENTS), "--senders", "1", TMPDIR=folder)
        assert list(Path(folder).glob("stentor-bench-*")) == []
    cluster, embedded = found["cluster"], found["embedded"]
    for path in (cluster, embedded):
        assert path["accepted"] == RECIPIENTS
        assert path["failed"] == 0
        assert path["exact"], path["problems"]
        assert path["cpu_us"] == pytest.approx(sum(path["stages"].values()), abs=0.2)
        assert path["cpu_us"] == pytest.approx(sum(path["roles"].values()), abs=0.2)
        assert 0 < path["first_push_seconds"] < path["seconds"] + 0.1
    # The scheduler starts last, and so small a campaign may be over by then.
    assert set(cluster["roles"]) == {each["role"] for each in cluster["processes"]}
    assert set(cluster["roles"]) | {"scheduler"} == ROLES
    assert set(embedded["roles"]) == {"planner", "sender", "watch"}
    for stage in ("planner.read", "planner.put", "sender.take", "sender.encode", "recorder.take", "recorder.write"):
        assert cluster["stages"][stage] > 0, stage
    assert found["ratio"] == pytest.approx(cluster["cpu_us"] / embedded["cpu_us"], abs=0.01)
    assert (found["nodes"], found["replicas"]) == (1, 1)
    assert found["batches"] >= RECIPIENTS / 1000
    queue, store = found["servers"]["nats"], found["servers"]["postgresql"]
    # Each batch is put, asked for, taken and acked, and its outcomes are; and each address is carried twice.
    assert queue["messages_a_batch"]["in"] > 6
    assert queue["messages_a_batch"]["out"] > 6
    assert queue["bytes_a_recipient"]["in"] > 100
    assert queue["bytes_a_recipient"]["out"] > 100
    assert queue["most_stored_mb"] > 0
    assert queue["peak_mb"] > 1
    assert queue["cpu_us"] > 0
    assert set(store["statements"]) == {"writes", "reads", "commits"}
    assert all(store["statements"].values())
    assert store["writes_a_batch"] == pytest.approx(store["statements"]["writes"] / found["batches"], abs=0.01)
    assert store["wal_bytes_a_recipient"] > 0
    assert store["table_bytes_a_recipient"] > 0
    assert store["peak_mb"] > 1


@pytest.mark.timeout(240)
async def test_servers_of_others_are_left_as_they_were(nats_server: RunningNats, postgres: str) -> None:
    found = bench("cluster", "--recipients", "2000", "--nats", nats_server.url, "--database", postgres)
    assert found["cluster"]["exact"], found["cluster"]["problems"]
    assert found["nodes"] is None
    assert found["servers"]["nats"]["cpu_us"] is None  # whoever runs them knows
    assert found["servers"]["postgresql"]["statements"] is None
    assert found["servers"]["postgresql"]["wal_bytes_a_recipient"] > 0
    client = await nats.connect(nats_server.url)
    connection = await asyncpg.connect(postgres)
    try:
        streams = [each.config.name or "" for each in await client.jetstream().streams_info()]
        schemas = await connection.fetch("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'stentor%'")
    finally:
        await connection.close()
        await client.close()
    assert [name for name in streams if "bench" in name] == []
    assert schemas == []


@pytest.mark.timeout(240)
def test_scaling_compares_each_number_of_senders_with_the_first() -> None:
    found = bench("scaling", "--senders", "1,2", "--seconds", "3")
    assert [row["senders"] for row in found["rows"]] == [1, 2]
    first, second = found["rows"]
    for row in (first, second):
        assert row["exact"], row["problems"]
        # As long as was asked for, or longer by itself where too little of it was seen.
        assert row["recipients"] / (row["senders"] * found["held_to"] * 3) in {1, 2, 4}
        assert row["rate_a_sender"] == pytest.approx(row["rate"] / row["senders"], abs=1)
        assert 0 < row["rate_a_sender"] < found["held_to"] * 1.1  # what one connection's streams allow
    assert first["linearity"] == 1.0
    assert second["linearity"] == pytest.approx(second["rate_a_sender"] / first["rate_a_sender"], abs=0.01)


def test_a_nats_that_is_not_there_is_told_without_its_password() -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    run = subprocess.run(
        [sys.executable, "-m", "stentor.cli", "bench", "cluster", "--nats", f"nats://me:hidden@127.0.0.1:{port}"],
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert run.returncode == 1
    assert "cannot be reached" in " ".join(run.stderr.split())
    assert "hidden" not in run.stdout + run.stderr
