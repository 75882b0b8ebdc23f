"""A lane to Discord: a bot's token and the limits it keeps to, and `wire.py` between them.

To write to a user, Discord must first be asked for the channel of that conversation, which is a request more; it is
remembered as long as the process lives, for as many users as there is room for.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

from stentor.errors import CredentialError, CredentialUnavailable, PoolClosed
from stentor.model import Action, Message
from stentor.outcome import Verdict
from stentor.providers.base import read_text, setting
from stentor.providers.contract import NO_ADDRESS_OF_OURS, Answer, Taken, not_processed
from stentor.providers.discord import message, wire
from stentor.providers.discord.addresses import (
    DiscordChannel,
    DiscordUser,
    Posted,
    Target,
    Webhook,
    parse_address,
    parse_receipt,
)
from stentor.providers.discord.buckets import BucketKey, Pace
from stentor.providers.discord.channel import DiscordApp
from stentor.providers.discord.message import Rendered
from stentor.providers.discord.reasons import BY_REASON, GLOBAL_LIMIT, NO_TOKEN, TABLE
from stentor.providers.http_lane import PACE, HttpLane
from stentor.providers.http_message import Request, Response
from stentor.providers.lane import CampaignContent
from stentor.providers.payload import PayloadSize
from stentor.providers.rendering import PreparedContent
from stentor.providers.shown import Shown

RATE = 45.0
"""Messages a second. Discord takes 50 requests; a tenth is for what the network brings closer together, and for the
requests of the bot's other programs."""
MOST_CONVERSATIONS = 20_000
"""Users whose conversation is remembered, some 4 MiB."""
CONTACT = "https://pypi.org/project/stentor/"

_TOKEN = re.compile(r"[!-~]+", re.ASCII)


