"""What all tests here need: two strict simulators that remember who got what, an audience, and the proof afterwards.

The proof (`prove`) compares three accounts that know nothing of each other: the audience as it was made, the store, and
the simulators' ledgers.
"""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.audience.contract import Selection
from stentor.config import Config, lanes
from stentor.model import Message
from stentor.outcome import Outcome
from stentor.planning.content import Content
from stentor.queue.contract import PLAN
from stentor.queue.sql import SqlQueue
from stentor.runtime.stentor import LanePreview, Preview, Stentor
from stentor.simulators.apns import ApnsSimulator
from stentor.simulators.faults import Devices, Faults, GoAway, Latency, Reset, StreamLimit, Unavailable
from stentor.simulators.fcm import FcmSimulator
from stentor.simulators.ledger import Entry
from stentor.states import CampaignState
from stentor.store.database import Database
from stentor.store.tables import batches

FAULTS = Faults(
    latency=Latency(median_s=0.01, p99_s=0.06),
    goaway=GoAway(every=397, forms=("graceful", "lower", "json")),
    reset=Reset(refused=0.01),
    unavailable=Unavailable(at_s=0.2, for_s=0.1, every_s=1.1, share=0.5, retry_after=("0",)),
    devices=Devices(unregistered=0.04, malformed=0.002),
)
"""Nothing of this makes a push ambiguous, so that whoever gets two got the second because of a kill."""
SLOW = Faults(latency=Latency(median_s=0.1, p99_s=0.1), stream_limit=StreamLimit(normal=5))
"""50 pushes a second and connection."""
CONTENT = Content(message=Message(title="Sale", body="Ends tonight"))
KEYS = msgspec.msgpack.Decoder(list[bytes])


@dataclass(slots=True)
class Providers:
    """A simulator for each lane, and everything they accepted, by address."""

    apns: ApnsSimulator
    fcm: FcmSimulator
    _sends: dict[str, list[Entry]] = field(default_factory=lambda: defaultdict(list))
    _seen: dict[str, int] = field(default_factory=lambda: {"apns": -1, "fcm": -1})

    @property
    def accepted(self) -> int:
        """Pushes so far, of all campaigns."""
        return len(self.apns.ledger) + len(self.fcm.ledger)

    @property
    def sends(self) -> Mapping[str, list[Entry]]:
        for name, ledger in (("apns", self.apns.ledger), ("fcm", self.fcm.ledger)):
            for entry in ledger.page(self._seen[name], len(ledger)):
                self._sends[entry.address].append(entry)
                self._seen[name] = entry.number
        return self._sends

    def apps(self) -> dict[str, dict[str, Any]]:
        """Settings by which they are reached."""
        return {
            "ios": {
                "channel": "apns",
                "topic": "com.example.app",
                "key_file": self.apns.key_file,
                "key_id": self.apns.key_id,
                "team_id": self.apns.team_id,
                "url": self.apns.url,
                "ca_file": self.apns.ca_file,
                "max_connections": 1,
            },
            "android": {
                "channel": "fcm",
                "service_account_file": self.fcm.service_account_file,
                "url": self.fcm.url,
                "token_url": self.fcm.token_url,
                "ca_file": self.fcm.ca_file,
                "max_connections": 1,
            },
        }


@asynccontextmanager
async def open_providers(faults: Faults = FAULTS, seed: int = 0) -> AsyncIterator[Providers]:
    async with (
        ApnsSimulator(seed=seed, faults=faults) as apns,
        FcmSimulator(seed=seed, faults=faults) as fcm,
    ):
        yield Providers(apns, fcm)
        assert not apns.violations
        assert not fcm.violations


@dataclass(frozen=True, slots=True)
class Stage:
    """One campaign over an audience of its own, and its store."""

    stentor: Stentor
    database: Database
    config: Config
    campaign_id: str
    providers: Providers
    addresses: Mapping[str, str]
    """Of each installation, whether it can be sent to or not."""
    unroutable: frozenset[str]

    @property
    def queue(self) -> SqlQueue:
        return SqlQueue(self.database)

    @property
    def lanes(self) -> list[str]:
        return [PLAN, *lanes(self.config)]

    async def state(self) -> CampaignState:
        return (await self.stentor.campaign(self.campaign_id)).state

    async def outcomes(self) -> dict[str, int]:
        """What is recorded of each installation; nothing of those that aren't planned yet.

        Raises: AssertionError: one is there twice.
        """
        found: dict[str, int] = {}
        query = sa.select(batches.c.recipients, batches.c.outcomes).where(batches.c.campaign_id == self.campaign_id)
        async with self.database.read() as connection:
            for row in await connection.execute(query):
                keys = [key.decode() for key in KEYS.decode(row.recipients)]
                assert found.keys().isdisjoint(keys), "planned twice"
                found |= zip(keys, row.outcomes or bytes(len(keys)), strict=True)
        return found

    @property
    def pushes(self) -> int:
        """How many were accepted."""
        return sum(map(len, self.sends().values()))

    def sends(self) -> dict[str, list[Entry]]:
        """What each installation got."""
        everything = self.providers.sends
        return {key: everything[address] for key, address in self.addresses.items() if address in everything}

    async def batches(self) -> dict[str, frozenset[str]]:
        """Who is in which batch."""
        query = sa.select(batches.c.id, batches.c.recipients).where(batches.c.campaign_id == self.campaign_id)
        async with self.database.read() as connection:
            rows = (await connection.execute(query)).all()
        return {row.id: frozenset(key.decode() for key in KEYS.decode(row.recipients)) for row in rows}

    async def settled(self) -> frozenset[str]:
        """Who has an outcome."""
        return frozenset(key for key, outcome in (await self.outcomes()).items() if outcome)

    async def counts(self) -> dict[str, int]:
        return {key: len(entries) for key, entries in self.sends().items()}


