"""What all tests here need: two strict simulators that remember who got what, an audience, and the proof afterwards.

The proof (`prove`) compares three accounts that know nothing of each other: the audience as it was made, the store, and
the simulators' ledgers.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.audience.contract import Selection
from stentor.cli.init import simulated
from stentor.config import Config, lanes
from stentor.model import Message
from stentor.outcome import Outcome
from stentor.planning.content import Content
from stentor.queue.contract import PLAN
from stentor.queue.sql import SqlQueue
from stentor.runtime.draft import Draft
from stentor.runtime.preview import LanePreview, Preview
from stentor.runtime.stentor import Stentor
from stentor.simulators.apns import ApnsSimulator
from stentor.simulators.discord import DiscordSimulator
from stentor.simulators.faults import Devices, Faults, GoAway, Latency, Reset, StreamLimit, Unavailable
from stentor.simulators.fcm import FcmSimulator
from stentor.simulators.ledger import Entry
from stentor.simulators.simulator import Simulator
from stentor.simulators.telegram import TelegramSimulator
from stentor.simulators.webhook import WebhookSimulator
from stentor.simulators.webpush import WebPushSimulator
from stentor.states import CampaignState
from stentor.store.database import POSTGRESQL, Database
from stentor.store.tables import campaigns, tasks
from tests.integration.ledgers import CHATS, UNSENT, Person, check, people_of
from tests.integration.processes import LOOK

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
SIMULATORS: Mapping[str, type[Simulator]] = {
    "apns": ApnsSimulator,
    "fcm": FcmSimulator,
    "webpush": WebPushSimulator,
    "telegram": TelegramSimulator,
    "discord": DiscordSimulator,
    "webhook": WebhookSimulator,
}
CHANNELS = tuple(SIMULATORS)
PHONES = ("apns", "fcm")
APPS = {"apns": "ios", "fcm": "android", "webpush": "web", "telegram": "bot", "discord": "guild", "webhook": "hook"}
"""What each channel's app is called."""
RATE = 50.0
"""Messages a second on channels that have no other bound; a bot's own are lower."""
RATES: Mapping[str, Mapping[str, float]] = {
    "apns": {"max_connections": 1},
    "fcm": {"max_connections": 1},
    "webpush": {"max_connections": 1, "rate": RATE},
    "telegram": {"rate": 30.0},
    "discord": {"rate": 40.0},
    "webhook": {"rate": RATE},
}
"""As `Providers.rates`, where nothing else is said."""


@dataclass(slots=True)
class Providers:
    """A simulator for each lane, and everything they accepted, by address."""

    simulators: Mapping[str, Simulator]
    """By channel."""
    rates: Mapping[str, Mapping[str, float]] = field(default_factory=lambda: RATES)
    """How much of each its app makes use of, by channel."""
    _sends: dict[str, list[Entry]] = field(default_factory=lambda: defaultdict(list))
    _seen: dict[str, int] = field(default_factory=lambda: defaultdict(lambda: -1))

    @property
    def channels(self) -> tuple[str, ...]:
        return tuple(self.simulators)

    def some(self, channels: Sequence[str]) -> Providers:
        """Those of some channels alone."""
        return replace(self, simulators={channel: self.simulators[channel] for channel in channels})

    @property
    def accepted(self) -> int:
        """Pushes so far, of all campaigns."""
        return sum(len(simulator.ledger) for simulator in self.simulators.values())

    @property
    def sends(self) -> Mapping[str, list[Entry]]:
        for name, simulator in self.simulators.items():
            for entry in simulator.ledger.page(self._seen[name], len(simulator.ledger)):
                self._sends[entry.address].append(entry)
                self._seen[name] = entry.number
        return self._sends

    def apps(self) -> dict[str, dict[str, Any]]:
        """Settings by which they are reached."""
        return {
            APPS[channel]: {**simulated(simulator.facts()), **self.rates[channel]}
            for channel, simulator in self.simulators.items()
        }

    def addresses(self, channel: str, numbers: Sequence[int]) -> list[str]:
        """Of so many installations, by their numbers, which no other has."""
        if channel == "webpush":
            browsers = self.simulators["webpush"]
            assert isinstance(browsers, WebPushSimulator)
            return [next(browsers.subscriptions(1, number)) for number in numbers]
        return [ADDRESSES[channel](number) for number in numbers]


