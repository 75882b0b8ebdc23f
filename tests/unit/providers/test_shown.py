"""What each channel says that people see of a message, and how much of its provider's limit that takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stentor.errors import InvalidMessage
from stentor.model import (
    Action,
    ApnsOptions,
    DiscordOptions,
    FcmOptions,
    LocalizedText,
    Message,
    PushType,
    TelegramButton,
    TelegramOptions,
    WebPushAction,
    WebPushOptions,
)
from stentor.planning.content import Content
from stentor.providers.apns.channel import ApnsApp
from stentor.providers.channels import open_lane
from stentor.providers.discord.channel import DiscordApp
from stentor.providers.fcm.channel import FcmApp
from stentor.providers.lane import CampaignContent, Lane, Shows
from stentor.providers.rendering import DELETED
from stentor.providers.shown import Rendition, Shown, ShownButton
from stentor.providers.telegram.channel import TelegramApp
from stentor.providers.webhook.channel import WebhookApp
from stentor.providers.webpush.channel import WebPushApp

NOWHERE = Path("no-such-file")
IMAGE = "https://example.com/a.png"
APPS: dict[str, Any] = {
    "apns": ApnsApp(channel="apns", key_file=NOWHERE, key_id="ABCDE12345", team_id="ABCDE12345", topic="com.example"),
    "fcm": FcmApp(channel="fcm", service_account_file=NOWHERE),
    "webpush": WebPushApp(channel="webpush", private_key_file=NOWHERE, subject="mailto:a@example.com"),
    "telegram": TelegramApp(channel="telegram", token_file=NOWHERE),
    "discord": DiscordApp(channel="discord"),
    "webhook": WebhookApp(channel="webhook", target="address", secret_file=NOWHERE),
}


async def show(channel: str, message: Message, action: Action = Action.SEND) -> Rendition:
    """By a lane none of whose files are there."""
    lane: Lane = open_lane("app", APPS[channel], lambda: 0.0)
    campaign = CampaignContent(
        id="c1", content=Content(message=message, action=action), started_at=0.0, collapse_id="c1"
    )
    try:
        assert isinstance(lane, Shows)
        return lane.show(message, campaign)
    finally:
        await lane.aclose(0.0)


SALE = Message(title="Sale <now>", body="Ends *tonight*", image=IMAGE, sound="ding", badge=3)


@pytest.mark.parametrize(
    ("channel", "message", "shown"),
    [
        ("apns", SALE, Shown(title="Sale <now>", body="Ends *tonight*", image=IMAGE, sound="ding", badge=3)),
        (
            "apns",
            Message(subtitle="b", title_localized=LocalizedText(key="SALE"), body="c"),
            Shown(title="SALE", subtitle="b", body="c"),
        ),
        ("apns", Message(apns=ApnsOptions(payload={"aps": {"alert": "x"}})), Shown(body="x")),
        ("apns", Message(silent=True, data={"a": "b"}), Shown(silent=True)),
        (
            "fcm",
            Message(
                title="Sale", body="x", image=IMAGE, badge=3, fcm=FcmOptions(android={"notification": {"body": "y"}})
            ),
            Shown(title="Sale", body="y", image=IMAGE, badge=3),
        ),
        ("fcm", Message(silent=True, data={"a": "b"}), Shown(silent=True)),
        (
            "webpush",
            Message(
                title="Sale",
                image=IMAGE,
                webpush=WebPushOptions(url="/sale", icon="/i.png", actions=(WebPushAction(action="a", title="Go"),)),
            ),
            Shown(title="Sale", image=IMAGE, icon="/i.png", url="/sale", buttons=(ShownButton(text="Go"),)),
        ),
        ("webpush", Message(webpush=WebPushOptions(raw_payload=b"\xff")), Shown()),
        ("telegram", SALE, Shown(body="<b>Sale &lt;now&gt;</b>\nEnds *tonight*", markup="HTML", image=IMAGE)),
        (
            "telegram",
            Message(telegram=TelegramOptions(text="x", buttons=((TelegramButton(text="Go", url=IMAGE),),))),
            Shown(body="x", buttons=(ShownButton(text="Go", url=IMAGE),)),
        ),
        ("discord", Message(title="Sale", body="a*b"), Shown(body="**Sale**\na\\*b", markup="Markdown")),
        (
            "discord",
            Message(title="Sale", image=IMAGE),
            Shown(markup="Markdown", embeds=({"title": "Sale", "image": {"url": IMAGE}},)),
        ),
        ("webhook", SALE, Shown(title="Sale <now>", body="Ends *tonight*", image=IMAGE, sound="ding", badge=3)),
    ],
)
async def test_what_people_see_is_what_is_sent(channel: str, message: Message, shown: Shown) -> None:
    assert (await show(channel, message)).shown == shown


LONG = Message(title="Sale", body="ü" * 3000)


@pytest.mark.parametrize(
    ("channel", "message", "what", "unit", "size", "limit"),
    [
        ("apns", Message(body="ü"), "payload", "bytes", len('{"aps":{"alert":{"body":"xx"}}}'), 4096),
        ("apns", LONG, "payload", "bytes", len('{"aps":{"alert":{"title":"Sale","body":""}}}') + 6000, 4096),
        ("apns", Message(body="x", apns=ApnsOptions(push_type=PushType.VOIP)), "payload", "bytes", 30, 5120),
        ("fcm", Message(data={"a": "b"}), "payload", "bytes", len('{"data":{"a":"b"}}'), 4096),
        ("fcm", LONG, "payload", "bytes", len('{"notification":{"title":"Sale","body":""}}') + 6000, 4096),
        ("webpush", Message(body="ü"), "payload", "bytes", len('{"body":"xx","tag":"c1"}'), 3993),
        ("webpush", LONG, "payload", "bytes", len('{"title":"Sale","body":"","tag":"c1"}') + 6000, 3993),
        ("telegram", Message(title="a", body="😀"), "text", "characters", 4, 4096),
        ("telegram", Message(title="a", image=IMAGE), "caption", "characters", 1, 1024),
        ("telegram", Message(body="x" * 5000), "text", "characters", 5000, 4096),
        ("discord", Message(body="a*b"), "text", "characters", 4, 2000),
        ("discord", LONG, "text", "characters", 3009, 2000),
        ("discord", Message(title="x" * 300, body="y", image=IMAGE), "title", "characters", 300, 256),
        (
            "discord",
            Message(discord=DiscordOptions(embeds=tuple({"description": "x" * 3500} for _ in range(2)))),
            "embeds",
            "characters",
            7000,
            6000,
        ),
        ("webhook", Message(body="x" * 70_000), "payload", "bytes", 70_100, 65_536),
    ],
)
async def test_a_size_is_counted_as_the_provider_does_and_what_is_too_large_is_shown_all_the_same(
    channel: str, message: Message, what: str, unit: str, size: int, limit: int
) -> None:
    found = await show(channel, message)
    assert found.size is not None
    assert (found.size.what, found.size.unit, found.size.limit) == (what, unit, limit)
    assert found.size.size == size
    assert found.size.left == limit - size
    assert (found.problem is None) == (size <= limit)
    assert found.payload
    assert found.shown != Shown(), "an editor who writes too much still sees it"


async def test_what_is_wrong_otherwise_is_raised_and_what_is_deleted_has_no_size() -> None:
    with pytest.raises(InvalidMessage, match="image: must be an https address"):
        await show("apns", Message(title="a", image="a.png"))
    deleted = await show("telegram", Message(silent=True), Action.UNDO)
    assert (deleted.payload, deleted.size) == (DELETED, None)
