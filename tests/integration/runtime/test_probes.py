"""The pages of real processes: probes, metrics that agree with the report, and one address for all of a machine."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sqlite3
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from stentor.audience.contract import Selection
from stentor.bench.processes import simulator
from stentor.cli import stage
from stentor.config import Config, QueueConfig, StoreConfig, dump
from stentor.errors import InvalidConfiguration
from stentor.model import Message
from stentor.planning.content import Content
from stentor.runtime.draft import Draft
from stentor.runtime.health import ProbeResult
from stentor.runtime.plain_http import get
from stentor.runtime.stentor import Stentor
from stentor.runtime.supervisor import Supervisor
from stentor.store.database import Database
from stentor.store.migrate import migrate
from stentor.testing.nats import RunningNats, run_nats
from stentor.testing.postgres import Postgres, run_postgres
from tests.integration.processes import complaint
from tests.integration.runtime.rehearsal import AUDIENCE, Facts, rehearse

LOOPBACK = "127.0.0.1:0"
WORKER = (sys.executable, "-m", "stentor.runtime.process")
NEWS = Content(message=Message(title="News", ttl=3600))
IOS, ANDROID = "apns/ios", "fcm/android"


@dataclass(slots=True)
class Running:
    """A role's process."""

    process: asyncio.subprocess.Process
    address: str

    async def finding(self, path: str) -> ProbeResult:
        return await finding(self.address, path)

    async def numbers(self) -> dict[str, float]:
        return await numbers(self.address)


async def finding(address: str, path: str) -> ProbeResult:
    """What a probe is told there; its status and its word must agree."""
    response = await get(address, path)
    found = msgspec.json.decode(response.body, type=ProbeResult)
    assert response.status == (200 if found.ok else 503)
    return found


async def numbers(address: str) -> dict[str, float]:
    """Value by metric and labels, as Prometheus writes them."""
    page = await get(address, "/metrics")
    assert page.status == 200
    return {
        f"{sample.name}{{{','.join(f'{name}={value}' for name, value in sorted(sample.labels.items()))}}}": sample.value
        for family in text_string_to_metric_families(page.body.decode())
        for sample in family.samples
    }


