"""One message to a few addresses, with neither database nor audience nor campaign: `push`.

For trying out credentials, an app, a message. Rules: each address is tried once, and what became of it is told; nothing
is stored, so nothing is retried later, marked dead, or taken back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from stentor.audience.contract import LANGUAGE, role_of
from stentor.audience.source import nearest_to
from stentor.config import Config, lanes
from stentor.errors import InvalidConfiguration, InvalidMessage
from stentor.planning.content import Content
from stentor.providers.channels import open_lane
from stentor.providers.contract import Answer, ambiguous
from stentor.providers.lane import CampaignContent, Flight, Lane
from stentor.store.campaigns import new_id

MOST_ADDRESSES = 1000
"""That one call sends to; more are an audience."""
ANSWER_WITHIN = 60.0
"""Seconds for which answers are waited for."""
CLOSE_WITHIN = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """What became of the push to one address."""

    accepted: bool
    id: str = ""
    """Of a chat's message: what the provider gave for it."""
    moved_to: str = ""
    """The address that the recipient has now, where the provider says so."""
    reason: str = ""
    """Why it was not accepted, in the provider's word."""
    status: int = 0
    """The HTTP status; 0 if no answer gave it."""
    meaning: str = ""
    """The reason in a sentence; empty if no table knows it."""
    detail: str = ""
    """What the provider explained."""


async def push(
    config: Config,
    lane: str,
    content: Content,
    addresses: Sequence[str],
    *,
    language: str | None = None,
    clock: Callable[[], float] = time.time,
) -> list[Pushed]:
    """Send a message to some addresses at once, each tried once. The store is not touched.

    Args:
        lane: `channel/app`, such as `apns/ios`.
        addresses: device tokens, subscriptions, chats: as the audience's column of addresses would hold them.
        language: which translation they get; None: the message itself.
        clock: epoch seconds.

    Returns: what became of each, in the order of the addresses.

    Raises:
        InvalidConfiguration: there is no such lane, or there are no addresses, or too many.
        InvalidMessage: the provider would refuse it, or a template needs a value that `Content.values` doesn't have.
        CredentialError, CredentialUnavailable: there are no credentials that can be used.
    """
    known = lanes(config)
    if lane not in known:
        raise InvalidConfiguration(f"there is no lane {lane!r} in the settings; {nearest_to(lane, known)}")
    if not 0 < len(addresses) <= MOST_ADDRESSES:
        raise InvalidConfiguration(
            f"a push is for 1 to {MOST_ADDRESSES:,} addresses, not {len(addresses):,}; for more, send to an audience"
        )
    content.check()
    if needed := [name for name in content.variables if role_of(name) is None]:
        raise InvalidMessage(f"values.{needed[0]}", "is missing; the message needs it, and a push has no audience")
    opened = open_lane(lane.partition("/")[2], known[lane], clock)
    try:
        return await _push(opened, content, [each.strip().encode() for each in addresses], language, clock)
    finally:
        await opened.aclose(CLOSE_WITHIN)


async def _push(
    lane: Lane, content: Content, addresses: Sequence[bytes], language: str | None, clock: Callable[[], float]
) -> list[Pushed]:
    now = clock()
    campaign_id = new_id(now)
    await lane.check()
    prepared = await lane.prepare(
        CampaignContent(id=campaign_id, content=content, started_at=now, collapse_id=campaign_id)
    )
    recipients = [b"%d" % number for number in range(len(addresses))]
    languages = bytes([content.language_index(language)]) * len(addresses) if len(content.languages) > 1 else None
    variables = [{LANGUAGE: language or ""}] * len(addresses) if content.variables else None
    flight = await lane.begin(prepared, recipients, addresses, languages, variables)
    try:
        async with asyncio.timeout(ANSWER_WITHIN):
            await flight.done()
    except TimeoutError:
        flight.withdraw("no answer in time")
    return _told(lane, flight, len(addresses), clock())


def _told(lane: Lane, flight: Flight, count: int, now: float) -> list[Pushed]:
    answers, receipts = flight.answers(now), flight.receipts()
    told = []
    for index, accepted in enumerate(flight.accepted()[:count]):
        if accepted:
            taken = receipts.get(index)
            told.append(Pushed(accepted=True, id=taken.id if taken else "", moved_to=taken.moved_to if taken else ""))
            continue
        answer: Answer = answers.get(index) or ambiguous("no answer in time")
        told.append(
            Pushed(
                accepted=False,
                moved_to=answer.moved_to,
                reason=answer.reason,
                status=answer.status,
                meaning=lane.meaning(answer.reason),
                detail=answer.detail,
            )
        )
    return told
