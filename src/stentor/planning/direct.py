"""A message to a few recipients becomes batches at once: one a lane, in the transaction that makes the message.

There is no plan step: the message has one chain, which is done as it begins, so that an audit and an explanation read
of it what they read of a campaign. Rules: everybody who was named is in a batch; who is not in the audience is in one
that is rejected as planned. Pure, but for `add_message`.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.audience.contract import NO_LANE, Page
from stentor.batch import VERSION, Batch
from stentor.own_reasons import NOT_IN_AUDIENCE
from stentor.planning.division import Divider, Planned
from stentor.planning.planner import add_batches
from stentor.store import campaigns
from stentor.store.campaigns import Campaign
from stentor.store.database import insert_or_ignore
from stentor.store.tables import chains

CHAIN = "0.0"
"""The only chain of a message; its step 0 is the only one."""


def plan_message(divider: Divider, page: Page, named: Sequence[str]) -> list[Planned]:
    """The batches of a message.

    Args:
        page: those of the recipients who were found.
        named: the keys of all of them, each once.
    """
    planned = divider.divide(page, f"{CHAIN}.0")
    if absent := _absent(named, [key.decode() for key in page.keys]):
        keys = [key.encode() for key in absent]
        nobody = Batch(
            version=VERSION,
            id=f"{divider.campaign_id}/none/{CHAIN}.0.{len(planned)}",
            campaign_id=divider.campaign_id,
            lane=NO_LANE,
            expires_at=divider.expires_at,
            recipients=keys,
            addresses=[b""] * len(keys),
        )
        encoded = msgspec.msgpack.encode(keys)
        planned.append(Planned(batch=nobody, payload=b"", keys=encoded, refused=NOT_IN_AUDIENCE))
    return planned


async def add_message(
    connection: AsyncConnection,
    campaign: Campaign,
    content: bytes,
    addresses: bytes | None,
    planned: Sequence[Planned],
) -> bool:
    """Store a message with its batches; once, however often it is told. See `campaigns.add`."""
    is_new = await campaigns.add(connection, campaign, content, addresses)
    read = sum(len(each.batch) for each in planned)
    chain = {"campaign_id": campaign.id, "chain": CHAIN, "step": 1, "read": read, "done": True}
    await connection.execute(insert_or_ignore(connection, chains).values(**chain))
    await add_batches(connection, planned, campaign.created_at)
    return is_new


def _absent(named: Sequence[str], found: Sequence[str]) -> list[str]:
    """Who of these was not found. A database may write a key otherwise than it was named: a UUID in lower case, say."""
    missing = [key for key in named if key not in set(found)]
    others = {key.lower() for key in set(found).difference(named)}
    return [key for key in missing if key.lower() not in others]
