"""One campaign over channels of which some are in trouble: each ends clearly or waits, and harms no other."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.audience.contract import Selection
from stentor.cli.init import simulated
from stentor.config import Config
from stentor.model import Message
from stentor.planning.content import Content
from stentor.runtime.draft import Draft
from stentor.runtime.stentor import Stentor
from stentor.simulators.discord import DiscordSimulator
from stentor.simulators.telegram import TelegramSimulator
from stentor.simulators.tls import make_server_tls
from stentor.simulators.webpush import WebPushSimulator
from stentor.store.tables import installations

EACH = 12
"""Recipients on each channel."""


@asynccontextmanager
async def receivers(folder: Path) -> AsyncIterator[tuple[str, Path]]:
    """Receivers of webhooks: at /good, /moved and /page. Their URL, and whom to trust."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        await request.read()
        if request.path == "/moved":
            return web.Response(status=302, headers={"location": "https://127.0.0.1:1/"})
        if request.path == "/page":
            return web.Response(status=404, text="<html>No such page.</html>", content_type="text/html")
        return web.Response()

    tls = make_server_tls(folder, provider="receivers", alpn=("http/1.1",))
    runner = web.ServerRunner(web.Server(answer, access_log=None), shutdown_timeout=0.01)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls.context).start()
        yield f"https://127.0.0.1:{runner.addresses[0][1]}", tls.ca_file
    finally:
        await runner.cleanup()


def people(web_push: WebPushSimulator, url: str) -> list[dict[str, Any]]:
    browsers = list(web_push.subscriptions(EACH))
    browsers[0] = "no subscription"
    browsers[1] = json.dumps({**json.loads(browsers[1]), "keys": {"p256dh": "AAAA", "auth": "AAAA"}})
    pages = ["/moved", "/page"] + ["/good"] * (EACH - 2)
    addresses = {
        "telegram": [str(1000 + number) for number in range(EACH)],
        "discord": [str(3 * 10**17 + number) for number in range(EACH)],
        "webpush": browsers,
        "webhook": [f"{url}{page}" for page in pages],
    }
    return [
        {"id": f"{channel}-{number:02}", "channel": channel, "address": address}
        for channel, found in addresses.items()
        for number, address in enumerate(found)
    ]


async def test_trouble_on_some_channels_harms_no_other(tmp_path: Path) -> None:
    async with (
        TelegramSimulator() as telegram,
        DiscordSimulator() as discord,
        WebPushSimulator() as web_push,
        receivers(tmp_path) as (url, ca_file),
    ):
        right = telegram.token_file.read_text()
        telegram.token_file.write_text("123456:" + "a" * 35)  # of a bot that Telegram doesn't know
        secret = tmp_path / "secret"
        secret.write_text("whsec_" + "A" * 32)
        own = {"channel": "webhook", "target": "address", "allow_private": True}
        config = Config.model_validate(
            {
                "store": {"url": f"sqlite:///{tmp_path / 's.db'}"},
                "apps": {
                    "bot": simulated(telegram.facts()),
                    "community": simulated(discord.facts()),
                    "web": simulated(web_push.facts()),
                    "hooks": {**own, "ca_file": str(ca_file), "secret_file": str(secret)},
                },
                "sending": {"senders": 1},
            }
        )

        async def register(connection: AsyncConnection) -> None:
            await connection.execute(sa.insert(installations), people(web_push, url))

        async with Stentor(config) as stentor:
            await stentor._resources.database.write(register)
            campaign = await stentor.campaigns.send(
                Draft(Content(message=Message(title="Sale")), Selection(source="registry"))
            )
            running = asyncio.create_task(stentor.roles.run(campaign.id))
            while (
                report := await stentor.outcomes.report(campaign.id)
            ).total.pending != EACH or not report.total.accepted:
                await asyncio.sleep(0.05)
                assert not running.done()
            assert {lane: (counts.accepted, counts.rejected) for lane, counts in report.lanes.items()} == {
                "telegram/bot": (0, 0),
                "discord/community": (EACH, 0),
                "webpush/web": (EACH - 2, 2),
                "webhook/hooks": (EACH - 2, 2),
            }
            while not (problems := (await stentor.outcomes.progress(campaign.id)).problems):  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0.05)
            assert problems.keys() == {"telegram/bot"}
            assert "Unauthorized" in problems["telegram/bot"].problem
            telegram.token_file.write_text(right)
            report = await running
            assert (report.total.read, report.total.accepted) == (4 * EACH, 4 * EACH - 4)
            assert (await stentor.outcomes.audit(campaign.id)).exact
            reasons = {row.installation: row.reason async for row in stentor.outcomes.failures(campaign.id)}
        assert reasons == {
            "webpush-00": "MalformedAddress",
            "webpush-01": "MalformedAddress",
            "webhook-00": "Redirected",
            "webhook-01": "NotFound",
        }
        assert len(telegram.ledger) == EACH