@asynccontextmanager
async def role(name: str, config: Config) -> AsyncIterator[Running]:
    process = await asyncio.create_subprocess_exec(
        *(*WORKER, name, "--listen", LOOPBACK),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(dump(config) + b"\n")
        yield Running(process, json.loads(await process.stdout.readline())["listening"])
        process.stdin.close()
        closing = json.loads(await process.stdout.read())
        assert closing["role"] == name
        assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def until(is_so: Callable[[], Awaitable[bool]]) -> None:
    while not await is_so():  # noqa: ASYNC110 - what another process does sets no event
        await asyncio.sleep(0.02)


async def make_store(url: str) -> Config:
    database = Database.open(url)
    await migrate(database)
    await database.aclose()
    return Config(store=StoreConfig(url=url))


# -- one role ---------------------------------------------------------------------------------------------------------


async def test_a_planner_with_nothing_to_do(tmp_path: Path) -> None:
    config = await make_store(f"sqlite:///{tmp_path}/stentor.db")
    async with role("planner", config) as planner:

        async def is_ready() -> bool:
            return (await planner.finding("/readyz")).ok

        await until(is_ready)
        alive = await planner.finding("/healthz")
        assert alive.ok
        assert set(alive.loops or {}) == {"desk", "plan"}
        found = await planner.numbers()
        assert found["stentor_queue_tasks{lane=plan,state=ready}"] == 0
        assert found["stentor_plan_steps_total{}"] == 0
        assert found["stentor_dead_letters{lane=plan}"] == 0
        assert found["stentor_cpu_seconds_total{role=planner,stage=steps}"] > 0
        assert all(name.startswith(("stentor_", "process_")) for name in found)
        assert (await get(planner.address, "/")).status == 404


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[Postgres]:
    """A server that nobody else misses while it is stopped."""
    with run_postgres() as server:
        yield server


@pytest.fixture(scope="module")
def own_nats() -> Iterator[RunningNats]:
    """As `own_postgres`."""
    with run_nats() as server:
        yield server


async def test_a_role_without_its_database_is_alive_and_not_ready(own_postgres: Postgres) -> None:
    async with own_postgres.database() as url:
        config = await make_store(url)
        async with role("planner", config) as planner:

            async def is_ready() -> bool:
                return (await planner.finding("/readyz")).ok

            async def is_not_ready() -> bool:
                return not await is_ready()

            await until(is_ready)
            await asyncio.to_thread(own_postgres.stop)
            await until(is_not_ready)
            assert "the store was last reached" in (await planner.finding("/readyz")).problems[0]
            assert (await planner.finding("/healthz")).ok
            found = await planner.numbers()
            assert found["stentor_store_look_age_seconds{}"] > 1
            assert not any(name.startswith("stentor_queue_tasks") for name in found)
            await asyncio.to_thread(own_postgres.start)
            await until(is_ready)


@pytest.mark.parametrize("name", ["planner", "recorder", "scheduler"])
async def test_a_role_without_its_queue_is_alive_and_not_ready(
    name: str, own_nats: RunningNats, own_postgres: Postgres
) -> None:
    async with own_postgres.database() as url, own_nats.queue_name() as queue:
        config = await make_store(url)
        config = config.model_copy(update={"queue": QueueConfig(url=own_nats.url, name=queue)})
        async with role(name, config) as found:

            async def is_ready() -> bool:
                return (await found.finding("/readyz")).ok

            async def is_not_ready() -> bool:
                return not await is_ready()

            await until(is_ready)
            await asyncio.to_thread(own_nats.stop)
            await until(is_not_ready)
            assert (
                f"{own_nats.url.rpartition('/')[2]} cannot be reached" in (await found.finding("/readyz")).problems[0]
            )
            assert (await found.finding("/healthz")).ok
            assert not any(name.startswith("stentor_queue_tasks") for name in await found.numbers())
            await asyncio.to_thread(own_nats.start)
            await until(is_ready)


async def test_a_port_in_use_is_said_in_a_line(tmp_path: Path) -> None:
    config = await make_store(f"sqlite:///{tmp_path}/stentor.db")
    with socket.create_server(("127.0.0.1", 0)) as other:
        listen = f"127.0.0.1:{other.getsockname()[1]}"
        said = await asyncio.to_thread(complaint, config, "planner", "--listen", listen)
    assert "another program listens there; stop that one, or choose another port" in said


# -- a campaign -------------------------------------------------------------------------------------------------------


def provider(stack: ExitStack, name: str, file: Path, **faults: Any) -> Mapping[str, Any]:
    """A simulated one with these faults."""
    file.write_text(json.dumps(faults))
    return stack.enter_context(simulator(name, "--faults", str(file)))[0]


def secrets_of(folder: Path, facts: Facts) -> list[str]:
    """The phones' tokens, and the lines of the keys."""
    database = sqlite3.connect(folder / stage.DATABASE)
    try:
        tokens = [token for (token,) in database.execute("SELECT token FROM devices")]
    finally:
        database.close()
    account = json.loads(Path(facts["fcm"]["service_account_file"]).read_text())
    key = Path(facts["apns"]["key_file"]).read_text() + account["private_key"]
    return tokens + [line for line in key.splitlines() if len(line) > 20]


@pytest.fixture
def faulty(tmp_path: Path) -> Iterator[Facts]:
    """Providers to whom some phones are unknown, and who refuse some requests."""
    with ExitStack() as stack:
        faults = {"devices": {"unregistered": 0.2}, "reset": {"refused": 0.1}}
        yield {name: provider(stack, name, tmp_path / "faults.json", **faults) for name in ("apns", "fcm")}


async def test_metrics_agree_with_the_report(tmp_path: Path, faulty: Facts) -> None:
    config = rehearse(tmp_path, faulty, 400)
    async with Stentor(config) as stentor:
        campaign = await stentor.campaigns.send(Draft(NEWS, Selection(source=AUDIENCE)))
        async with Supervisor(config, ["planner", "sender"], listen=LOOPBACK) as supervisor:
            assert supervisor.address is not None

            async def is_done() -> bool:
                progress = await stentor.outcomes.progress(campaign.id)
                return bool(progress.state == "completed" and not progress.total.pending)

            await until(is_done)
            assert (await finding(supervisor.address, "/healthz")).ok
            assert (await finding(supervisor.address, "/readyz")).ok
            found = await numbers(supervisor.address)
            pages = [
                (await get(supervisor.address, path)).body.decode() for path in ("/healthz", "/readyz", "/metrics")
            ]
        report = await stentor.outcomes.report(campaign.id)

    assert report.total.read == 400
    assert report.total.rejected > 20
    for lane, counts in report.lanes.items():
        sender = f"lane={lane},process=sender-1"
        rejected = {
            name: value
            for name, value in found.items()
            if name.startswith(f"stentor_recipients_rejected_total{{{sender}")
        }
        assert found[f"stentor_recipients_planned_total{{lane={lane},process=planner-1}}"] == counts.read == 200
        assert found[f"stentor_recipients_accepted_total{{{sender}}}"] == counts.accepted
        assert sum(rejected.values()) == counts.rejected
        assert {name.rpartition("=")[2].rstrip("}") for name in rejected} == {
            each.reason for each in report.reasons[lane]
        }
        retried = found[f"stentor_recipients_retried_total{{{sender}}}"]
        assert 200 <= found[f"stentor_recipients_sent_total{{{sender}}}"] >= 200 + retried
        for outcome in ("accepted", "rejected"):
            recorded = f"stentor_recipients_recorded_total{{lane={lane},outcome={outcome},process=sender-1}}"
            assert found[recorded] == getattr(counts, outcome)
        assert found[f"stentor_batches_held{{{sender}}}"] == found[f"stentor_streams{{{sender}}}"] == 0
        assert found[f"stentor_connections{{{sender}}}"] >= 1
        assert found[f"stentor_lane_closed{{{sender}}}"] == found[f"stentor_lane_problem{{{sender}}}"] == 0
    assert found["stentor_plan_steps_total{process=planner-1}"] >= 1
    assert found["stentor_record_commits_total{process=sender-1}"] >= 1
    assert found["stentor_record_waiting{process=sender-1}"] == 0
    assert found["stentor_record_seconds_count{process=sender-1}"] >= 2
    assert found["stentor_processes{process=supervisor,role=sender}"] == 1
    assert found["process_resident_memory_bytes{process=planner-1}"] > 0
    for secret in [*secrets_of(tmp_path, faulty), campaign.id]:
        assert not any(secret in page for page in pages)


async def test_a_sender_that_is_stopping_says_so(tmp_path: Path, facts: Facts) -> None:
    with ExitStack() as stack:
        slow = provider(stack, "apns", tmp_path / "faults.json", latency={"median_s": 4, "p99_s": 4})
        config = rehearse(tmp_path, {**facts, "apns": slow}, phones=1)
        async with Stentor(config) as stentor:
            await stentor.campaigns.send(Draft(NEWS, Selection(source=AUDIENCE)))
        async with role("planner", config), role("sender", config) as sender:

            async def is_sending() -> bool:
                return (await sender.numbers())[f"stentor_streams{{lane={IOS}}}"] > 0

            async def is_stopping() -> bool:
                return (await sender.finding("/readyz")).problems == ["stopping"]

            await until(is_sending)
            sender.process.terminate()
            await until(is_stopping)
            assert (await sender.finding("/healthz")).ok


# -- a machine --------------------------------------------------------------------------------------------------------


async def test_a_worker_that_died_is_counted_and_its_new_port_is_found(tmp_path: Path) -> None:
    config = await make_store(f"sqlite:///{tmp_path}/stentor.db")
    async with Supervisor(config, ["planner"], listen="[::1]:0") as supervisor:
        address = supervisor.address
        assert address is not None

        async def is_ready() -> bool:
            return (await finding(address, "/readyz")).ok

        await until(is_ready)
        assert (await numbers(address))["stentor_restarts_total{process=supervisor,role=planner}"] == 0
        (worker,) = supervisor._workers
        before = worker.address
        (pid,) = supervisor.processes
        os.kill(pid, signal.SIGKILL)

        async def is_dead() -> bool:
            return (await finding(address, "/healthz")).problems == ["planner-1: it is not running"]

        await until(is_dead)
        assert (await finding(address, "/readyz")).problems == ["planner-1: it is not running"]
        await until(is_ready)
        assert worker.address not in (None, before)
        found = await numbers(address)
        assert found["stentor_restarts_total{process=supervisor,role=planner}"] == 1
        assert found["stentor_plan_steps_total{process=planner-1}"] == 0
        assert (await finding(address, "/healthz")).ok
    assert [closing.role for closing in supervisor.closings] == ["planner"]


async def test_a_worker_that_does_not_answer_is_not_alive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And another one of its role can still do the work."""
    monkeypatch.setattr("stentor.runtime.supervisor.ANSWER_WITHIN", 1.0)
    config = await make_store(f"sqlite:///{tmp_path}/stentor.db")
    async with Supervisor(config, ["planner", "planner"], listen=LOOPBACK) as supervisor:
        address = supervisor.address
        assert address is not None

        async def are_ready() -> bool:
            found = await finding(address, "/readyz")
            return found.ok and not found.notes

        await until(are_ready)
        held = supervisor._workers[1].process
        assert held is not None

        async def is_silent() -> bool:
            return (await finding(address, "/healthz")).problems == ["planner-2: it does not answer"]

        os.kill(held.pid, signal.SIGSTOP)
        try:
            await until(is_silent)  # until the signal has arrived, it goes on answering
            ready = await finding(address, "/readyz")
            assert (ready.ok, ready.notes) == (True, ["planner-2: it does not answer"])
            found = await numbers(address)
            assert {name.rpartition("process=")[2].split(",")[0].rstrip("}") for name in found} == {
                "supervisor",
                "planner-1",
            }
        finally:
            os.kill(held.pid, signal.SIGCONT)


async def test_a_supervisor_that_is_stopping_says_so(tmp_path: Path) -> None:
    config = await make_store(f"sqlite:///{tmp_path}/stentor.db")
    async with Supervisor(config, ["planner"], listen=LOOPBACK) as supervisor:
        stopping = asyncio.ensure_future(supervisor.stop())
        await asyncio.sleep(0)
        assert (await supervisor.ready()).problems == ["stopping"]
        assert (await supervisor.alive()).ok
        await stopping


async def test_where_a_supervisor_cannot_listen_nothing_is_started(tmp_path: Path) -> None:
    config = await make_store(f"sqlite:///{tmp_path}/stentor.db")
    with socket.create_server(("127.0.0.1", 0)) as other:
        found = Supervisor(config, ["planner"], listen=f"127.0.0.1:{other.getsockname()[1]}")
        with pytest.raises(InvalidConfiguration, match="another program listens there"):
            await found.__aenter__()
    assert found.processes == {}
