"""A sender with everything about it real but the lane and the desk: a queue, a recorder and a store on SQLite."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.account import Waiting
from stentor.batch import VERSION, Batch, encode_batch
from stentor.config import SendingConfig
from stentor.errors import UnknownCampaign
from stentor.model import Message
from stentor.outcome import Outcome, Scope, Verdict
from stentor.planning.content import Content
from stentor.providers.contract import Answer, Renewal, Taken, not_processed
from stentor.providers.lane import CampaignContent, LaneState
from stentor.queue.contract import Lease, Task
from stentor.queue.sql import SqlQueue
from stentor.recording.recorder import Recorder
from stentor.sending import gate, gatekeeper, sender
from stentor.sending.gate import Problem
from stentor.sending.sender import LaneSender
from stentor.states import STOPPED, CampaignState
from stentor.store import campaigns
from stentor.store.campaigns import Campaign
from stentor.store.database import Database
from stentor.store.migrate import migrate
from stentor.store.tables import batches, failures
from stentor.testing.queue import ManualClock

LANE = "apns/ios"
LIFETIME = 3600.0
ACCEPTED: None = None
"""What a lane's script says of a recipient that is accepted."""


def refused(verdict: Verdict, reason: str = "", scope: Scope = Scope.ADDRESS, **other: Any) -> Answer:
    return Answer(**{"verdict": verdict, "reason": reason or verdict.name, "status": 400, "scope": scope, **other})


async def until(condition: Callable[[], Any]) -> None:
    """Give the others their turns until `condition` holds."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - whatever a test may want to know has no event
            await asyncio.sleep(0.002)


def quicken(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is seconds for people is less for tests."""
    monkeypatch.setattr(sender, "TICK", 0.01)
    monkeypatch.setattr(sender, "CHECKPOINT", 0.02)
    monkeypatch.setattr(gatekeeper, "RELOAD", 0.02)
    monkeypatch.setattr(gate, "FIRST_PAUSE", 0.02)
    monkeypatch.setattr(gate, "LONGEST_PAUSE", 0.1)


@dataclass(frozen=True)
class Prepared:
    sample: bytes = b"{}"
    collapses: bool = True


class FlightDouble:
    """Lands when it is told to, or at once."""

    def __init__(self, lane: LaneDouble, recipients: Sequence[bytes]) -> None:
        self.recipients = list(recipients)
        self.withdrawn: str | None = None
        self._lane = lane
        self._answers: dict[int, Answer | None] = {}
        self._landed = asyncio.Event()

    def answer(self, count: int | None = None) -> None:
        """The next so many recipients get their answers; all: it lands."""
        first = len(self._answers)
        until = len(self.recipients) if count is None else first + count
        for index in range(first, until):
            self._answers[index] = self._lane.script(self.recipients[index])
        if until == len(self.recipients):
            self._landed.set()

    def cut(self, given: Answer) -> None:
        """Whoever has no answer gets this one, and it lands."""
        for index in range(len(self._answers), len(self.recipients)):
            self._answers[index] = given
        self._landed.set()

    def answers(self, _now: float) -> dict[int, Answer]:
        return {index: answer for index, answer in self._answers.items() if answer is not None}

    def accepted(self) -> bytes:
        return bytes(self._answers.get(index, False) is None for index in range(len(self.recipients)))

    def receipts(self) -> dict[int, Taken]:
        return {}

    @property
    def landed(self) -> bool:
        return self._landed.is_set()

    async def done(self) -> None:
        await self._landed.wait()

    def withdraw(self, reason: str) -> None:
        self.withdrawn = reason
        if not self._lane.stubborn:
            self.cut(not_processed(reason))


