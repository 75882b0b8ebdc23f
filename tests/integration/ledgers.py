"""What is on record of each recipient beside what the simulators' ledgers have: person by person, never in sums.

Rules: whoever is recorded as accepted is in a ledger; nobody who is in one is recorded as cancelled, expired or
rejected; ambiguous are at most those whom a fault may have left so; everybody has one outcome, and a reason where it is
no acceptance and no cancellation; a chat is in the ledger once, and what a device gets twice carries one id. This
module alone knows how the tests read outcomes from the store.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import sqlalchemy as sa

from stentor.channels import BUILT_IN, find
from stentor.outcome import Outcome, Verdict
from stentor.simulators.ledger import Entry
from stentor.store.database import Database
from stentor.store.tables import batches, failures

CHATS = frozenset({"telegram", "discord"})
"""Channels in which nothing replaces a message that was sent."""
UNSENT = frozenset({Outcome.CANCELLED, Outcome.EXPIRED, Outcome.REJECTED})
"""Outcomes that say that the provider doesn't have it."""
EXPLAINED = frozenset({Outcome.REJECTED, Outcome.EXPIRED, Outcome.AMBIGUOUS})
REFUSALS = frozenset(
    rule.reason
    for name in BUILT_IN
    for rule in find(name).rules()
    if rule.verdict in (Verdict.DROP, Verdict.REJECT, Verdict.FIX)
)
"""What a provider says of one recipient, or of the message. Who is ambiguous for it may have got the message on an
earlier try."""
SHOWN = 20
"""Persons of each kind of difference that are told one by one."""
_KEYS = msgspec.msgpack.Decoder(list[bytes])


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A recipient of a campaign, from both sides."""

    key: str
    batch: str = ""
    """Empty: in none, though a ledger has them."""
    lane: str = ""
    outcome: Outcome = Outcome.PENDING
    reason: str = ""
    """That of the failure on record; empty where there is none."""
    sends: tuple[Entry, ...] = ()
    """What a ledger has of them."""

    @property
    def channel(self) -> str:
        return self.lane.partition("/")[0]

    def __str__(self) -> str:
        recorded = f"{self.outcome.name.lower()}{f' for {self.reason}' if self.reason else ''}"
        got = ", ".join(f"number {entry.number} at {entry.time:.3f}" for entry in self.sends) or "nothing"
        where = f"in batch {self.batch} of {self.lane}" if self.batch else "in no batch"
        return f"{self.key} {where}: {recorded}; in the ledger: {got}"


async def people_of(database: Database, campaign_id: str, sends: Mapping[str, Sequence[Entry]]) -> dict[str, Person]:
    """Everybody who is planned, by key, and whoever else is in a ledger.

    Args:
        sends: what the ledgers have, by key.

    Raises: AssertionError: somebody is planned twice.
    """
    of_campaign = batches.c.campaign_id == campaign_id
    found: dict[str, Person] = {}
    rows = await database.rows(
        sa.select(batches.c.id, batches.c.lane, batches.c.recipients, batches.c.outcomes).where(of_campaign)
    )
    told = await database.rows(
        sa.select(failures.c.installation, failures.c.reason).where(failures.c.campaign_id == campaign_id)
    )
    reasons = {row.installation: row.reason for row in told}
    for row in rows:
        keys = [key.decode() for key in _KEYS.decode(row.recipients)]
        for key, outcome in zip(keys, row.outcomes or bytes(len(keys)), strict=True):
            assert key not in found, f"{key} is planned twice: in batch {found[key].batch} and in batch {row.id}"
            found[key] = Person(
                key=key,
                batch=row.id,
                lane=row.lane,
                outcome=Outcome(outcome),
                reason=reasons.get(key, ""),
                sends=tuple(sends.get(key, ())),
            )
    strangers = {key: Person(key=key, sends=tuple(sends[key])) for key in sends.keys() - found.keys()}
    return found | strangers


def differences(people: Mapping[str, Person], *, unsure: Collection[str] = ()) -> dict[str, list[Person]]:
    """Who is at fault, by what is wrong; empty where all is right.

    Args:
        unsure: who may end as ambiguous.
    """
    found: dict[str, list[Person]] = {}
    for key in sorted(people):
        for wrong in _wrongs(people[key], unsure):
            found.setdefault(wrong, []).append(people[key])
    return found


def _wrongs(person: Person, unsure: Collection[str]) -> Iterator[str]:
    outcome = person.outcome
    if not person.batch:
        yield "in the ledger, and in no batch"
        return
    if outcome is Outcome.PENDING:
        yield "without an outcome"
    if outcome is Outcome.ACCEPTED and not person.sends:
        yield "accepted on record, and not in the ledger"
    if outcome in UNSENT and person.sends:
        yield f"{outcome.name.lower()} on record, and in the ledger"
    if outcome is Outcome.AMBIGUOUS and person.key not in unsure and person.reason not in REFUSALS:
        yield "ambiguous without a cause"
    if outcome in EXPLAINED and not person.reason:
        yield f"{outcome.name.lower()} without a reason"
    if person.channel in CHATS and len(person.sends) > 1:
        yield "in the ledger twice, and shown twice"
    if person.channel not in CHATS and (len({entry.dedup_id for entry in person.sends}) > 1):
        yield "in the ledger under two ids, and shown twice"


def told(found: Mapping[str, Sequence[Person]]) -> str:
    """The differences as text: how many of each lane, and then who."""
    lines = []
    for wrong, persons in found.items():
        lanes = ", ".join(
            f"{count} of {lane}" for lane, count in sorted(Counter(each.lane for each in persons).items())
        )
        lines.append(f"{len(persons)} {wrong} ({lanes}):")
        lines += [f"  {person}" for person in persons[:SHOWN]]
        if len(persons) > SHOWN:
            lines.append(f"  and {len(persons) - SHOWN} more")
    return "\n".join(lines)


def check(people: Mapping[str, Person], *, unsure: Collection[str] = ()) -> None:
    """Raises: AssertionError: record and ledgers differ; tells where and of whom."""
    found = differences(people, unsure=unsure)
    assert not found, told(found)


def reached(people: Mapping[str, Person]) -> frozenset[str]:
    """Who has it, or may have it, by what is on record."""
    return frozenset(key for key, person in people.items() if person.outcome in (Outcome.ACCEPTED, Outcome.AMBIGUOUS))
