"""What the demo plays on: an app's database full of phones, settings, and the simulators' word on who was sent to.

Rules: everything lies in one folder; nothing is sent but to the simulators; the phones' tokens follow from their
numbers, so that a ledger of any size is compared in a byte for each.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from stentor.channels import find
from stentor.cli import crowd
from stentor.cli.crowd import Crowd
from stentor.cli.init import simulated, toml
from stentor.config import FILE
from stentor.errors import InvalidConfiguration, StentorError

FAULTS = {
    "devices": {"unregistered": 0.01, "malformed": 0.001},
    "goaway": {"every": 4000},
    "reset": {"refused": 0.0005, "internal": 0.0002},
    "unavailable": {"at_s": 3.5, "for_s": 0.3, "every_s": 15.0, "share": 0.02},
}
"""1 % of the phones are gone, connections are closed in mid-traffic, requests are refused or left without an answer,
and now and then a server is overloaded."""
AUDIENCE = "users"
DATABASE = "app.db"
LEDGER_PAGE = 50_000

Facts = Mapping[str, Any]
"""What a simulator says of itself: its address, its CA, the credentials that it takes."""


def lane_of(channel: str) -> str:
    """The lane that `settings` makes for a channel."""
    return f"{channel}/{find(channel).example_app}"


def make_database(file: Path, people: Crowd) -> None:
    """An app's own database: a table of all their devices.

    Raises:
        InvalidConfiguration: it is there already, or cannot be written.
    """
    if file.exists():
        raise InvalidConfiguration(f"{file} is there already; name another folder, or remove what is in this one")
    try:
        database = sqlite3.connect(file)
        try:
            database.execute("CREATE TABLE devices (id INTEGER PRIMARY KEY, platform TEXT, token TEXT, language TEXT)")
            database.executemany("INSERT INTO devices VALUES (?, ?, ?, ?)", people.rows())
            database.commit()
        finally:
            database.close()
    except sqlite3.OperationalError as error:
        raise InvalidConfiguration(f"{file} cannot be written: {error}") from None


def settings(facts: Mapping[str, Facts]) -> str:
    """A stentor.toml for the database and the simulators, as somebody would write it for their own."""
    names = {crowd.PLATFORMS[channel]: channel for channel in facts if crowd.PLATFORMS[channel] != channel}
    apps = "\n".join(_table(f"apps.{find(channel).example_app}", simulated(each)) for channel, each in facts.items())
    return f"""\
# Made by `stentor demo`. `url` and `ca_file` lead to the simulators: without them, the providers are sent to.

[store]
url = "sqlite:///stentor.db"

{apps}
# Yours would be url = "postgresql://reader:password@host/app", and the names of your table and its columns.
[audiences.{AUDIENCE}]
url = "sqlite:///{DATABASE}"
table = "devices"
channels = {toml(names)}

[audiences.{AUDIENCE}.columns]
id = "id"
address = "token"
channel = "platform"
language = "language"

# Apple wants a push that met an overloaded server repeated after a quarter of an hour. Nobody watches a demo so long.
[sending]
longest_backoff = 1.0
"""


def _table(name: str, values: Mapping[str, Any]) -> str:
    return "".join([f"[{name}]\n", *(f"{key} = {toml(value)}\n" for key, value in values.items())])


def write_settings(folder: Path, facts: Mapping[str, Facts]) -> Path:
    """The settings' file, for its owner's eyes only."""
    file = folder / FILE
    file.touch(mode=0o600)
    file.write_text(settings(facts), "utf-8")
    return file


# -- the ledgers ------------------------------------------------------------------------------------------------------


class AcceptedPush(msgspec.Struct, frozen=True):
    """A push that a simulator accepted."""

    address: str
    dedup_id: str


class LedgerPage(msgspec.Struct, frozen=True):
    entries: list[AcceptedPush]
    next_after: int | None


_PAGE = msgspec.json.Decoder(LedgerPage)


@dataclass(slots=True, kw_only=True)
class Comparison:
    """A lane's account beside the ledger of the simulator that it was sent to."""

    lane: str
    recipients: int
    accepted: int = 0
    """By Stentor's account."""
    phones: int = 0
    """That are in the ledger."""
    missing: int = 0
    """Accepted by Stentor's account, and not in the ledger."""
    unexpected: int = 0
    """In the ledger, and not accepted by Stentor's account."""
    duplicates: int = 0
    """Entries of the ledger beyond the first of a phone."""
    collapsing: int = 0
    """Those that carry the same id as the first one, so that the phone shows one."""
    violations: int = 0
    """What HTTP/2 forbids and was done all the same."""
    faults: dict[str, int] = field(default_factory=dict)
    """What the simulator made go wrong, and how often."""

    @property
    def exact(self) -> bool:
        differences = self.missing + self.unexpected + self.violations
        return not differences and self.accepted == self.phones and self.duplicates == self.collapsing


async def compare(
    channel: str, facts: Facts, people: Crowd, failed: Collection[int], dedup_id: str, unsure: Collection[int] = ()
) -> Comparison:
    """Hold a lane's account against the ledger, phone by phone.

    Args:
        failed: the numbers of those that were not accepted, by Stentor's account.
        dedup_id: what the phones recognize a push by that came twice.
        unsure: the numbers of those of whom Stentor's account says that nobody knows.

    Raises:
        StentorError: the simulator doesn't answer.
    """
    phones, number_of = people.numbers(channel), people.number_of(channel)
    found = Comparison(lane=lane_of(channel), recipients=len(phones))
    seen = bytearray(phones.stop)
    try:
        async with aiohttp.ClientSession(facts["control_url"]) as session:
            async for entries in _ledger(session):
                for entry in entries:
                    number = number_of(entry.address)
                    if seen[number]:
                        found.duplicates += 1
                        found.collapsing += entry.dedup_id == dedup_id
                    seen[number] = 1
            async with session.get("/summary") as response:
                summary = await response.json()
    except aiohttp.ClientError as error:
        raise StentorError(f"the simulator of {channel} doesn't answer: {error}") from None
    for number in unsure:
        seen[number] = 0
    found.phones = seen.count(1)
    for number in phones:
        accepted = number not in failed
        found.accepted += accepted
        found.missing += accepted and not seen[number]
        found.unexpected += not accepted and seen[number]
    found.violations = len(summary["violations"])
    found.faults = summary["injected"]
    return found


async def _ledger(session: aiohttp.ClientSession) -> AsyncIterator[Sequence[AcceptedPush]]:
    after: int | None = -1
    while after is not None:
        async with session.get("/ledger", params={"after": after, "limit": LEDGER_PAGE}) as response:
            page = _PAGE.decode(await response.read())
        yield page.entries
        after = page.next_after
