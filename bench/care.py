"""What care costs the planner: `python bench/care.py [--recipients 1000000] [--before 4] [--opt-outs 50000]`.

A few campaigns to everybody are put into a store as the planner puts them, with everybody accepted a moment ago. Then
each page of another campaign to the same people is looked at as a planner does: once with caps, once with opt-outs,
once with both, once with an exclusion list, once without those whom a campaign reached; and what is held in the
transaction of the page's batches is measured as well. Nothing is sent. Both databases run in a folder of their own.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import median

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.audience.contract import Page
from stentor.batch import VERSION, Batch
from stentor.caps import read_caps
from stentor.model import Message
from stentor.outcome import Outcome
from stentor.planning.care.look import Care
from stentor.planning.content import Content
from stentor.planning.division import Planned
from stentor.planning.planner import add_batches
from stentor.states import CampaignState
from stentor.store import campaigns, exclusions, opt_outs
from stentor.store.campaigns import Campaign
from stentor.store.caring import CareSettings
from stentor.store.database import POSTGRESQL, Database
from stentor.store.migrate import migrate
from stentor.testing.postgres import run_postgres

PAGE, BATCH = 10_000, 1000
CAPS = ("3 in 24h", "2 a day of news")
CONTENT = Content(message=Message(title="News"))


def campaign(name: str, state: CampaignState, care: CareSettings) -> Campaign:
    now = time.time()
    finished = now if state is CampaignState.COMPLETED else None
    return Campaign(
        id=name,
        title=name,
        state=state,
        audience=b'{"source":"users"}',
        collapse_id=name,
        created_at=now,
        finished_at=finished,
        care=care,
    )


async def fill(database: Database, keys: Sequence[bytes], before: int, no: int) -> None:
    """The campaigns before, and who said no."""
    accepted = text(
        "UPDATE stentor_batches SET accepted = size, pending = 0, outcomes = :outcomes, recorded_at = :now"
        " WHERE campaign_id = :campaign AND size = :size"
    )
    for number in range(before):
        name = f"before{number}"
        found = campaign(name, CampaignState.COMPLETED, CareSettings(category="news"))
        await database.write(partial(campaigns.add, campaign=found, content=b""))
        for start in range(0, len(keys), 50 * BATCH):
            planned = [
                Planned(
                    batch=Batch(
                        version=VERSION,
                        id=f"{name}/{at}",
                        campaign_id=name,
                        lane="apns/ios",
                        expires_at=0.0,
                        recipients=list(some),
                        addresses=[],
                    ),
                    payload=b"",
                    keys=msgspec.msgpack.encode(some),
                )
                for at in range(start, min(start + 50 * BATCH, len(keys)), BATCH)
                if (some := keys[at : at + BATCH])
            ]
            await database.write(partial(add_batches, planned=planned, now=time.time()))
        for size in {BATCH, len(keys) % BATCH}:
            told = {"outcomes": bytes([Outcome.ACCEPTED]) * size, "now": time.time(), "campaign": name, "size": size}

            async def record(connection: AsyncConnection, told: dict[str, object] = told) -> None:
                await connection.execute(accepted, told)

            await database.write(record)
    chosen = [each.decode() for each in random.Random(1).sample(list(keys), no)]
    for start in range(0, no, 5000):
        part = chosen[start : start + 5000]
        await database.write(partial(opt_outs.add, installations=part, category="news", now=time.time()))
        await database.write(partial(exclusions.add, name="list", installations=part, now=time.time()))
    if database.dialect == POSTGRESQL:

        async def analyze(connection: AsyncConnection) -> None:
            await connection.execute(text("ANALYZE"))

        await database.write(analyze)


async def measure(database: Database, keys: Sequence[bytes], caps: Sequence[str], care: CareSettings) -> str:
    """µs a recipient: of the look, of the CPU in it, of the hold."""
    ours = Care(database, read_caps(caps), time.time).of(campaign("ours", CampaignState.RUNNING, care), CONTENT)
    looks, cpus, holds, alone = [], [], [], 0
    for start in range(0, len(keys), PAGE):
        some = list(keys[start : start + PAGE])
        page = Page(keys=some, addresses=[b""] * len(some), lanes="apns/ios")
        began, cpu = time.perf_counter(), time.process_time()
        looked = await ours.look(page)
        looks.append((time.perf_counter() - began) / len(some))
        cpus.append((time.process_time() - cpu) / len(some))
        began = time.perf_counter()
        await database.write(looked.hold)
        holds.append((time.perf_counter() - began) / len(some))
        alone += len(looked.left_out)
    figures = ", ".join(
        f"{name} {median(each) * 1e6:.2f}"
        for name, each in zip(("look", "of that CPU", "hold"), (looks, cpus, holds), strict=True)
    )
    return f"{figures} µs a recipient; {alone:,} left alone"


async def run(url: str, recipients: int, before: int, no: int) -> None:
    database = Database.open(url)
    try:
        await migrate(database)
        keys = [b"%09d" % number for number in range(1_000_000_000 - recipients, 1_000_000_000)]
        await fill(database, keys, before, no)
        plain = CareSettings()
        for what, caps, care in (
            ("nothing but opt-outs of all", (), plain),
            ("opt-outs of a category", (), CareSettings(category="news")),
            ("one rolling cap", ("3 in 24h",), plain),
            ("a rolling cap and a day's", CAPS, CareSettings(category="news")),
            ("an exclusion list", (), CareSettings(exclude=("list",))),
            ("not reached by a campaign", (), CareSettings(not_reached_by=("before0",))),
        ):
            print(f"  {what:28} {await measure(database, keys, caps, care)}", flush=True)
    finally:
        await database.aclose()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipients", type=int, default=1_000_000)
    parser.add_argument("--before", type=int, default=4)
    parser.add_argument("--opt-outs", type=int, default=50_000)
    asked = parser.parse_args()
    print(f"{asked.recipients:,} recipients, {asked.before} campaigns before, {asked.opt_outs:,} opt-outs")
    with tempfile.TemporaryDirectory() as folder:
        print("SQLite")
        url = f"sqlite:///{Path(folder) / 'stentor.db'}"
        asyncio.run(run(url, asked.recipients, asked.before, asked.opt_outs))

    async def on_postgresql() -> None:
        with run_postgres() as server:
            async with server.database() as url:
                await run(url, asked.recipients, asked.before, asked.opt_outs)

    print("PostgreSQL")
    asyncio.run(on_postgresql())


if __name__ == "__main__":
    main()