class LaneDouble:
    """A lane whose answers are a script."""

    name = LANE
    ceiling = float("inf")
    rate: float | None = None
    state = LaneState()

    def __init__(self) -> None:
        self.script: Callable[[bytes], Answer | None] = lambda _recipient: ACCEPTED
        self.flights: list[FlightDouble] = []
        self.holds = False
        """Whether flights wait to be told to land."""
        self.stubborn = False
        """Whether what is withdrawn goes on all the same."""
        self.trouble: Exception | None = None
        """What `begin` raises."""
        self.wrong: Exception | None = None
        """What `prepare` raises."""
        self.collapses = True
        """Whether a second message replaces the first."""
        self.room = 4000
        self.unwritten = 0
        self.mended = asyncio.Event()
        self.renewal: Renewal | Exception = Renewal(True)
        self.calls: list[str] = []
        self.began = 0

    @property
    def sent(self) -> list[bytes]:
        return [recipient for flight in self.flights for recipient in flight.recipients]

    def has_begun(self, flights: int) -> bool:
        return len(self.flights) >= flights

    async def check(self) -> None: ...

    async def prepare(self, _campaign: CampaignContent) -> Prepared:
        if self.wrong is not None:
            raise self.wrong
        return Prepared(collapses=self.collapses)

    async def begin(
        self,
        _prepared: object,
        recipients: Sequence[bytes],
        addresses: Sequence[bytes],
        languages: bytes | None = None,
        variables: Sequence[Any] | None = None,
    ) -> FlightDouble:
        self.began += 1
        if self.trouble is not None:
            raise self.trouble
        assert [b"to-" + recipient for recipient in recipients] == list(addresses)
        assert languages is None or len(languages) == len(recipients)
        assert variables is None or len(variables) == len(recipients)
        flight = FlightDouble(self, recipients)
        self.flights.append(flight)
        if not self.holds:
            flight.answer()
        return flight

    async def refused(self, _flight: object) -> Renewal:
        self.calls.append("refused")
        if isinstance(self.renewal, Exception):
            raise self.renewal
        return self.renewal

    def hold(self) -> None:
        self.calls.append("hold")

    async def reload(self) -> bool:
        mended = self.mended.is_set()
        self.mended.clear()
        return mended

    def meaning(self, reason: str) -> str:
        return f"what {reason} means"

    def window(self) -> int:
        return self.room

    def backlog(self) -> int:
        return self.unwritten

    async def aclose(self, drain: float | None = None) -> None:
        self.calls.append(f"aclose {drain}")
        for flight in self.flights:
            if not flight.landed:
                flight.cut(refused(Verdict.AMBIGUOUS, "NoAnswer", status=0))


@dataclass
class DeskDouble:
    """Campaigns in the states that a test gives them."""

    states: dict[str, CampaignState] = field(default_factory=dict)
    reports: list[Problem | None] = field(default_factory=list)
    asked: int = 0
    max_rates: dict[str, float] = field(default_factory=dict)

    async def content(self, campaign_id: str) -> CampaignContent:
        return CampaignContent(
            id=campaign_id,
            content=Content(message=Message(title="Sale")),
            started_at=0.0,
            max_rate=self.max_rates.get(campaign_id),
            collapse_id=campaign_id,
        )

    async def state(self, campaign_id: str) -> CampaignState:
        self.asked += 1
        if campaign_id not in self.states:
            raise UnknownCampaign
        return self.states[campaign_id]

    def halted(self, campaign_id: str) -> bool:
        state = self.states.get(campaign_id)
        return state is CampaignState.PAUSED or state in STOPPED

    @property
    def stopped(self) -> bool:
        return any(state in STOPPED for state in self.states.values())

    @property
    def busy(self) -> bool:
        return CampaignState.RUNNING in self.states.values()

    async def report(self, _lane: str, problem: Problem | None) -> None:
        self.reports.append(problem)


