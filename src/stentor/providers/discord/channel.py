"""Discord as a channel: the settings of an app, and what its addresses look like."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from stentor.channels import BadAddress, Channel
from stentor.providers.discord.addresses import parse_address
from stentor.settings import App, File

_APNS_LENGTH = 64


class DiscordApp(App):
    """A Discord bot, or a set of webhooks."""

    secrets: ClassVar[tuple[str, ...]] = ("token_file",)
    channel: Literal["discord"] = "discord"
    """The provider: `discord`."""
    token_file: File | None = Field(default=None, examples=["discord-token.txt"])
    """A file that contains only the bot's token. Left out: all addresses must be webhooks."""
    contact: str | None = Field(default=None, pattern=r"^https?://[!-'*-~]+$", examples=["https://example.com/contact"])
    """A web page that tells Discord who you are. It is sent in the `User-Agent`."""
    rate: float | None = Field(default=None, gt=0, examples=[45])
    """Make at most this many requests per second for the bot, all senders together. Left out: 45. Discord allows 50."""


def check_address(address: str) -> BadAddress | None:
    """Why a text can be no address of Discord's."""
    if parse_address(address) is not None:
        return None
    if len(address) == _APNS_LENGTH and address.isalnum():
        return BadAddress(rule="address of another channel", detail="it looks like an APNs token")
    if "/" in address:
        detail = "a webhook is https://discord.com/api/webhooks/, its id, its token, and ?thread_id= for a thread"
        return BadAddress(rule="malformed webhook", detail=detail)
    detail = "an address is a channel's id (17 to 20 digits), `user:` and a user's id, or a webhook's URL"
    return BadAddress(rule="malformed address", detail=detail)


CHANNEL = Channel(
    name="discord",
    title="Discord",
    app=DiscordApp,
    lane="stentor.providers.discord.lane:DiscordLane",
    table="stentor.providers.discord.reasons:TABLE",
    check_address=check_address,
    by_receipt=True,
    on_record=True,
    example_app="community",
)
