"""A cluster on this machine: roles as processes on NATS and PostgreSQL, a campaign, and the proof that it is exact.

The proof (`Cluster.prove`) is that of `tests.integration.kill.stage`, and that the queue is empty, and that no more was
sent twice than is documented. That bound is counted when something goes wrong for a sender (`Cluster.strikes`): who was
accepted by then, and is durable nowhere, neither in the store nor in the outcomes' stream nor in a note, may get a
second push; so may those whom the sender goes on sending to before it knows. Nobody else may.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerContext
from typing import Any

import msgspec
import nats as nats_client
import sqlalchemy as sa
from nats.aio.client import Client
from nats.js.errors import NotFoundError

from stentor.account import decode_account
from stentor.config import Config
from stentor.outcome import Outcome
from stentor.queue.notes import KINDS, Note
from stentor.queue.streams import Streams, text_of
from stentor.recording.tidings import decode_tidings
from stentor.runtime.child import Role
from stentor.simulators.faults import Devices, Faults, Latency, Reset, StreamLimit, Unavailable
from stentor.states import FINAL, CampaignState
from stentor.store.tables import batches
from stentor.testing.nats import RunningNats
from stentor.testing.roles import MachineClock, RoleProcess, start_role
from tests.integration.kill.stage import PHONES, Providers, Stage, open_stage, prove, repeats

STREAMS = 5
"""Pushes on the wire of a connection at once; a sender has one connection a lane."""
FAULTS = Faults(
    latency=Latency(median_s=0.08, p99_s=0.2),
    stream_limit=StreamLimit(normal=STREAMS),
    reset=Reset(refused=0.01),
    unavailable=Unavailable(at_s=0.5, for_s=0.15, every_s=1.7, share=0.5, retry_after=("0",)),
    devices=Devices(unregistered=0.03, malformed=0.002),
)
"""About 50 pushes a second and connection; nothing of this makes a push ambiguous."""
WIRE = 10
"""The same of a lane that has a pace in place of that."""
BATCH = 10
DEPTH = 8
LEASE = 2.5
SENDING: Mapping[str, Any] = {"page": 40, "batch": BATCH, "ranges": 2, "depth": DEPTH, "lease": LEASE}
HELD = (DEPTH + 4) * BATCH
"""Recipients of a lane that all senders together hold at most: the planner puts no more, but for a page of each range.
"""
PATIENCE = 90.0
"""Seconds after which a campaign that hasn't ended never will: NATS alone takes up to 9 to choose a leader."""
LOOK = 0.02
"""Seconds between two looks."""
WHOLE: tuple[Role, ...] = ("planner", "planner", "sender", "sender", "recorder", "recorder", "scheduler")


@dataclass(frozen=True, slots=True)
class Strike:
    """A moment at which a sender lost what it knew, or its lease."""

    durable: frozenset[str]
    reached: frozenset[str]
    """Who had been accepted by then."""
    more: int
    """How many the victim may have sent to, besides, before it knew."""

    @property
    def bound(self) -> int:
        """How many may be sent to again because of it."""
        return len(self.reached - self.durable) + self.more