ADDRESSES: Mapping[str, Callable[[int], str]] = {
    "apns": lambda number: f"{number:064x}",
    "fcm": lambda number: f"phone{number:017d}:APA91b{number:0134d}",
    "telegram": lambda number: str(1000 + number),
    "discord": lambda number: str(3 * 10**17 + number),
    "webhook": lambda number: f"+49 30 {number:09}",
}


@asynccontextmanager
async def open_providers(
    faults: Faults = FAULTS,
    seed: int = 0,
    channels: Sequence[str] = PHONES,
    rates: Mapping[str, Mapping[str, float]] = RATES,
    options: Mapping[str, Any] = MappingProxyType({}),
) -> AsyncIterator[Providers]:
    """Args:
    options: how a channel's simulator is set up, where not as it is by itself.
    """
    async with AsyncExitStack() as stack:
        found = {}
        for channel in channels:
            given: dict[str, Any] = {"options": options[channel]} if channel in options else {}
            opened = SIMULATORS[channel](seed=seed, faults=faults, **given)
            found[channel] = await stack.enter_async_context(opened)
        yield Providers(found, rates)
        for simulator in found.values():
            assert not simulator.violations


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
    channels: Mapping[str, str]
    """Of each installation that can."""
    unroutable: frozenset[str]

    @property
    def queue(self) -> SqlQueue:
        return SqlQueue(self.database)

    @property
    def lanes(self) -> list[str]:
        return [PLAN, *lanes(self.config)]

    def of(self, campaign_id: str) -> Stage:
        """The same with another campaign over this audience."""
        return replace(self, campaign_id=campaign_id)

    async def state(self) -> CampaignState:
        return (await self.stentor.campaigns.get(self.campaign_id)).state

    async def people(self) -> dict[str, Person]:
        """Everybody who is planned, or in a ledger."""
        return await people_of(self.database, self.campaign_id, self.sends())

    async def outcomes(self) -> dict[str, int]:
        """What is recorded of each installation; nothing of those that aren't planned yet.

        Raises: AssertionError: one is there twice.
        """
        people = await people_of(self.database, self.campaign_id, {})
        return {key: person.outcome for key, person in people.items()}

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
        found: dict[str, set[str]] = defaultdict(set)
        for person in (await people_of(self.database, self.campaign_id, {})).values():
            found[person.batch].add(person.key)
        return {batch: frozenset(keys) for batch, keys in found.items()}

    async def in_hands(self) -> frozenset[str]:
        """Who has no outcome, and is in a batch that a sender holds, or held and neither settled nor gave back with a
        word of them; where the queue is in the store. To be asked when no sender runs."""
        await self._see_that_the_dead_are_done()
        which = sa.or_(tasks.c.lease.is_not(None), tasks.c.deliveries > 0)
        held = {row.id for row in await self.database.rows(sa.select(tasks.c.id).where(which))}
        people = (await people_of(self.database, self.campaign_id, {})).values()
        return frozenset(each.key for each in people if each.outcome is Outcome.PENDING and each.batch in held)

    async def _see_that_the_dead_are_done(self) -> None:
        """PostgreSQL ends a statement that it has begun, also if whoever asked for it was killed meanwhile."""
        if self.database.dialect != POSTGRESQL:
            return
        busy = sa.text(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND backend_type = 'client backend' AND state = 'active'"
        )
        while await self.database.rows(busy):  # noqa: ASYNC110 - nothing tells when the server is done
            await asyncio.sleep(LOOK)

    async def inherited(self) -> Mapping[str, int]:
        """How often each was in a batch that was taken again though whoever held it neither settled it nor gave it
        back; of stages whose leases are watched (`watch_leases`)."""
        times = Counter(row.id for row in await self.database.rows(sa.text("SELECT id FROM inherited")))
        batches = await self.batches()
        return {key: count for batch, count in times.items() for key in batches.get(batch, ())}

    async def settled(self) -> frozenset[str]:
        """Who has an outcome."""
        return frozenset(key for key, outcome in (await self.outcomes()).items() if outcome)

    async def counts(self) -> dict[str, int]:
        return {key: len(entries) for key, entries in self.sends().items()}


