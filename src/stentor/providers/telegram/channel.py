"""Telegram as a channel: the settings of a bot, and what a chat's address looks like."""

from __future__ import annotations

import re
from typing import ClassVar, Literal

from pydantic import Field

from stentor.channels import BadAddress, Channel
from stentor.settings import App, File

CHAT = re.compile(r"(-?[1-9][0-9]{0,15}|@[A-Za-z][A-Za-z0-9_]{3,31})(?::([1-9][0-9]{0,9}))?", re.ASCII)
"""The id of a chat (a group's begins with a minus), or the name of a public channel or group; and a topic's id."""


class TelegramApp(App):
    """A Telegram bot."""

    secrets: ClassVar[tuple[str, ...]] = ("token_file",)
    channel: Literal["telegram"] = "telegram"
    """The provider: `telegram`."""
    token_file: File = Field(examples=["telegram-bot.token"])
    """A file that contains only the token from BotFather."""
    rate: float | None = Field(default=None, gt=0, le=1000, examples=[30])
    """Send at most this many messages per second, all senders together. Left out: 30. More costs the bot Stars."""


def check_address(address: str) -> BadAddress | None:
    """Why a text can be no chat."""
    if CHAT.fullmatch(address):
        return None
    return BadAddress(
        rule="malformed address",
        detail="a Telegram chat is a number, with a minus for a group, or the @name of a channel; `:5` names a topic",
    )


CHANNEL = Channel(
    name="telegram",
    title="Telegram",
    app=TelegramApp,
    lane="stentor.providers.telegram.lane:TelegramLane",
    table="stentor.providers.telegram.reasons:TABLE",
    check_address=check_address,
    by_receipt=True,
    on_record=True,
    example_app="bot",
)
