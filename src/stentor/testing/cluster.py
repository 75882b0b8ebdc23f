"""A cluster on this machine, a campaign through it, and everything that can die dying on the way: `make cluster-demo`.

Three NATS servers with JetStream, a PostgreSQL, two planners, three senders, two recorders, two schedulers and the
simulators, all from wheels, each a process of its own, as they would be on many machines. Rules: the roles are started
by the commands that an operator uses; what is killed is killed with SIGKILL; the simulators' ledgers say whether the
account is right; however it ends, nothing is left running or behind.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]  # has no annotations
import nats as nats_client
import uvloop
from rich.console import Console

from stentor import config
from stentor.audience.contract import Selection
from stentor.bench.processes import simulator
from stentor.cli import stage
from stentor.cli.crowd import Crowd
from stentor.cli.demo import CONTENT, SEED, DemoResult, show
from stentor.cli.live import LiveView, account
from stentor.cli.stage import Facts
from stentor.counted import counted
from stentor.errors import StentorError
from stentor.recording.report import Progress
from stentor.runtime.draft import Draft
from stentor.runtime.stentor import Stentor
from stentor.testing.nats import NatsNode, RunningNats, run_nats
from stentor.testing.postgres import Postgres, run_postgres

ROLES = {"planner": 2, "sender": 3, "recorder": 2, "scheduler": 2}
NAME = "stentor"
RESTARTED_AFTER = 1.0
"""Seconds after which what was killed is started again, as systemd or Kubernetes would."""
SECONDS = 25.0
"""That the budgets let the campaign take at least, so that it isn't over before all that should go wrong has."""
PORTION = 50_000
"""Rows that are copied to PostgreSQL at a time."""
WITHIN = 600.0
"""Seconds after which a campaign that hasn't ended never will."""


Trouble = Callable[[], Awaitable[str]]
"""Makes something go wrong, and tells what."""


@dataclass(slots=True)
class Machines:
    """The roles' processes, which are started again when they die."""

    settings: Path
    _running: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)
    _keepers: list[asyncio.Task[None]] = field(default_factory=list)
    _stopping: bool = False

    async def start(self) -> None:
        for role, many in ROLES.items():
            for number in range(1, many + 1):
                name = f"{role} {number}"
                await self._start(name)
                self._keepers.append(asyncio.create_task(self._keep(name)))

    async def _start(self, name: str) -> None:
        # Where a SIGKILL of this demo would leave them, they end by themselves once PostgreSQL and NATS are gone.
        self._running[name] = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "stentor.cli", "worker", name.partition(" ")[0], "--config", str(self.settings)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=(self.settings.parent / f"{name.replace(' ', '-')}.log").open("ab"),
            start_new_session=True,
        )

    async def _keep(self, name: str) -> None:
        while True:
            await self._running[name].wait()
            if self._stopping:
                return
            await asyncio.sleep(RESTARTED_AFTER)
            await self._start(name)

    def kill_one_of_each(self) -> list[str]:
        """SIGKILL; returns their names."""
        names = [f"{role} 1" for role in ROLES]
        for name in names:
            self._running[name].kill()
        return names

    async def stop(self) -> None:
        self._stopping = True
        for process in self._running.values():
            with suppress(ProcessLookupError):
                process.terminate()
        try:
            async with asyncio.timeout(20):
                await asyncio.gather(*self._keepers)
        finally:
            for keeper in self._keepers:
                keeper.cancel()
            for process in self._running.values():
                if process.returncode is None:
                    process.kill()
                    await process.wait()


@dataclass(slots=True)
class Troubles:
    """What goes wrong, each once, when so much of the campaign is done."""

    view: LiveView
    out: Console
    began: float
    plan: list[tuple[float, Trouble]] = field(default_factory=list)
    """From which part of the campaign on."""
    _doing: asyncio.Task[None] | None = None

    def see(self, progress: Progress) -> None:
        """Look how far it is, and make the next trouble if it is time and the last one is over."""
        self.view.show(progress)
        done = progress.total.settled / max(1, sum(progress.expected.values()))
        if self.plan and done >= self.plan[0][0] and (self._doing is None or self._doing.done()):
            _, make = self.plan.pop(0)
            self._doing = asyncio.create_task(self._make(done, make))

    async def _make(self, done: float, make: Trouble) -> None:
        what = await make()
        self.out.print(f"[bold]{time.monotonic() - self.began:5.1f} s, {done:.0%} done:[/bold] {what}")

    async def over(self) -> None:
        """Returns when the last trouble is over; raises if one could not be made, or there was no time for it."""
        if self._doing is not None:
            await self._doing
        if self.plan:
            raise StentorError("the campaign was over before all that should go wrong had; take more --recipients")