class Works:
    """A sender at work, and what it works with. The clock of all of it only moves when it is moved."""

    def __init__(self, database: Database, **settings: Any) -> None:
        self.clock = ManualClock()
        self.database = database
        self.queue = SqlQueue(database, self.clock)
        self.desk = DeskDouble()
        self.settings = SendingConfig(**settings)
        self.begin_again()

    def begin_again(self, lane: LaneDouble | None = None) -> None:
        """As another process."""
        self.recorder = Recorder(self.database, self.queue, self.clock)
        self.lane = lane or LaneDouble()
        self.sender = LaneSender(self.lane, self.queue, self.recorder, self.desk, self.settings, self.clock)

    async def campaign(self, name: str = "c1", state: CampaignState = CampaignState.RUNNING) -> None:
        self.desk.states[name] = state
        made = Campaign(id=name, title=name, state=state, audience=b"{}", collapse_id=name, created_at=self.clock())

        async def change(connection: AsyncConnection) -> None:
            await campaigns.add(connection, made, b"{}")

        await self.database.write(change)

    async def put(
        self,
        number: int = 1,
        size: int = 30,
        *,
        campaign: str = "c1",
        payload: bytes | None = None,
        urgent: bool = False,
        **other: Any,
    ) -> str:
        """Put a batch into the queue as a planner does; its id. Recipients are called after batch and position."""
        if campaign not in self.desk.states:
            await self.campaign(campaign)
        name = f"{campaign}/{LANE}/0.0.1.{number:03}"
        recipients = [b"%s-%d-%d" % (campaign.encode(), number, position) for position in range(size)]
        given = {
            "version": VERSION,
            "id": name,
            "campaign_id": campaign,
            "lane": LANE,
            "expires_at": self.clock() + LIFETIME,
            "recipients": recipients,
            "addresses": [b"to-" + recipient for recipient in recipients],
            **other,
        }
        row = {
            "id": name,
            "campaign_id": campaign,
            "lane": LANE,
            "size": size,
            "pending": size,
            "planned_at": self.clock(),
            "recipients": msgspec.msgpack.encode(recipients),
        }

        async def change(connection: AsyncConnection) -> None:
            await connection.execute(batches.insert(), row)

        encoded = encode_batch(Batch(**given)) if payload is None else payload
        task = Task(id=name, lane=LANE, campaign_id=campaign, payload=encoded, urgent=urgent)
        await self.queue.settle(change, put=[task])
        if urgent:
            self.sender.look_for_urgent()  # as `pipeline.send` has it look, when the queue says so
        return name

    async def die_holding(self, times: int, limit: int = 100) -> list[Lease]:
        """So many senders take all there is, and die; their leases have ended."""
        leases: list[Lease] = []
        for _ in range(times):
            leases = await self.queue.take(LANE, limit, 1.0)
            self.clock.move(1.0)
        return leases

    async def outcomes(self, batch_id: str) -> bytes:
        async with self.database.read() as connection:
            row = (await connection.execute(select(batches).where(batches.c.id == batch_id))).one()
        found: bytes = row.outcomes or bytes(row.size)
        counted = [row.pending, row.accepted, row.rejected, row.expired, row.cancelled, row.ambiguous]
        assert counted == [found.count(outcome) for outcome in Outcome]
        return found

    async def waiting(self, batch_id: str) -> list[Waiting]:
        async with self.database.read() as connection:
            found = await connection.scalar(select(batches.c.waiting).where(batches.c.id == batch_id))
        return msgspec.msgpack.decode(found, type=list[Waiting]) if found else []

    async def failures(self) -> list[Any]:
        async with self.database.read() as connection:
            return list(await connection.execute(select(failures).order_by(failures.c.batch_id, failures.c.position)))

    async def until_queue(self, **wanted: int) -> None:
        """Until the lane has so many tasks `ready`, `delayed` and `leased`; none of those that aren't named."""
        async with asyncio.timeout(30):
            while True:
                depth = (await self.queue.depths([LANE]))[LANE]
                if wanted == {n: c for n in ("ready", "delayed", "leased") if (c := getattr(depth, n))}:
                    return
                await asyncio.sleep(0.005)

    async def drained(self) -> None:
        """Until nothing is queued, while the clock moves on."""
        async with asyncio.timeout(30):
            while (await self.queue.depths([LANE]))[LANE].total:
                self.clock.move(0.1)
                await asyncio.sleep(0.005)

    @property
    def told(self) -> list[str | None]:
        """The problems that were reported after the first look, each once; None where there was none any more."""
        found: list[str | None] = [None]
        for problem in self.desk.reports:
            what = problem.what if problem else None
            if found[-1] != what:
                found.append(what)
        return found[1:]

    async def until_told(self) -> Problem:
        """The first problem that is reported."""
        await until(lambda: any(self.desk.reports))
        return next(problem for problem in self.desk.reports if problem)

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """The sender takes and sends; at the end it is stopped, and has let go of everything."""
        async with self.recording(), asyncio.TaskGroup() as group:
            group.create_task(self.sender.run())
            yield
            self.sender.stop()
        assert (await self.queue.depths([LANE]))[LANE].leased == 0

    @asynccontextmanager
    async def recording(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.recorder.run())
            yield
            self.recorder.stop()


@asynccontextmanager
async def works(folder: Path, **settings: Any) -> AsyncIterator[Works]:
    database = Database.open(f"sqlite:///{folder / 'stentor.db'}", patience=0.1)
    try:
        await migrate(database)
        yield Works(database, **settings)
    finally:
        await database.aclose()
