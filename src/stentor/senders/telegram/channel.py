"""Telegram as a channel: the settings of a bot, and what a chat's address looks like."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from stentor.channels import BadAddress, Channel
from stentor.settings import App, File

if TYPE_CHECKING:
    from stentor.senders.contract import Rule
    from stentor.senders.telegram.lane import TelegramLane

CHAT = re.compile(r"-?[1-9][0-9]{0,15}|@[A-Za-z][A-Za-z0-9_]{3,31}", re.ASCII)
"""The id of a chat (a group's begins with a minus), or the name of a public channel or group."""


class TelegramApp(App):
    """A Telegram bot."""

    secrets: ClassVar[tuple[str, ...]] = ("token_file",)
    channel: Literal["telegram"] = "telegram"
    """Which provider: `telegram`."""
    token_file: File = Field(examples=["telegram-bot.token"])
    """A file that holds nothing but the token that BotFather gave out."""
    rate: float | None = Field(default=None, gt=0, le=1000, examples=[30])
    """Messages a second that all senders together may send for the bot. Left out: 30. For more, the bot pays Stars."""


def check_address(address: str) -> BadAddress | None:
    """Why a text can be no chat."""
    if CHAT.fullmatch(address):
        return None
    return BadAddress(
        rule="malformed address",
        detail="a Telegram chat is a number, with a minus for a group, or the @name of a channel",
    )


def _open(name: str, app: TelegramApp, clock: Callable[[], float]) -> TelegramLane:
    from stentor.senders.telegram.lane import TelegramLane  # noqa: PLC0415 - see `stentor.channels`

    return TelegramLane(app, name, clock)


def _rules() -> Sequence[Rule]:
    from stentor.senders.telegram.reasons import TABLE  # noqa: PLC0415 - see `stentor.channels`

    return TABLE


CHANNEL = Channel(
    name="telegram",
    title="Telegram",
    app=TelegramApp,
    open=_open,
    rules=_rules,
    check_address=check_address,
    by_receipt=True,
    example_app="bot",
)
