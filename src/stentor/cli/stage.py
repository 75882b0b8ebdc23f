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

from stentor.cli.init import toml
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
LANES = {"apns": "apns/ios", "fcm": "fcm/android"}
AUDIENCE = "users"
DATABASE = "app.db"
LANGUAGES = ("en", "de", "fr", "pt-BR")
LEDGER_PAGE = 50_000

Facts = Mapping[str, Any]
"""What a simulator says of itself: its address, its CA, the credentials that it takes."""


def make_database(file: Path, phones: int) -> None:
    """An app's own database: a table of `phones` devices, half of them Apple's.

    Raises:
        InvalidConfiguration: it is there already, or cannot be written.
    """
    if file.exists():
        raise InvalidConfiguration(f"{file} is there already; name another folder, or remove what is in this one")
    try:
        database = sqlite3.connect(file)
        try:
            database.execute("CREATE TABLE devices (id INTEGER PRIMARY KEY, platform TEXT, token TEXT, language TEXT)")
            database.executemany("INSERT INTO devices VALUES (?, ?, ?, ?)", map(device, range(1, phones + 1)))
            database.commit()
        finally:
            database.close()
    except sqlite3.OperationalError as error:
        raise InvalidConfiguration(f"{file} cannot be written: {error}") from None


def device(number: int) -> tuple[int, str, str, str]:
    """A phone's row, by its number."""
    language = LANGUAGES[number // 2 % len(LANGUAGES)]
    if number % 2:
        return number, "ios", f"{number:064x}", language
    return number, "android", f"phone{number:017}:APA91b{number:0134}", language


def phones_of(channel: str, phones: int) -> range:
    """The numbers of a provider's share of the phones."""
    return range(1 if channel == "apns" else 2, phones + 1, 2)


def number_of(address: str) -> int:
    """Which phone an address is of."""
    return int(address.partition(":")[0].removeprefix("phone")) if ":" in address else int(address, 16)


def settings(facts: Mapping[str, Facts]) -> str:
    """A stentor.toml for the database and the simulators, as somebody would write it for their own."""
    apns, fcm = facts["apns"], facts["fcm"]
    ios = {
        "channel": "apns",
        "topic": "com.example.app",
        **{name: apns[name] for name in ("key_file", "key_id", "team_id", "url", "ca_file")},
    }
    android = {
        "channel": "fcm",
        **{name: fcm[name] for name in ("service_account_file", "project", "token_url", "url", "ca_file")},
    }
    return f"""\
# Made by `stentor demo`. `url` and `ca_file` lead to the simulators: without them, Apple and Google are sent to.

[store]
url = "sqlite:///stentor.db"

{_table("apps.ios", ios)}
{_table("apps.android", android)}
# Yours would be url = "postgresql://reader:password@host/app", and the names of your table and its columns.
[audiences.{AUDIENCE}]
url = "sqlite:///{DATABASE}"
table = "devices"
channels = {{ ios = "apns", android = "fcm" }}

[audiences.{AUDIENCE}.columns]
id = "id"
address = "token"
channel = "platform"
language = "language"

# Apple wants a push that met an overloaded server repeated after a quarter of an hour. Nobody watches a demo so long.
[sending]
longest_backoff = 1.0
"""


def _table(name: str, values: Mapping[str, str]) -> str:
    return "".join([f"[{name}]\n", *(f"{key} = {toml(value)}\n" for key, value in values.items())])


def write_settings(folder: Path, facts: Mapping[str, Facts]) -> Path:
    """The settings' file, for its owner's eyes only."""
    file = folder / FILE
    file.touch(mode=0o600)
    file.write_text(settings(facts))
    return file


# -- the ledgers ------------------------------------------------------------------------------------------------------


class Entry(msgspec.Struct, frozen=True):
    """A push that a simulator accepted."""

    address: str
    dedup_id: str


class LedgerPage(msgspec.Struct, frozen=True):
    entries: list[Entry]
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


async def compare(lane: str, facts: Facts, phones: range, failed: Collection[int], dedup_id: str) -> Comparison:
    """Hold a lane's account against the ledger, phone by phone.

    Args:
        phones: the numbers of the lane's phones.
        failed: the numbers of those that were not accepted, by Stentor's account.
        dedup_id: what the phones recognize a push by that came twice.

    Raises:
        StentorError: the simulator doesn't answer.
    """
    found = Comparison(lane=lane, recipients=len(phones))
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
        raise StentorError(f"the simulator of {lane} doesn't answer: {error}") from None
    found.phones = seen.count(1)
    for number in phones:
        accepted = number not in failed
        found.accepted += accepted
        found.missing += accepted and not seen[number]
        found.unexpected += not accepted and seen[number]
    found.violations = len(summary["violations"])
    found.faults = summary["injected"]
    return found


async def _ledger(session: aiohttp.ClientSession) -> AsyncIterator[Sequence[Entry]]:
    after: int | None = -1
    while after is not None:
        async with session.get("/ledger", params={"after": after, "limit": LEDGER_PAGE}) as response:
            page = _PAGE.decode(await response.read())
        yield page.entries
        after = page.next_after
