"""A campaign to be planned: a real store and queue, an audience in memory that tests change at will."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.audience.contract import NO_LANE, Page, Range, Selection, Wanted
from stentor.caps import read_caps
from stentor.config import SendingConfig
from stentor.model import Message
from stentor.planning.care.look import Care
from stentor.planning.content import Content, encode_content
from stentor.planning.division import Divider
from stentor.planning.planner import Plan, Planner, place, start_task
from stentor.planning.worker import PlanWorker
from stentor.queue.contract import PLAN, Lease, Task
from stentor.queue.sql import SqlQueue
from stentor.recording.writing import write
from stentor.states import CampaignState
from stentor.store import campaigns
from stentor.store.campaigns import Campaign
from stentor.store.database import Database
from stentor.store.migrate import migrate
from stentor.store.tables import batches, chains, failures, tasks
from stentor.testing.queue import ManualClock

IOS, ANDROID = "apns/ios", "fcm/android"
HOLD = 30.0
CAMPAIGN = "c1"


@dataclass
class People:
    """An audience whose rows are a dict: key -> lane."""

    rows: dict[str, str]
    before_page: Callable[[Range], None] = lambda _: None
    """Called before each page is read; may raise, or change the rows."""
    places: dict[str, str] = field(default_factory=dict)
    """Key -> time zone."""

    async def check(self, wanted: Wanted) -> None: ...

    async def count(self) -> Mapping[str, int]:
        return Counter(self.rows.values())

    async def zones(self) -> Mapping[str | None, int]:
        return Counter(self.places.get(key) for key, lane in self.rows.items() if lane)

    async def nowhere(self) -> Mapping[str, int]:
        return {}

    async def known(self, names: Collection[str]) -> list[str]:
        return []

    async def ranges(self, parts: int) -> list[Range]:
        keys = sorted(self.rows)
        if not keys:
            return []
        cuts = [keys[len(keys) * part // parts - 1] for part in range(1, parts + 1) if len(keys) * part // parts]
        cuts = list(dict.fromkeys(cuts))
        return [Range(after=after, upto=upto) for after, upto in zip([None, *cuts], cuts, strict=False)]

    async def page(self, part: Range, limit: int, wanted: Wanted, lanes: Collection[str] | None = None) -> Page:
        self.before_page(part)
        found = [
            key
            for key in sorted(self.rows)
            if (part.after is None or key > part.after)
            and key <= part.upto
            and (lanes is None or self.rows[key] in lanes)
        ]
        return self._page(found[:limit], found[limit - 1] if len(found) > limit else None, wanted)

    async def find(self, keys: Sequence[str], wanted: Wanted) -> Page:
        return self._page([key for key in sorted(keys) if key in self.rows], None, wanted)

    async def aclose(self) -> None: ...

    def _page(self, keys: list[str], cursor: str | None, wanted: Wanted) -> Page:
        encoded = [key.encode() for key in keys]
        lanes = [self.rows[key] for key in keys]
        zones = [self.places.get(key) for key in keys] if wanted.zone else None
        return Page(
            keys=encoded,
            addresses=[b"address" for _ in keys],
            lanes=lanes,
            zones=zones,
            cursor=cursor,
        )


def crowd(*lanes: str, size: int, start: int = 0) -> dict[str, str]:
    """So many people, with the lanes in turn."""
    return {f"{number:06}": lanes[number % len(lanes)] for number in range(start, start + size)}


@dataclass
class World:
    database: Database
    people: People
    clock: ManualClock = field(default_factory=ManualClock)
    settings: SendingConfig = field(default_factory=lambda: SendingConfig(page=10, batch=5, ranges=3, depth=8))
    lanes: tuple[str, ...] = (IOS, ANDROID)
    caps: tuple[str, ...] = ()

    @property
    def care(self) -> Care:
        return Care(self.database, read_caps(self.caps), self.clock)

    @property
    def queue(self) -> SqlQueue:
        return SqlQueue(self.database, self.clock)

    def planner(self, lanes: Sequence[str] | None = None) -> Planner:
        return Planner(self.database, self.queue, self.settings, tuple(lanes or self.lanes), write, self.clock)

    def open(self, selection: Selection) -> People:
        """As `Sources` does."""
        return self.people

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[PlanWorker]:
        """A planner that runs meanwhile."""
        worker = PlanWorker(self.database, self.queue, self, self.settings, self.planner(), self.clock)
        worker.heed(read_caps(self.caps))
        async with asyncio.TaskGroup() as group:
            group.create_task(worker.run())
            yield worker
            worker.stop()

    async def start(self, campaign_id: str = CAMPAIGN, title: str = "News", **values: Any) -> None:
        """A campaign, as `Stentor.start` leaves it."""
        now = self.clock()
        campaign = Campaign(
            **{
                "id": campaign_id,
                "title": "News",
                "state": CampaignState.RUNNING,
                "audience": msgspec.json.encode(Selection(source="people")),
                "collapse_id": campaign_id,
                "created_at": now,
                "starts_at": now,
                "expires_at": now + 3600,
                "expected": dict(await self.people.count()),
                **values,
            }
        )
        content = encode_content(Content(message=Message(title=title)))
        await self.database.write(lambda connection: campaigns.add(connection, campaign, content))
        await self.queue.settle(put=[start_task(campaign_id)])

    async def campaign(self, campaign_id: str = CAMPAIGN) -> Campaign:
        async with self.database.read() as connection:
            return await campaigns.get(connection, campaign_id)

    async def move(self, to: CampaignState) -> None:
        await self.database.write(lambda connection: campaigns.move(connection, CAMPAIGN, to))

    async def take(self, limit: int = 1) -> list[Lease]:
        return await self.queue.take(PLAN, limit, HOLD)

    async def plan(self, lease: Lease) -> Plan:
        campaign = await self.campaign(lease.campaign_id)
        care = self.care.of(campaign, Content(message=Message(title="News")))
        return Plan(
            campaign=campaign,
            place=await self.database.ask(lambda connection: place(connection, lease)),
            audience=self.people,
            wanted=Wanted(zone=care.wants_zones),
            care=care,
            divider=Divider(campaign_id=lease.campaign_id, expires_at=9e9, largest=self.settings.batch),
        )

    async def do(self, lease: Lease, planner: Planner | None = None) -> None:
        await (planner or self.planner()).step(lease, await self.plan(lease))

    async def do_one(self) -> None:
        (lease,) = await self.take()
        await self.do(lease)

    async def do_all(self, drain: Collection[str] | None = None, most: int = 500) -> None:
        """Do the steps that are ready until none is, and send what there is on some lanes (all, if not given)."""
        for _ in range(most):
            await self.send(drain)
            leases = await self.take()
            if not leases:
                return
            await self.do(leases[0])
        raise AssertionError("the planning doesn't end")

    async def send(self, lanes: Collection[str] | None = None) -> None:
        for lane in self.lanes if lanes is None else lanes:
            await self.queue.settle(ack=await self.queue.take(lane, 1000, HOLD))

    async def count(self, table: sa.Table) -> int:
        async with self.database.read() as connection:
            return int(await connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0)

    async def planned(self) -> dict[str, list[str]]:
        """Who is in a batch, by lane, in the order of their keys."""
        async with self.database.read() as connection:
            rows = (await connection.execute(sa.select(batches))).all()
        found: dict[str, list[str]] = {}
        for row in rows:
            keys = msgspec.msgpack.decode(row.recipients, type=list[bytes])
            assert len(keys) == row.size
            found.setdefault(row.lane, []).extend(key.decode() for key in keys)
        return {lane: sorted(keys) for lane, keys in found.items()}

    async def read(self) -> tuple[int, int]:
        """How many the chains say they have read, and how many are in batches."""
        async with self.database.read() as connection:
            said = await connection.scalar(sa.select(sa.func.sum(chains.c.read)))
            there = await connection.scalar(sa.select(sa.func.sum(batches.c.size)))
        return int(said or 0), int(there or 0)

    async def snapshot(self) -> dict[str, list[Any]]:
        """All that planning writes."""
        async with self.database.read() as connection:
            return {
                table.name: sorted(map(repr, await connection.execute(sa.select(table))))
                for table in (chains, batches, failures, tasks)
            }

    async def chains(self) -> dict[str, bool]:
        """Each chain, and whether it is done."""
        async with self.database.read() as connection:
            return {row.chain: row.done for row in await connection.execute(sa.select(chains))}

    async def clog(self, lane: str, many: int, *, delay: float = 0.0) -> None:
        """Put batches of another campaign on a lane, to be taken after `delay` seconds."""
        put = [
            Task(id=f"other/{lane}/{number}", lane=lane, campaign_id="other", payload=b"x") for number in range(many)
        ]
        await self.queue.settle(put=put)
        if delay:
            leases = await self.queue.take(lane, many, HOLD)
            await self.queue.settle(release=[(lease, delay) for lease in leases])

    def everybody(self, lane: str) -> list[str]:
        return sorted(key for key, its in self.people.rows.items() if its == lane)


@asynccontextmanager
async def world(url: str, rows: dict[str, str]) -> AsyncIterator[World]:
    database = Database.open(url, connections=8)
    try:
        await migrate(database)
        yield World(database, People(rows))
    finally:
        await database.aclose()


async def run(database: Database, statement: Any) -> None:
    async def change(connection: AsyncConnection) -> None:
        await connection.execute(statement)

    await database.write(change)


__all__ = ["ANDROID", "CAMPAIGN", "HOLD", "IOS", "NO_LANE", "People", "World", "crowd", "run", "world"]