def make_addresses(first: int, count: int) -> tuple[dict[str, tuple[str, str]], frozenset[str]]:
    """Installations by key: channel and address. A few can't be sent to at all."""
    found = {}
    unroutable = set()
    for number in range(count):
        key, unique = f"user-{number:05}", first + number
        if number % 97 == 96:
            found[key] = ("webpush", f"elsewhere-{unique}")
            unroutable.add(key)
        elif number % 89 == 88:
            found[key] = ("apns", f"not a token {unique}")
            unroutable.add(key)
        elif number % 2:
            found[key] = ("apns", f"{unique:064x}")
        else:
            found[key] = ("fcm", f"phone{unique:017d}:APA91b{unique:0134d}")
    return found, frozenset(unroutable)


@asynccontextmanager
async def open_stage(
    url: str,
    providers: Providers,
    *,
    first: int = 0,
    recipients: int = 400,
    start: bool = True,
    queue: Mapping[str, Any] | None = None,
    **sending: Any,
) -> AsyncIterator[Stage]:
    """A campaign, started but with nobody to run it yet.

    Args:
        first: the number of the first address; stages that share simulators must not share addresses.
        queue: settings of `QueueConfig`, where it isn't the store.
        sending: settings of `SendingConfig`, over those that make many steps of a small campaign.
    """
    settings = {"senders": 1, "page": 40, "batch": 10, "ranges": 3, "lease": 1.0, "longest_backoff": 0.2, **sending}
    config = Config.model_validate(
        {
            "store": {"url": url},
            "queue": dict(queue or {}),
            "apps": providers.apps(),
            "audiences": {"users": {"table": "users", "columns": {"channel": "channel"}}},
            "sending": settings,
        }
    )
    people, unroutable = make_addresses(first, recipients)
    async with AsyncExitStack() as stack:
        database = Database.open(url, patience=20.0)
        stack.push_async_callback(database.aclose)
        stentor = await stack.enter_async_context(Stentor(config))
        await _add_people(database, people)
        channels = [channel for channel, _ in people.values()]
        expected = {lane: channels.count(app.channel) for lane, app in lanes(config).items()}
        preview = Preview(  # counted here, so that `prepare`, which is tested elsewhere, isn't run for each trial
            title="Trial",
            lanes={lane: LanePreview(recipients=count, ceiling=1e6, seconds=0) for lane, count in expected.items()},
            unroutable=len(people) - sum(expected.values()),
            seconds=0.0,
        )
        campaign = await stentor.create(CONTENT, Selection(source="users"), preview=preview)
        if start:
            await stentor.start(campaign.id)
        yield Stage(
            stentor=stentor,
            database=database,
            config=config,
            campaign_id=campaign.id,
            providers=providers,
            addresses={key: address for key, (_, address) in people.items()},
            unroutable=unroutable,
        )


async def _add_people(database: Database, people: Mapping[str, tuple[str, str]]) -> None:
    async def change(connection: AsyncConnection) -> None:
        await connection.execute(sa.text("CREATE TABLE users (id TEXT PRIMARY KEY, channel TEXT, token TEXT)"))
        rows = [{"id": key, "channel": channel, "token": token} for key, (channel, token) in people.items()]
        await connection.execute(sa.text("INSERT INTO users VALUES (:id, :channel, :token)"), rows)

    await database.write(change)


async def prove(
    stage: Stage, *, state: CampaignState = CampaignState.COMPLETED, lost: Iterable[str] = ()
) -> dict[str, int]:
    """See that nothing was lost and nothing invented. Returns how often each installation was sent to.

    Args:
        lost: installations whose batch nobody could work on: they may have been sent to or not.
    """
    assert await stage.state() is state
    audit = await stage.stentor.audit(stage.campaign_id)
    assert audit.exact, audit.checks
    outcomes = await stage.outcomes()
    assert Outcome.PENDING not in outcomes.values()
    lost = frozenset(lost)
    assert {key for key, outcome in outcomes.items() if outcome == Outcome.AMBIGUOUS} == lost
    if state is CampaignState.COMPLETED:
        assert outcomes.keys() == stage.addresses.keys()
    for key in stage.unroutable & outcomes.keys():
        assert outcomes[key] in (Outcome.REJECTED, Outcome.CANCELLED)

    sends = stage.sends()
    accepted = {key for key, outcome in outcomes.items() if outcome == Outcome.ACCEPTED}
    assert accepted - sends.keys() == set(), "said to be accepted, and the provider knows nothing of it"
    assert sends.keys() - accepted - lost == set(), "taken by the provider, and said not to be"
    for entries in sends.values():
        assert len({entry.dedup_id for entry in entries}) == 1, "shown twice on the device"
        assert entries[0].dedup_id
    progress = await stage.stentor.progress(stage.campaign_id)
    total = progress.total
    told = total.accepted + total.rejected + total.expired + total.cancelled + total.ambiguous
    assert (told, total.accepted) == (len(outcomes), len(accepted))
    return {key: len(entries) for key, entries in sends.items()}


def repeats(counts: Mapping[str, int]) -> dict[str, int]:
    """Who got more than one, and how many."""
    return {key: count for key, count in counts.items() if count > 1}


def copy_of(blank: Path, path: Path) -> str:
    """The URL of a store with all tables and nothing in them, as `blank` is."""
    shutil.copyfile(blank, path)
    return f"sqlite:///{path}"
