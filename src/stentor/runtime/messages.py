"""Transactional messages, to a few recipients at once: `Stentor.messages`.

A message is a campaign of another kind whose batches are made together with it, so all that holds of campaigns holds of
it: what is recorded, tried again, explained, audited, taken back and deleted. Rules: what is refused is refused before
anything is written; when `send` returns, the message is durable and queued before all campaigns of its lanes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.audience.contract import NO_LANE, Page, Selection, Wanted
from stentor.audience.listed import Addresses, encode_addresses, page_of
from stentor.audience.source import nearest_to
from stentor.config import REGISTRY, lanes
from stentor.errors import InvalidInput, InvalidState, QueueUnavailable, StoreUnavailable
from stentor.outcome import Outcome
from stentor.planning.content import Content, encode_content
from stentor.planning.direct import add_message, plan_message
from stentor.planning.division import Divider, Planned
from stentor.providers.lane import CampaignContent
from stentor.queue.contract import Task
from stentor.recording.messages import WAITING, MessageOutcome, RecipientOutcome, message_outcome, outcome_of
from stentor.runtime.campaigns import HELD_BACK, CampaignControl, lifetime, refuse_a_second_holder
from stentor.runtime.draft import checked
from stentor.runtime.resources import Resources
from stentor.states import CampaignKind, CampaignState
from stentor.store import campaigns, flags
from stentor.store import once as keys
from stentor.store.along import Along
from stentor.store.campaigns import Campaign, new_id
from stentor.store.templates import UsedTemplate

MOST_RECIPIENTS = 100
"""Of one message; more are an audience, and the message to them is a campaign."""
LOOK = 0.05
"""Seconds between two looks for what became of a message."""


class MessageControl:
    """The messages of one store. Every method may raise `StoreUnavailable`."""

    def __init__(self, resources: Resources, campaigns: CampaignControl) -> None:
        self._resources = resources
        self._config = resources.config
        self._clock = resources.clock
        self._database = resources.database
        self._backend = resources.backend
        self._campaigns = campaigns

    async def send(  # noqa: PLR0913 - two ways to say whom, and who names no option need not know it
        self,
        content: Content,
        to: Sequence[str] = (),
        *,
        audience: str = REGISTRY,
        lane: str | None = None,
        addresses: Sequence[str] = (),
        language: str | None = None,
        title: str | None = None,
        template: UsedTemplate | None = None,
        once: str | None = None,
        message_id: str | None = None,
        along: Along[MessageOutcome] | None = None,
    ) -> MessageOutcome:
        """Send a message to a few recipients, before all campaigns on their lanes.

        Whoever runs the roles, `stentor serve` say, sends it within a fraction of a second; `get` tells what became of
        everybody.

        Args:
            to: ids of installations of the audience. One that isn't there ends as rejected, with the reason
                `NotInAudience`.
            audience: the name of an audience in the settings; `registry` is the embedded one.
            lane: `channel/app`: with `addresses`, in the place of `to`.
            addresses: device tokens, subscriptions, chats, as an audience's column of addresses would hold them. They
                are called `address-1`, `address-2` and so on, in this order.
            language: of those at the addresses, e.g. `de`; None: they get the message itself.
            title: for people; the message's title if left out.
            template: the saved template that the content was made from (`Stentor.templates.filled`).
            once: a key under which only one message or campaign is ever sent.
            message_id: its id, of `store.campaigns.new_id`; left out, one is made.
            along: is written with it, if that is one transaction: with a queue of its own it is not.

        Returns: the message, with its id. Nobody was tried yet; who cannot be sent to is rejected already.

        Raises:
            InvalidMessage: a provider would refuse it; names the field.
            InvalidInput: there are no recipients, too many, or those of both kinds; or there is no such lane.
            InvalidAudience: there is no such audience, or it cannot be read as configured.
            AudienceUnavailable: its database cannot be reached just now.
            CredentialError: an app's credentials cannot be used.
            AlreadySent: a message or a campaign was sent with this key.
            InvalidState: the queue is being drained, so nothing may be sent.
            StoreUnavailable: it is not sent, unless the connection was lost just when it was stored.
        """
        content.check()
        listed = self._listed(lane, addresses, language)
        named = _named(to, listed)
        if once is not None:
            await self._campaigns.refuse_a_second(once)
        now = self._clock()
        message_id = message_id or new_id(now)
        selection = Selection(source=audience, only=named)
        if listed is not None:
            selection = Selection(source="", addresses_of=message_id, only=named)
        page = await self._find(selection, listed, content)
        await self._check(page, content, now)
        expires_at = now + lifetime(content, self._config.sending)
        divider = Divider(
            campaign_id=message_id,
            expires_at=expires_at,
            largest=self._config.sending.batch,
            index_of=content.language_index if len(content.languages) > 1 else None,
        )
        planned = plan_message(divider, page, named)
        pending = any(each.refused is None for each in planned)
        message = Campaign(
            id=message_id,
            title=checked("title", title or content.name or "untitled"),
            state=CampaignState.RUNNING if pending else CampaignState.COMPLETED,
            audience=msgspec.json.encode(selection),
            collapse_id=message_id,
            created_at=now,
            starts_at=now,
            expires_at=expires_at,
            finished_at=None if pending else now,
            expected=_expected(planned),
            planned=True,
            kind=CampaignKind.MESSAGE,
            template=template,
        )
        stored_addresses = None if listed is None else encode_addresses(listed)
        return await self._store(message, encode_content(content), stored_addresses, planned, once, along)

    async def get(self, message_id: str) -> MessageOutcome:
        """What became of a message and of everybody whom it is for.

        Raises: UnknownCampaign: there is no such message.
        """
        return await self._database.ask(lambda connection: message_outcome(connection, message_id, self._clock()))

    async def exists(self, message_id: str) -> bool:
        """Whether there is a message, or a campaign, of this id."""
        return bool(await self._database.ask(lambda connection: campaigns.states(connection, [message_id])))

    async def settled(self, message_id: str, within: float) -> MessageOutcome:
        """As `get`, as soon as everybody has an outcome, or after so many seconds. Raises: as `get`."""
        outcome = await self.get(message_id)
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                while not outcome.settled:
                    await asyncio.sleep(LOOK)
                    outcome = await self.get(message_id)
        return outcome

    async def newest(self, *, limit: int = 50) -> list[Campaign]:
        """The newest messages first."""
        kind = CampaignKind.MESSAGE
        return await self._database.ask(lambda connection: campaigns.newest(connection, limit=limit, kind=kind))

    # -- whom ---------------------------------------------------------------------------------------------------------

    def _listed(self, lane: str | None, addresses: Sequence[str], language: str | None) -> Addresses | None:
        if lane is None:
            if addresses or language is not None:
                raise InvalidInput("lane", "addresses and their language need a lane, such as apns/ios")
            return None
        known = lanes(self._config)
        if lane not in known:
            raise InvalidInput("lane", f"there is no lane {lane!r} in the settings; {nearest_to(lane, known)}")
        values = list(dict.fromkeys(address.strip() for address in addresses))
        return Addresses(lane=lane, values=values, language=language)

    async def _find(self, selection: Selection, listed: Addresses | None, content: Content) -> Page:
        """Those of the recipients who are there."""
        wanted = Wanted(language=len(content.languages) > 1, variables=tuple(content.variables))
        if listed is not None:
            return page_of(listed, listed.keys, listed.lane, wanted)
        opened = self._resources.sources.open(selection)
        try:
            return await opened.find(selection.only or (), wanted)
        finally:
            await opened.aclose()

    # -- whether it may be sent ---------------------------------------------------------------------------------------

    async def _check(self, page: Page, content: Content, now: float) -> None:
        """See that the lanes of these can send it."""
        draft = CampaignContent(id="message", content=content, started_at=now, collapse_id="message")
        used = {page.lanes} if isinstance(page.lanes, str) else set(page.lanes)
        for name in sorted(used - {NO_LANE} if len(page) else ()):
            await (await self._resources.lanes.get(name)).prepare(draft)

    # -- storing it ---------------------------------------------------------------------------------------------------

    async def _store(
        self,
        message: Campaign,
        content: bytes,
        addresses: bytes | None,
        planned: Sequence[Planned],
        once: str | None,
        along: Along[MessageOutcome] | None,
    ) -> MessageOutcome:
        """Have it durable and queued, or not at all. Returns: what is known of it then."""
        outcome = _untried(message, planned)
        is_one = self._backend.outbox is None

        async def change(connection: AsyncConnection) -> None:
            nonlocal outcome
            if await flags.hold(connection, flags.DRAINING) is not None:
                raise InvalidState(HELD_BACK)
            if once is not None:
                holder = await keys.claim(connection, once, message.id, message.created_at)
                refuse_a_second_holder(once, holder, message.id)
            if not await add_message(connection, message, content, addresses, planned):
                outcome = await message_outcome(connection, message.id, self._clock())
            if is_one and along is not None:
                await along(connection, outcome)

        tasks = [_task(each) for each in planned if each.refused is None]
        if is_one:
            await self._backend.queue.settle(change, put=tasks)
            return outcome
        # A queue of its own would give it to senders before the store knows it; so it is stored first, and what is lost
        # between is found as lost batches are.
        await self._database.write(change)
        async with self._called_off_unless_put(message, once):
            await self._backend.queue.settle(put=tasks)
        return outcome

    @asynccontextmanager
    async def _called_off_unless_put(self, message: Campaign, once: str | None) -> AsyncIterator[None]:
        """Where it cannot be put into the queue, it is cancelled, and its key is free again."""
        try:
            yield
        except QueueUnavailable:

            async def change(connection: AsyncConnection) -> None:
                await campaigns.move(connection, message.id, CampaignState.CANCELLING, now=self._clock())
                if once is not None:
                    await keys.release(connection, once, message.id)

            with suppress(StoreUnavailable, InvalidState):
                await self._database.write(change)
            raise


def _named(to: Sequence[str], listed: Addresses | None) -> list[str]:
    """The keys of all recipients, each once. Raises: InvalidInput."""
    if to and listed is not None:
        raise InvalidInput("to", "a message is for installations of an audience or for addresses on a lane, not both")
    named = list(dict.fromkeys(to)) if listed is None else listed.keys
    if not 0 < len(named) <= MOST_RECIPIENTS:
        raise InvalidInput(
            "to" if listed is None else "addresses",
            f"a message is for 1 to {MOST_RECIPIENTS} recipients, not {len(named):,}; for more, send a campaign",
        )
    for key in named:
        if not key:
            raise InvalidInput("to", "the id of an installation is empty")
    return named


def _expected(planned: Sequence[Planned]) -> dict[str, int]:
    """Recipients by lane."""
    counts: dict[str, int] = {}
    for each in planned:
        counts[each.batch.lane] = counts.get(each.batch.lane, 0) + len(each.batch)
    return counts


def _untried(message: Campaign, planned: Sequence[Planned]) -> MessageOutcome:
    """What is known of a message as it was planned, as the store would tell it."""
    told = []
    for each in sorted(planned, key=lambda each: each.batch.id):
        lane = None if each.batch.lane == NO_LANE else each.batch.lane
        outcome = WAITING if each.refused is None else Outcome.REJECTED.name.lower()
        for position, key in enumerate(each.batch.recipients):
            told.append(
                RecipientOutcome(
                    installation=key.decode(errors="replace"),
                    lane=lane,
                    outcome=outcome,
                    reason=each.refused or "",
                    detail=each.details[position] if each.details else "",
                )
            )
    return outcome_of(message, told, message.created_at)


def _task(planned: Planned) -> Task:
    return replace(planned.task, urgent=True)
