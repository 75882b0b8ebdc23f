"""Taking back what browsers were sent: deleted where it still lies at its push service, replaced elsewhere."""

from __future__ import annotations

import json
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.audience.contract import Selection
from stentor.cli.init import simulated
from stentor.config import Config
from stentor.model import Message
from stentor.planning.content import Content
from stentor.runtime.draft import Draft
from stentor.runtime.stentor import Stentor
from stentor.simulators.webpush import WebPushSimulator
from stentor.store.tables import installations

BROWSERS = 60
A_THIRD = BROWSERS // 3
"""Of Mozilla, of Google and of Apple."""
DELIVERED = 5
"""Of Mozilla's."""


async def test_what_mozilla_still_has_is_deleted_and_the_rest_replaced(tmp_path: Path) -> None:
    async with WebPushSimulator() as web:
        config = Config.model_validate(
            {"store": {"url": f"sqlite:///{tmp_path / 's.db'}"}, "apps": {"web": simulated(web.facts())}}
        )
        rows = [
            {"id": f"b{number:02}", "channel": "webpush", "address": address}
            for number, address in enumerate(web.subscriptions(BROWSERS))
        ]

        async def register(connection: AsyncConnection) -> None:
            await connection.execute(sa.insert(installations), rows)

        async with Stentor(config) as stentor:
            await stentor._resources.database.write(register)
            sent = await stentor.campaigns.send(
                Draft(Content(message=Message(title="Sale")), Selection(source="registry"))
            )
            assert (await stentor.roles.run(sent.id)).total.accepted == BROWSERS
            mozilla = web.services["mozilla"].store
            for name in list(mozilla.messages)[:DELIVERED]:
                mozilla.take(name)
            undo = await stentor.campaigns.undo(sent.id)
            await stentor.campaigns.start(undo.id)
            report = await stentor.roles.run(undo.id)
            assert (report.total.read, report.total.accepted) == (BROWSERS, BROWSERS)
            assert (await stentor.outcomes.audit(undo.id)).exact
        assert web.world.tally.deleted == A_THIRD - DELIVERED
        waiting = {name: service.deliver() for name, service in web.services.items()}
        assert {name: len(found) for name, found in waiting.items()} == {
            "mozilla": DELIVERED,
            "fcm": A_THIRD,
            "apple": A_THIRD,
        }
        assert all("retract" in json.loads(each.payload)["stentor"] for found in waiting.values() for each in found)
