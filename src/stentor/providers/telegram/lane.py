"""A lane to Telegram: a bot's token, and the pace of its chats."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from stentor.errors import CredentialError, CredentialUnavailable, InvalidConfiguration
from stentor.model import Action, Message
from stentor.outcome import Scope, Verdict
from stentor.providers.base import read_text, setting
from stentor.providers.contract import NO_ADDRESS_OF_OURS, Answer, Taken
from stentor.providers.http_lane import PACE, HttpLane
from stentor.providers.http_message import Request, Response
from stentor.providers.lane import CampaignContent, Prepared
from stentor.providers.payload import PayloadSize
from stentor.providers.rendering import PreparedContent
from stentor.providers.shown import Shown
from stentor.providers.telegram import wire
from stentor.providers.telegram.channel import TelegramApp
from stentor.providers.telegram.pace import FREE_RATE, Turns, cost
from stentor.providers.telegram.reasons import QUIET, TABLE

_TOKEN = re.compile(r"[0-9]+:[A-Za-z0-9_-]{35,}", re.ASCII)


class TelegramLane(HttpLane[wire.Rendered, wire.Bot]):
    """One bot. `clock` gives epoch seconds."""

    by_receipt = True

    def __init__(self, app: TelegramApp, name: str, clock: Callable[[], float]) -> None:
        super().__init__(app, name, TABLE, clock, app.rate or FREE_RATE)
        self._token_file = app.token_file
        self._url = app.url or wire.URL
        self._turns = Turns()

    @property
    def files(self) -> Sequence[Path | None]:
        return (self._token_file,)

    def load(self) -> wire.Bot:
        with setting(self.name, "token_file"):
            return wire.Bot(self._url, read_token(self._token_file))

    async def prepare(self, campaign: CampaignContent) -> PreparedContent[wire.Rendered]:
        """Raises:
        InvalidMessage: Telegram would refuse it; names the field.
        InvalidConfiguration: the bot's rate is one that costs Stars, and the message doesn't allow that.
        """
        prepared = await super().prepare(campaign)
        sends = campaign.content.action is Action.SEND
        if sends and self.ceiling > FREE_RATE and not all(rendered.is_paid for rendered in prepared.rendered):
            with setting(self.name, "rate"):
                raise InvalidConfiguration(
                    f"is {self.ceiling:g} a second; more than {FREE_RATE:g} costs Stars, which this message doesn't "
                    "allow: lower it, or set the message's `telegram.allow_paid_broadcast`"
                )
        return prepared

    def render(self, message: Message, campaign: CampaignContent) -> wire.Rendered:
        return wire.render(message)

    def collapses(self, rendered: wire.Rendered) -> bool:
        return False

    def price(self, prepared: Prepared, recipients: int) -> str | None:
        """What the bot's owner pays for a broadcast of more than 30 a second."""
        assert isinstance(prepared, PreparedContent)
        if not any(rendered.is_paid for rendered in prepared.rendered):
            return None
        stars = cost(recipients, self.ceiling)
        return f"{stars:,} Stars" if stars else None

    def rate_of(self, action: Action) -> float | None:
        """See `lane.Slackens`: nobody can pay for more edits and deletions."""
        return FREE_RATE if action is not Action.SEND and self.ceiling > FREE_RATE else None

    def payload(self, rendered: wire.Rendered) -> bytes:
        return wire.sample(rendered)

    def size(self, rendered: wire.Rendered) -> PayloadSize:
        return rendered.size

    def visible(self, payload: Mapping[str, Any], message: Message) -> Shown:
        return wire.visible(payload)

    def turn(self, address: bytes, now: float) -> float:
        return self._turns.take(address.partition(b":")[0], now)  # a chat's topics share its pace

    def request(
        self,
        credentials: wire.Bot,
        prepared: PreparedContent[wire.Rendered],
        rendered: wire.Rendered,
        recipient: bytes,
        address: bytes,
    ) -> Request | Answer:
        return wire.request(credentials, rendered, address)

    def decode(self, response: Response, address: bytes, now: float) -> Taken | Answer:
        return self._heard(wire.decode(response, now))

    def change(self, credentials: wire.Bot, rendered: wire.Rendered | None, receipt: str) -> Request | Answer:
        if (wait := self._turns.silence(time.monotonic())) > 0:
            return Answer(verdict=Verdict.WAIT, reason=PACE, retry_after=wait, asked=True)
        try:
            if rendered is None:
                return wire.delete_request(credentials, [receipt])
            return wire.edit_request(credentials, receipt, rendered)
        except ValueError:
            return NO_ADDRESS_OF_OURS

    def decode_change(self, response: Response, receipt: str, action: Action, now: float) -> Taken | Answer:
        return self._heard(wire.decode_change(response, now))

    def _heard(self, found: Taken | Answer) -> Taken | Answer:
        """A call for quiet holds for whatever this lane has under way; its sender tells the others."""
        if isinstance(found, Answer) and found.verdict is Verdict.RETRY and found.scope is Scope.ACCOUNT:
            quiet = QUIET if found.retry_after is None else found.retry_after
            self._turns.be_silent(time.monotonic() + quiet)
        return found

    async def introduce(self) -> str:
        """Who the bot is, e.g. `@example_bot (Example)`.

        Raises:
            CredentialError: Telegram doesn't know the token.
            CredentialUnavailable: it couldn't be asked just now.
        """
        door = await self._opened.get()
        found = wire.decode_introduction(await self.ask(wire.introduction(door.credentials)), self._clock())
        if isinstance(found, str):
            return found
        if found.verdict is Verdict.STOP:
            with setting(self.name, "token_file"):
                raise CredentialError(f"Telegram answers {found.status} {found.reason}. {self.meaning(found.reason)}")
        raise CredentialUnavailable(f"{self.name}: Telegram answers {found.status} {found.reason}")


def read_token(file: Path) -> str:
    """The bot's token in a file. Errors don't show what is in it.

    Raises: CredentialError.
    """
    token = read_text(file).strip()
    if not _TOKEN.fullmatch(token):
        raise CredentialError(f"{file} holds no bot token (digits, a colon, 35 letters or more); get it from BotFather")
    return token