async def perform(
    settings: Path, postgres: Postgres, nats: RunningNats, facts: Mapping[str, Facts], recipients: int, out: Console
) -> DemoResult:
    """Send a campaign through the cluster while parts of it die, and look at what came of it from both sides."""
    machines = Machines(settings)

    async def kill_nats() -> str:
        node = await _leader(nats)
        await asyncio.to_thread(node.kill)
        return f"killed NATS server {node.name}, which led the stream of batches"

    async def kill_roles() -> str:
        return f"killed {', '.join(machines.kill_one_of_each())}"

    async def mend_nats() -> str:
        await asyncio.to_thread(nats.start)
        return "the NATS server is back"

    async def restart_postgres() -> str:
        await asyncio.to_thread(postgres.stop)
        await asyncio.to_thread(postgres.start)
        return "restarted PostgreSQL"

    async with Stentor(config.load(settings, {})) as stentor:
        await machines.start()
        try:
            selection = Selection(source=stage.AUDIENCE)
            preview = await stentor.campaigns.prepare(Draft(CONTENT, selection))
            campaign = await stentor.campaigns.send(Draft(CONTENT, selection), preview=preview)
            with LiveView(out) as view:
                plan: list[tuple[float, Trouble]] = [
                    (0.1, kill_nats),
                    (0.3, kill_roles),
                    (0.5, mend_nats),
                    (0.6, restart_postgres),
                ]
                troubles = Troubles(view, out, time.monotonic(), plan)
                async with asyncio.timeout(WITHIN):
                    report = await stentor.roles.watch(campaign.id, on_progress=troubles.see)
                await troubles.over()
            out.print()
            out.print(account(report))
            audit = await stentor.outcomes.audit(campaign.id)
            failed = [int(row.installation) async for row in stentor.outcomes.failures(campaign.id)]
        finally:
            await machines.stop()
    numbers = frozenset(failed)
    lanes = [await stage.compare(name, facts[name], Crowd(recipients), numbers, campaign.collapse_id) for name in facts]
    return DemoResult(report=report, audit=audit, lanes=lanes, refused=failed[0] if failed else None)


async def _leader(nats: RunningNats) -> NatsNode:
    """The node that leads the stream of batches."""
    client = await nats_client.connect(nats.url.split(","))
    try:
        info = await client.jetstream().stream_info(f"{NAME}_batches")
    finally:
        await client.close()
    assert info.cluster is not None
    assert info.cluster.leader is not None
    return nats.node(info.cluster.leader)


async def _make_audience(url: str, phones: int) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(
            "CREATE TABLE devices (id INTEGER PRIMARY KEY, platform TEXT, token TEXT, language TEXT)"
        )
        rows = Crowd(phones).rows()
        while portion := list(islice(rows, PORTION)):
            await connection.copy_records_to_table("devices", records=portion)
    finally:
        await connection.close()


def _write_settings(folder: Path, facts: Mapping[str, Facts], urls: Sequence[str], rate: int) -> Path:
    store, audience, queue = urls
    text = stage.settings(facts)
    for channel in ("apns", "fcm"):
        text = text.replace(f'channel = "{channel}"', f'channel = "{channel}"\nrate = {rate}')
    text = text.replace('url = "sqlite:///stentor.db"', f'url = "{store}"')
    text = text.replace(f'url = "sqlite:///{stage.DATABASE}"', f'url = "{audience}"')
    text += f'lease = 10.0\n\n[queue]\nurl = "{queue}"\nname = "{NAME}"\nreplicas = 3\n'
    file = folder / config.FILE
    file.touch(mode=0o600)
    file.write_text(text)
    return file


def _start_simulators(folder: Path, stack: ExitStack, out: Console) -> dict[str, Facts]:
    faults = folder / "faults.json"
    faults.write_text(json.dumps(stage.FAULTS))
    facts: dict[str, Facts] = {}
    for name, whose in (("apns", "Apple"), ("fcm", "Google")):
        options = ("--faults", str(faults), "--seed", SEED, "--dir", str(folder / "simulators"))
        facts[name], _ = stack.enter_context(simulator(name, *options))
        out.print(f"{whose}, simulated: {facts[name]['url']}")
    return facts


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """SIGTERM and a closed terminal end it as Ctrl-C does: everything is cleaned up."""

    def end(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, end) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


async def _run(folder: Path, stack: ExitStack, recipients: int, out: Console) -> DemoResult:
    facts = _start_simulators(folder, stack, out)
    postgres = stack.enter_context(run_postgres())
    nats = stack.enter_context(run_nats(3))
    out.print(f"NATS with JetStream, three servers: {nats.url}")
    async with postgres.database() as store, postgres.database() as audience:
        await _make_audience(audience, recipients)
        out.print(f"PostgreSQL, with {counted(recipients, 'phone')} in a table of your app's")
        out.print(", ".join(f"{many} {role}s" for role, many in ROLES.items()) + ": a process each")
        rate = max(1, int(recipients / len(facts) / SECONDS))
        out.print(f"A budget for each provider that three senders share: {rate:,} a second\n")
        settings = _write_settings(folder, facts, (store, audience, nats.url), rate)
        return await perform(settings, postgres, nats, facts, recipients, out)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="make cluster-demo", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--recipients", type=int, default=500_000, help="how many phones (default: 500000)")
    recipients: int = parser.parse_args(arguments).recipients
    out = Console(highlight=False)
    for name in [name for name in os.environ if name.startswith(config.PREFIX)]:
        del os.environ[name]  # nobody real can be sent to, whatever is set
    with _ended_by_signals(), ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stentor-cluster-")))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            found = runner.run(_run(folder, stack, recipients, out))
    show(found, out)
    if not found.exact:
        sys.exit("the account is not exact, or differs from the simulators' ledgers; that is a defect")


if __name__ == "__main__":
    main()