def make_people(first: int, count: int, providers: Providers) -> tuple[dict[str, tuple[str, str]], frozenset[str]]:
    """Installations by key: channel and address, the channels in turn. A few can't be sent to at all."""
    numbers: dict[str, list[int]] = {channel: [] for channel in providers.channels}
    found = {}
    unroutable = set()
    for number in range(count):
        key, unique = f"user-{number:05}", first + number
        if number % 97 == 96:
            found[key] = ("", f"nowhere-{unique}")
            unroutable.add(key)
        elif number % 89 == 88 and "apns" in numbers:
            found[key] = ("apns", f"not a token {unique}")
            unroutable.add(key)
        else:
            numbers[providers.channels[(number + 1) % len(numbers)]].append(number)
    for channel, mine in numbers.items():
        for number, address in zip(mine, providers.addresses(channel, [first + each for each in mine]), strict=True):
            found[f"user-{number:05}"] = (channel, address)
    return dict(sorted(found.items())), frozenset(unroutable)


@asynccontextmanager
async def open_stage(
    url: str,
    providers: Providers,
    *,
    first: int = 0,
    recipients: int = 400,
    start: bool = True,
    queue: Mapping[str, Any] | None = None,
    content: Content = CONTENT,
    lifetime: float | None = None,
    clock: Callable[[], float] = time.time,
    **sending: Any,
) -> AsyncIterator[Stage]:
    """A campaign, started but with nobody to run it yet.

    Args:
        first: the number of the first address; stages that share simulators must not share addresses.
        queue: settings of `QueueConfig`, where it isn't the store.
        lifetime: seconds after which the message's life ends: fewer than may be asked for, which is a minute.
        clock: of the machine on which the campaign is started.
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
    people, unroutable = make_people(first, recipients, providers)
    async with AsyncExitStack() as stack:
        database = Database.open(url, patience=20.0)
        stack.push_async_callback(database.aclose)
        stentor = await stack.enter_async_context(Stentor(config, clock))
        await _add_people(database, people)
        channels = [channel for channel, _ in people.values()]
        expected = {lane: channels.count(app.channel) for lane, app in lanes(config).items()}
        preview = Preview(  # counted here, so that `prepare`, which is tested elsewhere, isn't run for each trial
            title="Trial",
            lanes={lane: LanePreview(recipients=count, ceiling=1e6, seconds=0) for lane, count in expected.items()},
            unroutable=len(people) - sum(expected.values()),
            seconds=0.0,
            confirmation="",
        )
        campaign = await stentor.campaigns.create(Draft(content, Selection(source="users")), preview=preview)
        if start:
            await stentor.campaigns.start(campaign.id)
        if lifetime is not None:
            await _end_life(database, campaign.id, lifetime)
        yield Stage(
            stentor=stentor,
            database=database,
            config=config,
            campaign_id=campaign.id,
            providers=providers,
            addresses={key: address for key, (_, address) in people.items()},
            channels={key: channel for key, (channel, _) in people.items() if key not in unroutable},
            unroutable=unroutable,
        )


async def _add_people(database: Database, people: Mapping[str, tuple[str, str]]) -> None:
    async def change(connection: AsyncConnection) -> None:
        await connection.execute(sa.text("CREATE TABLE users (id TEXT PRIMARY KEY, channel TEXT, token TEXT)"))
        rows = [{"id": key, "channel": channel, "token": token} for key, (channel, token) in people.items()]
        await connection.execute(sa.text("INSERT INTO users VALUES (:id, :channel, :token)"), rows)

    await database.write(change)


async def watch_leases(database: Database) -> None:
    """Have the database itself keep which batches are inherited (`Stage.inherited`): nobody who looks now and then sees
    every lease that ends on a busy machine."""
    taken_again = "WHEN (NEW.deliveries > 1 AND NEW.deliveries > OLD.deliveries)"
    trigger = f"CREATE TRIGGER inherit AFTER UPDATE ON {tasks.name} FOR EACH ROW {taken_again}"
    if database.dialect == "sqlite":
        made = [f"{trigger} BEGIN INSERT INTO inherited VALUES (NEW.id); END"]
    else:
        body = "BEGIN INSERT INTO inherited VALUES (NEW.id); RETURN NULL; END"
        made = [
            f"CREATE FUNCTION inherit() RETURNS trigger AS $$ {body} $$ LANGUAGE plpgsql",
            f"{trigger} EXECUTE FUNCTION inherit()",
        ]

    async def change(connection: AsyncConnection) -> None:
        for statement in ("CREATE TABLE inherited (id TEXT)", *made):
            await connection.execute(sa.text(statement))

    await database.write(change)


async def _end_life(database: Database, campaign_id: str, lifetime: float) -> None:
    """Have the message's life end so many seconds after the start. Before anything is planned."""
    change = sa.update(campaigns).values(expires_at=campaigns.c.starts_at + lifetime)
    await database.write(lambda connection: connection.execute(change.where(campaigns.c.id == campaign_id)))


