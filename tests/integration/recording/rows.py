"""A campaign's rows as planner, senders and recorder leave them, for tests of what reads them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.account import Waiting
from stentor.audience.contract import Selection
from stentor.outcome import Outcome
from stentor.states import CampaignState
from stentor.store import campaigns
from stentor.store.campaigns import Campaign
from stentor.store.database import Database
from stentor.store.tables import METADATA, batches, chains, dead_letters, failures, lanes, tasks
from stentor.store.tables import campaigns as campaign_rows

NOW = 1_800_000_000.0
OUTCOMES = {letter: outcome for outcome, letter in zip(Outcome, "parxcm", strict=True)}
"""A letter for each outcome: pending, accepted, rejected, expired (x), cancelled, ambiguous (m)."""


class Rows:
    """Writes rows into a database of its own."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def insert(self, table: Table, *rows: Mapping[str, Any]) -> None:
        async def change(connection: AsyncConnection) -> None:
            await connection.execute(table.insert(), list(rows))

        await self.database.write(change)

    async def change(self, statement: Any) -> None:
        async def change(connection: AsyncConnection) -> None:
            await connection.execute(statement)

        await self.database.write(change)

    async def campaign(self, name: str = "c1", *, read: int = 0, **values: Any) -> Campaign:
        """A running campaign, and one chain that has read so many."""
        campaign = Campaign(
            **{
                "id": name,
                "title": "Spring sale",
                "state": CampaignState.RUNNING,
                "audience": msgspec.json.encode(Selection(source="users")),
                "collapse_id": name,
                "created_at": NOW - 100,
                "starts_at": NOW - 90,
                "expires_at": NOW + 3600,
                **values,
            }
        )

        async def change(connection: AsyncConnection) -> None:
            await campaigns.add(connection, campaign, b"{}")
            if campaign.finished_at is not None:
                ended = campaign_rows.update().where(campaign_rows.c.id == name)
                await connection.execute(ended.values(finished_at=campaign.finished_at))

        await self.database.write(change)
        await self.insert(
            chains, {"campaign_id": name, "chain": "0", "step": 1, "read": read, "done": campaign.planned}
        )
        return campaign

    async def batch(
        self,
        number: int,
        outcomes: str,
        *,
        campaign: str = "c1",
        lane: str = "apns/ios",
        keys: Sequence[bytes] | None = None,
        waiting: Sequence[Waiting] = (),
        task: str | None = "queued",
        explained: bool = True,
    ) -> str:
        """A batch whose recipients have these outcomes (see OUTCOMES), with failures for those that owe one.

        Args:
            keys: `k<number>-<position>` where not given.
            task: `queued`, `leased` or `lapsed` (its lease has ended); None for none. Nobody pending: none either.
        """
        name = f"{campaign}/{lane}/0.0.7.{number}"
        keys = [b"k%d-%d" % (number, position) for position in range(len(outcomes))] if keys is None else keys
        column = bytes(OUTCOMES[letter] for letter in outcomes)
        counts = {outcome.name.lower(): column.count(outcome) for outcome in Outcome}
        await self.insert(
            batches,
            {
                "id": name,
                "campaign_id": campaign,
                "lane": lane,
                "size": len(keys),
                "planned_at": NOW - 80,
                "recorded_at": NOW - 10,
                "recipients": msgspec.msgpack.encode(keys),
                "outcomes": column if any(column) else None,
                "waiting": msgspec.msgpack.encode(waiting) if waiting else None,
                **counts,
            },
        )
        owed = [position for position, letter in enumerate(outcomes) if letter in "rxm"]
        if owed and explained:
            await self.insert(failures, *[self.failure(name, position, column[position], keys) for position in owed])
        if task and counts["pending"]:
            await self.task(name, campaign=campaign, lane=lane, state=task)
        return name

    def failure(
        self, batch_id: str, position: int, outcome: int, keys: Sequence[bytes], **values: Any
    ) -> dict[str, Any]:
        campaign, channel, app, _ = batch_id.split("/")
        reasons = {Outcome.REJECTED: "Unregistered", Outcome.EXPIRED: "expired", Outcome.AMBIGUOUS: "ambiguous"}
        return {
            "batch_id": batch_id,
            "position": position,
            "campaign_id": campaign,
            "lane": f"{channel}/{app}",
            "installation": keys[position].decode(),
            "outcome": outcome,
            "reason": reasons.get(Outcome(outcome), "?"),
            "status": 410 if outcome == Outcome.REJECTED else 0,
            "detail": "",
            "dead": outcome == Outcome.REJECTED,
            "tries": 2,
            "at": NOW - 20,
            **values,
        }

    async def task(self, name: str, *, campaign: str = "c1", lane: str = "apns/ios", state: str = "queued") -> None:
        ready = {"queued": NOW - 5, "leased": NOW + 25, "lapsed": NOW - 1}[state]
        await self.insert(
            tasks,
            {
                "id": name,
                "lane": lane,
                "campaign_id": campaign,
                "ready_at": ready,
                "lease": None if state == "queued" else "somebody",
            },
        )

    async def problem(self, lane: str, problem: str | None, remedy: str | None = None) -> None:
        row = {"lane": lane, "problem": problem, "remedy": remedy, "since": NOW - 30, "until": NOW + 30}
        await self.insert(lanes, row)

    async def bury(self, name: str, reason: str, *, campaign: str = "c1", lane: str = "apns/ios") -> None:
        row = {"id": name, "lane": lane, "campaign_id": campaign, "payload": b"", "reason": reason}
        await self.insert(dead_letters, row | {"deliveries": 5, "at": NOW - 15})


@asynccontextmanager
async def fresh_rows(url: str) -> AsyncIterator[Rows]:
    """An empty store at `url`."""
    database = Database.open(url)

    async def create(connection: AsyncConnection) -> None:
        await connection.run_sync(METADATA.create_all)

    await database.write(create)
    try:
        yield Rows(database)
    finally:
        await database.aclose()
