"""What is told of a message as JSON: the command line's `--json` and the API say the same.

Times are epoch seconds. Rules: a field that is there stays there with its meaning; programs must take new ones in their
stride.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from stentor.recording.messages import MessageOutcome
from stentor.store.campaigns import Campaign
from stentor.store.templates import UsedTemplate


class MessageRecipientShape(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one recipient."""

    installation: str
    """Its id. Addresses are called `address-1`, `address-2` and so on, in the order in which they were named."""
    lane: str | None
    """Null: it is on no lane."""
    outcome: str
    """`accepted`, `rejected`, `expired`, `cancelled`, `ambiguous` or `waiting`."""
    reason: str
    """Why it was not accepted, or not yet. Empty if it was not tried yet."""
    status: int
    """The HTTP status; 0 if no answer gave it."""
    detail: str
    dead: bool
    """Whether the address will never work again."""
    tries: int
    """How often it was tried, if it was not accepted."""
    next_try_at: float | None


class ListedMessageShape(msgspec.Struct, frozen=True, kw_only=True):
    """A message, without its recipients."""

    id: str
    title: str
    state: str
    """As a campaign's: `running`, `paused`, `cancelling`, `completed`, `cancelled` or `failed`."""
    created_at: float
    expires_at: float | None
    """When what is not sent yet expires."""
    finished_at: float | None
    template: UsedTemplate | None
    """The saved template, and its version, that it was made from. Null: none."""


class MessageShape(ListedMessageShape, frozen=True, kw_only=True):
    """A message, and what became of everybody whom it is for."""

    settled: bool
    """Whether everybody has an outcome."""
    recipients: Sequence[MessageRecipientShape]
    """In the order in which they were named."""
    at: float


_FACTS = ("id", "title", "created_at", "expires_at", "finished_at", "template")


def listed_message(campaign: Campaign) -> ListedMessageShape:
    return ListedMessageShape(**_facts(campaign))


def message(outcome: MessageOutcome) -> MessageShape:
    recipients = [
        MessageRecipientShape(**{name: getattr(each, name) for name in MessageRecipientShape.__struct_fields__})
        for each in outcome.recipients
    ]
    return MessageShape(**_facts(outcome.campaign), settled=outcome.settled, recipients=recipients, at=outcome.at)


def _facts(campaign: Campaign) -> dict[str, Any]:
    return {
        **{name: getattr(campaign, name) for name in _FACTS},
        "state": campaign.state.value,
    }
