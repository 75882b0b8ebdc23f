"""What Discord's addresses and receipts look like, and what each of them names. Pure.

A channel is its id, a user `user:` and the id, a webhook its URL or that URL's path, with `?thread_id=` for a thread of
its channel. What is needed to edit or delete a message is `channel/message`, or `webhook/token/message` and the thread.
Rules: a webhook's address holds its token, and so does its receipt: neither may be shown (`repr` leaves the token out).
The host in a webhook's URL is never asked, only Discord.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_ID = r"[1-9][0-9]{16,19}"
"""A snowflake: those of 2015, Discord's first, have 17 digits."""
_TOKEN = r"[A-Za-z0-9_-]{20,120}"
_CHANNEL = re.compile(_ID, re.ASCII)
_USER = re.compile(f"user:({_ID})", re.ASCII)
_HOST = r"https://(?:(?:ptb|canary)\.)?discord(?:app)?\.com"
_WEBHOOK = re.compile(rf"(?:{_HOST})?/api(?:/v[0-9]+)?/webhooks/({_ID})/({_TOKEN})/?(?:\?thread_id=({_ID}))?", re.ASCII)
_MESSAGE = re.compile(f"({_ID})/({_ID})", re.ASCII)
_WEBHOOK_MESSAGE = re.compile(f"({_ID})/({_TOKEN})/({_ID})(?:/({_ID}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class DiscordChannel:
    """A channel that the bot writes to."""

    id: str


@dataclass(frozen=True, slots=True)
class DiscordUser:
    """Somebody to whom the bot writes directly."""

    id: str


@dataclass(frozen=True, slots=True)
class Webhook:
    """A way into one channel that needs no bot."""

    id: str
    token: str = field(repr=False)
    thread: str | None = None
    """Of a thread of that channel, its id: a forum has nothing else that could be written to."""


@dataclass(frozen=True, slots=True)
class Posted:
    """A message that is there, by which it is edited and deleted."""

    place: DiscordChannel | Webhook
    message: str


Target = DiscordChannel | DiscordUser | Webhook
"""To whom a message goes."""


def parse_address(address: str) -> Target | None:
    """Whom an address names; None where it is none of Discord's."""
    if _CHANNEL.fullmatch(address):
        return DiscordChannel(address)
    if found := _USER.fullmatch(address):
        return DiscordUser(found[1])
    if found := _WEBHOOK.fullmatch(address):
        return Webhook(found[1], found[2], found[3])
    return None


def parse_receipt(receipt: str) -> Posted | None:
    """Which message a receipt is of; None where it is no receipt."""
    if found := _MESSAGE.fullmatch(receipt):
        return Posted(DiscordChannel(found[1]), found[2])
    if found := _WEBHOOK_MESSAGE.fullmatch(receipt):
        return Posted(Webhook(found[1], found[2], found[4]), found[3])
    return None


def receipt_of(posted: Posted) -> str:
    """What `parse_receipt` reads. It may be kept, and never shown."""
    place = posted.place
    if isinstance(place, DiscordChannel):
        return f"{place.id}/{posted.message}"
    receipt = f"{place.id}/{place.token}/{posted.message}"
    return receipt if place.thread is None else f"{receipt}/{place.thread}"