async def prove(
    stage: Stage,
    *,
    state: CampaignState = CampaignState.COMPLETED,
    lost: Iterable[str] = (),
    unsure: Iterable[str] = (),
) -> dict[str, int]:
    """See that nothing was lost and nothing invented, person by person. Returns how often each installation was sent
    to.

    Args:
        lost: installations whose batch nobody could work on: they may have been sent to or not, and are ambiguous.
        unsure: those who may be ambiguous besides.
    """
    assert await stage.state() is state
    people = await stage.people()
    lost = frozenset(lost)
    unsure = lost.union(unsure)
    check(people, unsure=unsure)
    audit = await stage.stentor.outcomes.audit(stage.campaign_id)
    assert audit.exact, audit.checks
    outcomes = {key: person.outcome for key, person in people.items()}
    assert {key for key in lost if outcomes[key] is not Outcome.AMBIGUOUS} == set()
    if state is CampaignState.COMPLETED:
        assert outcomes.keys() == stage.addresses.keys()
    for key in stage.unroutable & outcomes.keys() - unsure:
        assert outcomes[key] in UNSENT, f"{people[key]}, and cannot be sent to"
    for person in people.values():
        assert person.channel in CHATS or all(entry.dedup_id for entry in person.sends)
    total = (await stage.stentor.outcomes.progress(stage.campaign_id)).total
    told = total.accepted + total.rejected + total.expired + total.cancelled + total.ambiguous
    assert (told, total.accepted) == (len(outcomes), list(outcomes.values()).count(Outcome.ACCEPTED))
    return {key: len(person.sends) for key, person in people.items() if person.sends}


def repeats(counts: Mapping[str, int]) -> dict[str, int]:
    """Who got more than one, and how many."""
    return {key: count for key, count in counts.items() if count > 1}


def copy_of(blank: Path, path: Path) -> str:
    """The URL of a store with all tables and nothing in them, as `blank` is."""
    shutil.copyfile(blank, path)
    return f"sqlite:///{path}"
