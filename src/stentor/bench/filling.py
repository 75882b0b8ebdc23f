"""A store as it is after years: for `stentor bench pages`. Rows are put in as they are, in bulk; nothing is sent.

Rules: the rows agree with one another, as if all of it had been sent: each batch's sums are those of its outcomes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import msgspec
from sqlalchemy import Table, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.audience.contract import Selection
from stentor.config import REGISTRY
from stentor.model import Message
from stentor.outcome import Outcome
from stentor.planning.content import Content, encode_content
from stentor.states import CampaignState
from stentor.store.campaigns import new_id
from stentor.store.database import Database
from stentor.store.tables import actions, batches, campaigns, chains, failures, installations, users

BEGAN = 1_700_000_000.0
"""When the oldest campaign was made, in epoch seconds. One follows each hour."""
APART = 3_600.0
LISTED = 50
"""The newest campaigns, on the first page of the list: those of which there are batches."""
OF_LISTED = 100
"""Batches of each of them."""
IN_BATCH = 1_000
RARE = 3
"""The oldest campaigns: the only ones that failed."""
PORTION = 10_000
LANE = "apns/ios"
REASONS = (
    ("Unregistered", 410, True),
    ("BadDeviceToken", 400, True),
    ("DeviceTokenNotForTopic", 400, False),
    ("PayloadTooLarge", 413, False),
)


async def fill(database: Database, *, many: int, registered: int, failed: int) -> str:
    """Fill an empty store.

    Args:
        many: campaigns, and as many rows of the log and a tenth as many users.
        registered: installations in the registry.
        failed: failures of the newest campaign.

    Returns: the newest campaign's id.
    """
    ids = [new_id(BEGAN + APART * each) for each in range(many)]
    await _put(database, campaigns, _campaigns(ids))
    await _put(database, chains, ({"campaign_id": each, "chain": "0", "step": 1, "done": True} for each in ids))
    await _put(database, installations, _installations(registered))
    for each in ids[-LISTED:-1]:
        await _put(database, batches, _batches(each, OF_LISTED, Outcome.ACCEPTED))
    await _put(database, batches, _batches(ids[-1], -(-failed // IN_BATCH), Outcome.REJECTED))
    await _put(database, failures, _failures(ids[-1], failed))
    await _put(database, users, _users(many // 10))
    await _put(database, actions, _actions(ids))
    return ids[-1]


async def _put(database: Database, table: Table, rows: Iterable[dict[str, Any]]) -> None:
    left = iter(rows)
    while some := list(islice(left, PORTION)):

        async def change(connection: AsyncConnection, some: list[dict[str, Any]] = some) -> None:
            await connection.execute(insert(table), some)

        await database.write(change)


def _campaigns(ids: list[str]) -> Iterator[dict[str, Any]]:
    content = encode_content(Content(message=Message(title="News", body="There is news.", ttl=3600)))
    audience = msgspec.json.encode(Selection(source=REGISTRY))
    expected = msgspec.json.encode({LANE: IN_BATCH * OF_LISTED})
    for number, each in enumerate(ids):
        at = BEGAN + APART * number
        state = CampaignState.FAILED if number < RARE else CampaignState.COMPLETED
        yield {
            "id": each,
            "title": f"Campaign {number:,}",
            "state": state.value,
            "content": content,
            "audience": audience,
            "collapse_id": each,
            "created_at": at,
            "starts_at": at,
            "expires_at": at + 3600,
            "finished_at": at + 60,
            "expected": expected,
            "planned": True,
        }


def _installations(many: int) -> Iterator[dict[str, Any]]:
    for each in range(many):
        alive = (
            {"dead_at": None, "dead_reason": None} if each % 20 else {"dead_at": BEGAN, "dead_reason": "Unregistered"}
        )
        yield {
            "id": f"{each:08}",
            "channel": "apns",
            "app": "ios",
            "address": f"{each:064x}",
            "language": "de",
            "time_zone": "Europe/Berlin",
            "attributes": '{"plan":"pro"}',
            "registered_at": BEGAN,
            **alive,
        }


def _batches(campaign: str, many: int, outcome: Outcome) -> Iterator[dict[str, Any]]:
    for each in range(many):
        keys = [f"{each * IN_BATCH + one:08}".encode() for one in range(IN_BATCH)]
        yield {
            "id": _batch_id(campaign, each),
            "campaign_id": campaign,
            "lane": LANE,
            "size": IN_BATCH,
            "pending": 0,
            outcome.name.lower(): IN_BATCH,
            "planned_at": BEGAN,
            "recorded_at": BEGAN,
            "edition": "1",
            "outcomes": bytes([outcome.value]) * IN_BATCH,
            "recipients": msgspec.msgpack.encode(keys),
        }


def _failures(campaign: str, many: int) -> Iterator[dict[str, Any]]:
    for each in range(many):
        reason, status, dead = REASONS[each % len(REASONS)]
        yield {
            "batch_id": _batch_id(campaign, each // IN_BATCH),
            "position": each % IN_BATCH,
            "campaign_id": campaign,
            "lane": LANE,
            "installation": f"{each:08}",
            "outcome": Outcome.REJECTED.value,
            "reason": reason,
            "status": status,
            "detail": "",
            "dead": dead,
            "tries": 1,
            "at": BEGAN,
        }


def _users(many: int) -> Iterator[dict[str, Any]]:
    for each in range(many):
        name = f"user-{each:06}"
        yield {
            "id": f"user{each:08}",
            "name": name,
            "folded": name,
            "role": "view",
            "created_at": BEGAN,
            "created_by": "local",
        }


def _actions(ids: list[str]) -> Iterator[dict[str, Any]]:
    for number, each in enumerate(ids):
        yield {
            "id": f"{each}{number:04}",
            "at": BEGAN + APART * number,
            "caller_id": "local",
            "caller_name": "ada",
            "caller_kind": "local",
            "action": "campaign.start",
            "object": each,
            "outcome": "done",
            "detail": "",
        }


def _batch_id(campaign: str, number: int) -> str:
    return f"{campaign}/{LANE}/0.0.{number:06}"
