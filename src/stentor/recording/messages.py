"""What became of a message to a few recipients: each of them with its outcome, from the store as it is now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.account import decode_waiting
from stentor.audience.contract import NO_LANE, Selection
from stentor.errors import UnknownCampaign
from stentor.outcome import Outcome
from stentor.recording.audit import KEYS
from stentor.store import campaigns
from stentor.store.campaigns import Campaign
from stentor.store.tables import batches
from stentor.store.tables import failures as failed

WAITING = "waiting"
"""Who has no outcome yet."""
_EXPLAINED = ("reason", "status", "detail", "dead", "tries")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipientOutcome:
    """What became of one recipient."""

    installation: str
    """Its id; of an address `address-1`, `address-2` and so on, in the order in which they were named."""
    lane: str | None
    """None: it is on no lane."""
    outcome: str
    """`accepted`, `rejected`, `expired`, `cancelled`, `ambiguous`, or `waiting`."""
    reason: str = ""
    """Why it was not accepted, or not yet; empty where it was not tried yet."""
    status: int = 0
    """The HTTP status; 0 if no answer gave it."""
    detail: str = ""
    dead: bool = False
    """Whether the address will never work again."""
    tries: int = 0
    """Known of those who were not accepted."""
    next_try_at: float | None = None
    """Epoch seconds before which it is not tried again; None where that is not to be waited for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageOutcome:
    """A message, and what became of everybody whom it is for."""

    campaign: Campaign
    recipients: tuple[RecipientOutcome, ...]
    """In the order in which they were named."""
    at: float
    """Epoch seconds."""

    @property
    def id(self) -> str:
        return self.campaign.id

    @property
    def settled(self) -> bool:
        """Whether everybody has an outcome."""
        return all(each.outcome != WAITING for each in self.recipients)


async def message_outcome(connection: AsyncConnection, message_id: str, now: float) -> MessageOutcome:
    """What became of a message. Raises: UnknownCampaign: there is no such message."""
    campaign = await campaigns.get(connection, message_id)
    if not campaign.is_message:
        raise UnknownCampaign(f"{message_id!r} is a campaign, not a message; `stentor campaign show` tells of it")
    query = select(batches).where(batches.c.campaign_id == message_id).order_by(batches.c.id)
    rows = (await connection.execute(query)).all()
    found = (await connection.execute(select(failed).where(failed.c.campaign_id == message_id))).all()
    failures = {(row.batch_id, row.position): row for row in found}
    return outcome_of(campaign, [each for row in rows for each in _recipients(row, failures)], now)


def outcome_of(campaign: Campaign, recipients: Sequence[RecipientOutcome], now: float) -> MessageOutcome:
    """A message with its recipients, who come in the order of their batches."""
    named = msgspec.json.decode(campaign.audience, type=Selection).only or []
    place = {key.lower(): position for position, key in enumerate(named)}
    in_order = sorted(recipients, key=lambda each: place.get(each.installation.lower(), len(place)))
    return MessageOutcome(campaign=campaign, recipients=tuple(in_order), at=now)


def _recipients(row: Row[Any], failures: dict[tuple[str, int], Row[Any]]) -> Sequence[RecipientOutcome]:
    waiting = {each.position: each for each in decode_waiting(row.waiting)}
    outcomes = row.outcomes or bytes(row.size)
    lane = None if row.lane == NO_LANE else row.lane
    told = []
    for position, key in enumerate(KEYS.decode(row.recipients)):
        outcome = Outcome(outcomes[position])
        name = WAITING if outcome is Outcome.PENDING else outcome.name.lower()
        found = RecipientOutcome(installation=key.decode(errors="replace"), lane=lane, outcome=name)
        if (failure := failures.get((row.id, position))) is not None:
            found = replace(found, **{each: getattr(failure, each) for each in _EXPLAINED})
        elif outcome is Outcome.PENDING and (waits := waiting.get(position)) is not None:
            at = None if waits.begun else waits.not_before
            found = replace(found, reason=waits.reason, tries=waits.tries, next_try_at=at)
        told.append(found)
    return told