@dataclass(slots=True)
class Cluster:
    """What runs, and what befell it."""

    stage: Stage
    nats: RunningNats
    processes: ForkServerContext
    running: dict[Role, list[RoleProcess]] = field(default_factory=lambda: defaultdict(list))
    strikes: list[Strike] = field(default_factory=list)
    clocks: dict[RoleProcess, MachineClock] = field(default_factory=dict)
    """Of the machine of each."""
    _settings: dict[RoleProcess, Config] = field(default_factory=dict)
    """What each was started with."""
    _client: Client | None = None

    @property
    def name(self) -> str:
        """Of the queue."""
        return self.stage.config.queue.name

    def start(self, *roles: Role, config: Config | None = None, ahead: float = 0.0) -> list[RoleProcess]:
        """Start these, each on a machine of its own. Returns their processes.

        Args:
            config: other settings than the campaign's: a way through a proxy, say.
            ahead: seconds by which the clocks of their machines are ahead.
        """
        settings = config or self.stage.config
        return [self._start(role, settings, MachineClock(self.processes, ahead)) for role in roles]

    def _start(self, role: Role, settings: Config, clock: MachineClock) -> RoleProcess:
        process = start_role(self.processes, role, settings, clock)
        self.running[role].append(process)
        self._settings[process], self.clocks[process] = settings, clock
        return process

    def _see_that_all_run(self) -> None:
        """Start again who was started while NATS or PostgreSQL were away, as supervisors do.

        Raises: AssertionError: a role died by itself for another reason.
        """
        for role, processes in self.running.items():
            for process in [each for each in processes if not each.runs]:
                assert process.waits, f"a {role} died by itself"
                processes.remove(process)
                self._start(role, self._settings[process], self.clocks[process])

    async def kill(self, *roles: Role) -> None:
        """SIGKILL all processes of these roles, at once."""
        victims = [process for role in roles for process in self.running.pop(role, ())]
        await asyncio.gather(*(victim.kill() for victim in victims))
        if "sender" in roles:
            await self.struck(killed=len(victims))

    async def kill_one(self, role: Role) -> None:
        """SIGKILL one."""
        await self.running[role].pop(0).kill()
        if role == "sender":
            await self.struck(killed=1)

    async def end_of(self, mortal: RoleProcess, why: str) -> int:
        """The exit code of a process that ends by itself.

        Raises: AssertionError: it doesn't, in time.
        """
        try:
            async with asyncio.timeout(PATIENCE):
                return await mortal.ended()
        except TimeoutError:
            raise AssertionError(f"{mortal} is alive, and {why}; {await self._describe()}") from None
        finally:
            if mortal.runs:
                await mortal.kill()

    async def struck(self, *, killed: int = 0, goes_on: bool = False, nats: bool = False) -> None:
        """Something befell senders just now.

        Args:
            killed: so many were, and the provider had whatever was on their wires.
            goes_on: or they go on with what they hold, and don't know.
            nats: all of NATS is killed. Its consumers may have forgotten afterwards that a batch was held before, so
                that nobody looks for what isn't in the store yet.
        """
        durable = await self.stage.settled() if nats else await self._durable()
        channels = self.stage.providers.channels
        wires = sum(STREAMS if channel in PHONES else WIRE for channel in channels)
        more = HELD * len(channels) if goes_on else killed * wires
        self.strikes.append(Strike(durable, frozenset(self.stage.sends()), more))

    async def until_sent(self, pushes: int) -> None:
        """Until so many were accepted, or the campaign has ended."""

        async def enough() -> bool:
            return self.stage.pushes >= pushes or await self.has_ended()

        await self.until(enough, f"{pushes} are sent")

    async def has_ended(self) -> bool:
        """Whether the campaign has."""
        return await self.stage.state() in FINAL

    async def until(self, condition: Callable[[], Awaitable[bool]], what: str) -> None:
        """Raises: AssertionError: it never comes, or a role died by itself."""
        deadline, pushes = time.monotonic() + PATIENCE, -1
        while not await condition():
            self._see_that_all_run()
            if self.stage.pushes != pushes:
                deadline, pushes = time.monotonic() + PATIENCE, self.stage.pushes
            if time.monotonic() > deadline:
                raise AssertionError(f"{what}: not within {PATIENCE:.0f} s of the last push; {await self._describe()}")
            await asyncio.sleep(LOOK)

    async def finish(self, *, notes: bool = False) -> None:
        """See that the campaign ends, the queue runs empty, and all roles that run can be stopped.

        Args:
            notes: no note is left either. One may be where NATS was in trouble, or whoever acked a batch was killed
                before it could take the note away; it does no harm, and is forgotten within `streams.NOTES_KEPT`.
        """
        await self.until(self.has_ended, "the campaign ends")

        async def empty() -> bool:
            return not any(
                number for name, number in (await self.stored()).items() if notes or not name.startswith("KV_")
            )

        await self.until(empty, "the queue runs empty")
        for role, processes in self.running.items():
            for process in processes:
                process.terminate()
                code = await self.end_of(process, f"a {role} was told to stop")
                assert code == 0 or process.waits, f"a {role} ended with {code}"
        self.running.clear()

    @property
    def unsure(self) -> frozenset[str]:
        """Who may be ambiguous where nobody is sent to again: everybody whose outcome was durable nowhere when
        something befell a sender."""
        return frozenset[str]().union(*(self.stage.addresses.keys() - strike.durable for strike in self.strikes))

    async def prove(self, *, state: CampaignState = CampaignState.COMPLETED, unsure: Iterable[str] = ()) -> int:
        """See that nothing was lost, nothing invented, and that no more was sent twice than may be. Returns how many
        pushes were.

        Args:
            unsure: who may be ambiguous.
        """
        counts = await prove(self.stage, state=state, unsure=unsure)
        again = repeats(counts)
        for key, count in again.items():
            may = 1 + sum(key not in strike.durable for strike in self.strikes)
            assert count <= may, f"{key} was sent to {count} times, and {may} may be"
        repeated = sum(count - 1 for count in again.values())
        bound = sum(strike.bound for strike in self.strikes)
        print(f"sent twice: {repeated} of {len(counts)}, the bound is {bound}")  # noqa: T201 - shown if a test fails, and in a soak
        assert repeated <= bound
        return repeated

    async def stored(self) -> dict[str, int]:
        """How many messages each stream has, of those that a campaign must leave empty."""
        jetstream = (await self._connected()).jetstream()
        names = [f"{self.name}_{kind}" for kind in ("batches", "plan", "outcomes", "dead")] + [f"KV_{self.name}_notes"]
        infos = await asyncio.gather(*(jetstream.stream_info(name) for name in names))
        return {name: info.state.messages for name, info in zip(names, infos, strict=True)}

    async def leader(self, kind: str) -> str:
        """The name of the NATS server that leads a stream."""
        jetstream = (await self._connected()).jetstream()
        cluster = (await jetstream.stream_info(f"{self.name}_{kind}")).cluster
        assert cluster is not None
        assert cluster.leader is not None
        return cluster.leader

    async def aclose(self) -> None:
        for processes in self.running.values():
            for process in processes:
                if process.runs:
                    await process.kill()
        if self._client is not None:
            await self._client.close()

    async def _connected(self) -> Client:
        if self._client is None or self._client.is_closed:
            # The process that looks must not wait for servers that the test has killed, so each has its turn.
            self._client = await nats_client.connect(
                self.nats.url.split(","), max_reconnect_attempts=-1, reconnect_time_wait=0.1, error_cb=_ignore
            )
        return self._client

    async def _durable(self) -> frozenset[str]:
        """Whose outcomes would survive the end of all processes: in the streams first, as recorders move them from
        there to the store."""
        found: list[tuple[str, bytes]] = []
        if any(node.runs for node in self.nats.nodes):
            try:
                async with asyncio.timeout(2):
                    for _, subject, payload in [each async for each in self._messages(f"{self.name}_outcomes")]:
                        found.append((Streams.address(subject).id, decode_tidings(payload).outcomes))
                    for _, subject, payload in [each async for each in self._messages(f"KV_{self.name}_notes")]:
                        kind, *key = subject.split(".")[2:]  # a pace's budget is there too
                        left = msgspec.msgpack.decode(payload, type=Note).left if kind in KINDS else b""
                        if left:
                            found.append((text_of(key[2]), decode_account(left).outcomes))
            except (TimeoutError, nats_client.errors.Error, nats_client.js.errors.Error):
                pass  # without a leader nothing can be read: what is not known to be durable only widens the bound
        query = sa.select(batches.c.id, batches.c.recipients).where(batches.c.campaign_id == self.stage.campaign_id)
        async with self.stage.database.read() as connection:
            rows = (await connection.execute(query)).all()
        members = {row.id: [key.decode() for key in msgspec.msgpack.decode(row.recipients)] for row in rows}
        told = {
            key
            for batch, outcomes in found
            for key, outcome in zip(members.get(batch, ()), outcomes, strict=False)
            if outcome != Outcome.PENDING
        }
        return frozenset(told | await self.stage.settled())

    async def _messages(self, stream: str) -> AsyncIterator[tuple[int, str, bytes]]:
        jetstream = (await self._connected()).jetstream()
        after = 0
        while True:
            try:
                message = await jetstream.get_msg(stream, after + 1, subject=">", next=True)
            except NotFoundError:
                return
            after = message.seq or after + 1
            yield after, message.subject or "", message.data or b""

    async def _describe(self) -> str:
        """Where things are stuck."""
        progress = await self.stage.stentor.outcomes.progress(self.stage.campaign_id)
        try:
            async with asyncio.timeout(5):
                stored: Any = await self.stored()
        except (TimeoutError, nats_client.errors.Error, nats_client.js.errors.Error) as error:
            stored = repr(error)
        return f"{await self.stage.state()}, {progress.total}; stored: {stored}; pushes: {self.stage.pushes}"


async def _ignore(_error: Exception) -> None:
    """What the client complains of while servers are killed."""


@asynccontextmanager
async def open_cluster(
    url: str,
    nats: RunningNats,
    name: str,
    providers: Providers,
    processes: ForkServerContext,
    *,
    first: int = 0,
    recipients: int = 300,
    lifetime: float | None = None,
    **sending: Any,
) -> AsyncIterator[Cluster]:
    """A campaign, started, and nothing that runs yet; all that does at the end is killed.

    Args:
        url: of an empty PostgreSQL database.
        name: of the queue.
        lifetime: as for `open_stage`.
        first: the number of the first address; stages that share simulators must not share addresses.
    """
    queue = {"url": nats.url, "name": name, "replicas": len(nats.nodes)}
    settings = {**SENDING, **sending, "first": first, "recipients": recipients, "lifetime": lifetime}
    async with open_stage(url, providers, queue=queue, **settings) as stage:
        cluster = Cluster(stage, nats, processes)
        try:
            yield cluster
        finally:
            await cluster.aclose()