class DiscordLane(HttpLane[Rendered, wire.Api]):
    """One bot, or a set of webhooks. `clock` gives epoch seconds."""

    by_receipt: ClassVar[bool] = True

    def __init__(
        self, app: DiscordApp, name: str, clock: Callable[[], float], steady: Callable[[], float] = time.monotonic
    ) -> None:
        """Args:
        steady: seconds that never go back.
        """
        rate = app.rate or RATE
        super().__init__(app, name, TABLE, clock, rate)
        self._discord = app
        self._steady = steady
        self._pace = Pace(rate, steady())
        self._api: wire.Api | None = None
        self._conversations: dict[str, DiscordChannel] = {}

    @property
    def files(self) -> Sequence[Path | None]:
        return (self._discord.token_file,)

    def load(self) -> wire.Api:
        app = self._discord
        with setting(self.name, "token_file"):
            token = None if app.token_file is None else _read_token(app.token_file)
        agent = f"DiscordBot ({app.contact or CONTACT}, {version('stentor')})"
        self._api = wire.Api(url=app.url or wire.HOST, token=token, user_agent=agent)
        return self._api

    def share(self, part: Callable[[], float]) -> None:
        """See `lane.Divides`: requests, and refusals that count towards a ban, are all senders' together."""
        self._pace.part = part

    @property
    def part(self) -> float:
        """What part of the lane's limits is this sender's now, 0 to 1."""
        return self._pace.part()

    # -- messages -----------------------------------------------------------------------------------------------------

    def render(self, message_: Message, campaign: CampaignContent) -> Rendered:
        return message.render(message_)

    def collapses(self, rendered: Rendered) -> bool:
        """A bot's messages do, by their nonce. Webhooks' don't, so their answers don't ask to be sent again."""
        return True

    def repeats(self, address: bytes) -> bool:
        """See `lane.Distinguishes`."""
        return isinstance(_read(address), Webhook)

    def payload(self, rendered: Rendered) -> bytes:
        return message.sample(rendered)

    def size(self, rendered: Rendered) -> PayloadSize:
        return rendered.size

    def visible(self, payload: Mapping[str, Any], message_: Message) -> Shown:
        return message.visible(payload)

    def turn(self, address: bytes, now: float) -> float:
        target = _read(address)
        if target is None or (self._is_bots(target) and self._lacks_token):
            return 0.0  # nothing is sent
        if isinstance(target, DiscordUser):
            channel = self._conversations.get(target.id)
            return self._pace.take(wire.bucket_of(channel), now) if channel else self._pace.take(wire.OPENING, now, 2)
        return self._pace.take(wire.bucket_of(target), now)

    async def locate(self, address: bytes) -> bytes | Answer:
        target = _read(address)
        if target is not None and self._is_bots(target) and self._lacks_token:
            return BY_REASON[NO_TOKEN].answer(0)
        if not isinstance(target, DiscordUser):
            return address if target is not None else NO_ADDRESS_OF_OURS
        channel = self._conversations.get(target.id) or await self._open_conversation(target)
        return channel.id.encode() if isinstance(channel, DiscordChannel) else channel

    def request(
        self,
        credentials: wire.Api,
        prepared: PreparedContent[Rendered],
        rendered: Rendered,
        recipient: bytes,
        address: bytes,
    ) -> Request | Answer:
        target = _read(address)
        if target is None or isinstance(target, DiscordUser):
            return NO_ADDRESS_OF_OURS
        return wire.message_request(credentials, target, rendered, wire.nonce(prepared.campaign.id, recipient))

    def decode(self, response: Response, address: bytes, now: float) -> Taken | Answer:
        target = _read(address)
        assert isinstance(target, DiscordChannel | Webhook)
        found = wire.decode_message(response, target, now)
        self._learn(wire.bucket_of(target), response, found)
        return found

    def unanswered(self, address: bytes, answer: Answer) -> Answer:
        target = _read(address)
        if isinstance(target, DiscordChannel | Webhook):
            self._pace.unheard(wire.bucket_of(target), self._steady())
        return wire.final(answer) if isinstance(target, Webhook) else answer

    # -- conversations with users -------------------------------------------------------------------------------------

    async def _open_conversation(self, user: DiscordUser) -> DiscordChannel | Answer:
        """The channel to write in; `turn` has counted two requests, of which the second goes there."""
        api = self._api
        assert api is not None
        try:
            response = await self.ask(wire.opening_request(api, user.id))
        except (CredentialUnavailable, PoolClosed) as error:  # nothing was said to the user yet
            self._pace.unheard(wire.OPENING, self._steady())
            self._pace.spare()
            return not_processed(str(error))
        found = wire.decode_opening(response)
        self._learn(wire.OPENING, response, found)
        if isinstance(found, Answer):
            self._pace.spare()
            return found
        self._pace.follow(wire.bucket_of(found), self._steady())
        while len(self._conversations) >= MOST_CONVERSATIONS:
            self._conversations.pop(next(iter(self._conversations)))
        self._conversations[user.id] = found
        return found

    async def introduce(self) -> str:
        api = (await self._opened.get()).credentials
        if api.token is None:
            return "no bot: all its addresses are webhooks, which need no introduction"
        found = wire.decode_introduction(await self.ask(wire.introduction_request(api)))
        if isinstance(found, str):
            return found
        said = f"{self.name}: {self.meaning(found.reason) or found.reason}"
        raise CredentialError(said) if found.verdict is Verdict.STOP else CredentialUnavailable(said)

    # -- what was sent before -----------------------------------------------------------------------------------------

    def change(self, credentials: wire.Api, rendered: Rendered | None, receipt: str) -> Request | Answer:
        posted = parse_receipt(receipt)
        if posted is None:
            return NO_ADDRESS_OF_OURS
        if isinstance(posted.place, DiscordChannel) and credentials.token is None:
            return BY_REASON[NO_TOKEN].answer(0)
        bucket = _bucket_of_change(posted, Action.UNDO if rendered is None else Action.EDIT)
        if (wait := self._pace.take(bucket, self._steady())) > 0:
            return Answer(verdict=Verdict.WAIT, reason=PACE, retry_after=wait, asked=True)
        if rendered is None:
            return wire.delete_request(credentials, posted)
        return wire.edit_request(credentials, posted, rendered)

    def decode_change(self, response: Response, receipt: str, action: Action, now: float) -> Taken | Answer:
        posted = parse_receipt(receipt)
        assert posted is not None
        undone = action is Action.UNDO
        found = wire.decode_delete(response, now) if undone else wire.decode_edit(response, posted, now)
        self._learn(_bucket_of_change(posted, action), response, found)
        return found

    def unchanged(self, receipt: str, action: Action, answer: Answer) -> Answer:
        if (posted := parse_receipt(receipt)) is not None:
            self._pace.unheard(_bucket_of_change(posted, action), self._steady())
        return answer

    # -- limits -------------------------------------------------------------------------------------------------------

    def _learn(self, bucket: BucketKey, response: Response, found: object) -> None:
        """What an answer says of the limits."""
        now = self._steady()
        self._pace.heard(bucket, wire.heard(response), now, is_invalid=wire.is_invalid(response))
        if isinstance(found, Answer) and response.status == 429 and found.reason != GLOBAL_LIMIT:
            self._pace.block(bucket, found.retry_after or 0.0, now)

    @property
    def _lacks_token(self) -> bool:
        return self._api is not None and self._api.token is None

    @staticmethod
    def _is_bots(target: Target) -> bool:
        return not isinstance(target, Webhook)


def _bucket_of_change(posted: Posted, action: Action) -> BucketKey:
    return wire.bucket_of(posted, "DELETE" if action is Action.UNDO else "PATCH")


def _read(address: bytes) -> Target | None:
    return parse_address(address.decode("ascii", errors="replace"))


def _read_token(file: Path) -> str:
    """Raises: CredentialError."""
    token = read_text(file).strip().removeprefix("Bot ").strip()
    if not _TOKEN.fullmatch(token):
        raise CredentialError(f"{file} must hold the bot's token and nothing else")
    return token
