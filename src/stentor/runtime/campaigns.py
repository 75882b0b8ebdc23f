"""Campaigns made, changed, stopped and found: `Stentor.campaigns`.

Rules: what is refused is refused before anything is written or sent; a campaign exists, and goes on, without whoever
made it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.audience.contract import NO_LANE, Selection
from stentor.config import SendingConfig, lanes
from stentor.errors import AlreadySent, InvalidConfiguration, InvalidMessage, InvalidState
from stentor.model import Action
from stentor.pipeline import call_off
from stentor.planning.content import Content, decode_content, encode_content
from stentor.planning.planner import Planner, start_task
from stentor.planning.retraction import correction, retraction
from stentor.planning.templates import check_text
from stentor.recording import pruning
from stentor.recording.pruning import Prunable
from stentor.runtime.preview import Preview, preview_of
from stentor.runtime.queue_control import QueueControl
from stentor.runtime.resources import Resources
from stentor.runtime.roles import Roles
from stentor.states import FINAL, CampaignState
from stentor.store import campaigns, flags
from stentor.store import once as keys
from stentor.store.campaigns import Campaign, new_id

HELD_BACK = "no campaign can be started while the queue is being drained; `stentor drain --end` allows it again"
LONGEST_ONCE = 200
"""Characters of a key under which something is sent once."""
NOW_OR_NEVER = 60.0
"""Seconds for which a message with a lifetime of 0 is tried: it asks the provider to store nothing, not us to hurry.
Any other lifetime is kept as it is."""

FARTHEST = 10 * 365.25 * 86_400
"""Seconds from now within which a campaign must start: what is farther away is a mistake in the date."""


class CampaignControl:
    """The campaigns of one store. Every method may raise `StoreUnavailable`."""

    def __init__(self, resources: Resources, roles: Roles, queue: QueueControl) -> None:
        self._resources = resources
        self._config = resources.config
        self._clock = resources.clock
        self._database = resources.database
        self._backend = resources.backend
        self._desk = resources.desk
        self._roles = roles
        self._queue = queue

    # -- finding them -------------------------------------------------------------------------------------------------

    async def newest(self, *, state: CampaignState | None = None, limit: int = 50) -> list[Campaign]:
        """The newest first."""
        states = None if state is None else [state]
        return await self._database.ask(lambda connection: campaigns.newest(connection, states=states, limit=limit))

    async def get(self, campaign_id: str) -> Campaign:
        """Raises: UnknownCampaign."""
        return await self._database.ask(lambda connection: campaigns.get(connection, campaign_id))

    async def find(self, name: str) -> Campaign:
        """The campaign of this id or title, or with this in its id. Raises: UnknownCampaign: none or several are."""
        return await self._database.ask(lambda connection: campaigns.find(connection, name))

    # -- making them --------------------------------------------------------------------------------------------------

    async def prepare(
        self,
        content: Content,
        selection: Selection,
        *,
        title: str | None = None,
        starts_at: float | None = None,
        max_rate: float | None = None,
        sample: str | None = None,
    ) -> Preview:
        """Check everything that can be checked, and count: for as long as it takes. Nothing is written or sent.

        Args:
            title: for people; the message's title if left out.
            starts_at: epoch seconds; None: now.
            max_rate: pushes a second that it is to be sent at most, over all lanes; None: as fast as they allow.
            sample: the installation whose message is shown in the examples; None: one of each language.

        Raises:
            InvalidMessage: a provider would refuse it; names the field.
            InvalidAudience: it cannot be read as configured, nobody is in it, or `sample` isn't.
            CredentialError: an app's credentials cannot be used.
            AudienceUnavailable: its database cannot be reached just now.
        """
        content.check()
        if title is not None:
            check_text("title", title)
        if starts_at is not None and starts_at < self._clock() - NOW_OR_NEVER:
            raise InvalidConfiguration("the campaign would start in the past; leave the time out to start it now")
        if starts_at is not None and not starts_at - self._clock() <= FARTHEST:
            years = FARTHEST / (365.25 * 86_400)
            raise InvalidConfiguration(f"the campaign would start more than {years:.0f} years from now; check the date")
        if max_rate is not None and not 0 < max_rate < math.inf:
            raise InvalidConfiguration(
                "the rate must be a number of pushes a second above 0; leave it out for no limit"
            )
        starts = starts_at or self._clock()
        return await preview_of(
            content,
            selection,
            starts,
            title=title,
            max_rate=max_rate,
            sample=sample,
            resources=self._resources,
        )

    async def create(
        self,
        content: Content,
        selection: Selection,
        *,
        title: str | None = None,
        starts_at: float | None = None,
        preview: Preview | None = None,
        collapse_id: str | None = None,
        max_rate: float | None = None,
    ) -> Campaign:
        """Store a campaign as a draft, after the checks of `prepare`.

        Args:
            title: for people; the preview's, or else the message's title if left out.
            preview: what `prepare` said of it just now, so that it isn't checked and counted twice.
            collapse_id: the id of the campaign whose pushes these replace on a device that has them; its own if left
                out.
            max_rate: as for `prepare`.

        Raises: as `prepare`.
        """
        preview = preview or await self.prepare(content, selection, title=title, starts_at=starts_at, max_rate=max_rate)
        now = self._clock()
        campaign_id = new_id(now)
        campaign = Campaign(
            id=campaign_id,
            title=check_text("title", title or preview.title),
            state=CampaignState.DRAFT,
            audience=msgspec.json.encode(selection),
            collapse_id=collapse_id or campaign_id,
            created_at=now,
            starts_at=starts_at,
            max_rate=max_rate,
            expected={name: lane.recipients for name, lane in preview.lanes.items()}
            | ({NO_LANE: preview.unroutable} if preview.unroutable else {}),
        )
        await self._database.write(lambda connection: campaigns.add(connection, campaign, encode_content(content)))
        return campaign

    async def start(self, campaign_id: str, *, once: str | None = None) -> Campaign:
        """Start a draft: at once, or have it wait for its time.

        Args:
            once: a key under which only one campaign is ever started.

        Raises:
            AlreadySent: another campaign was started with this key.
            InvalidState: it isn't a draft, or no campaign may be started, as the queue is being drained.
            UnknownCampaign: there is none of this id.
        """
        now = self._clock()
        await self._refuse_while_draining()  # before anything is put into a queue that shares no transaction

        async def change(connection: AsyncConnection) -> None:
            if await flags.hold(connection, flags.DRAINING) is not None:
                raise InvalidState(HELD_BACK)
            campaign = await campaigns.get(connection, campaign_id)
            content = decode_content(await campaigns.content(connection, campaign_id))
            starts_at = max(now, campaign.starts_at or now)
            to = CampaignState.SCHEDULED if starts_at > now else CampaignState.RUNNING
            expires_at = starts_at + lifetime(content, self._config.sending)
            if campaign.state is not CampaignState.DRAFT:
                raise InvalidState(f"campaign {campaign_id} is {campaign.state}; only a draft can be started")
            if once is not None:
                refuse_a_second_holder(once, await keys.claim(connection, once, campaign_id, now), campaign_id)
            await campaigns.move(connection, campaign_id, to, starts_at=starts_at, expires_at=expires_at)

        await self._backend.queue.settle(change, put=[start_task(campaign_id)])
        await self._backend.bell.ring()
        return await self.get(campaign_id)

    async def send(
        self,
        content: Content,
        selection: Selection,
        *,
        title: str | None = None,
        starts_at: float | None = None,
        preview: Preview | None = None,
        max_rate: float | None = None,
        once: str | None = None,
    ) -> Campaign:
        """Make a campaign and start it. `Roles.run`, here or in any other process, then sends it.

        Args:
            once: as for `start`, e.g. `episode-12`: however often a program is run, this is sent once.
            title, starts_at, preview, max_rate: as for `create`.

        Raises: as `prepare`; AlreadySent, InvalidState: as `start`.
        """
        await self._refuse_while_draining()
        if once is not None:
            await self.refuse_a_second(once)
        draft = await self.create(
            content, selection, title=title, starts_at=starts_at, preview=preview, max_rate=max_rate
        )
        try:
            return await self.start(draft.id, once=once)
        except AlreadySent:  # by another, a moment ago
            await self.cancel(draft.id)
            raise

    async def refuse_a_second(self, once: str) -> None:
        """See that no campaign was started with this key, before anybody is counted.

        Raises:
            AlreadySent: one was.
            InvalidMessage: it cannot be a key.
        """
        if not 0 < len(check_text("once", once)) <= LONGEST_ONCE:
            raise InvalidMessage("once", f"must have 1 to {LONGEST_ONCE} characters")
        refuse_a_second_holder(once, await self._database.ask(lambda connection: keys.claimed(connection, once)))

    async def retry(self, campaign_id: str, *, reasons: Sequence[str] = ()) -> Campaign:
        """A new campaign, a draft, with the same message for those whom this one did not reach: who failed, who was
        cancelled, and who was not read any more when it was stopped.

        Who saw the first push already sees the second in its place.

        Args:
            reasons: only those that failed for one of these. Left out: all but those whose address is dead.

        Raises:
            InvalidState: it is still being sent, or what was queued isn't settled yet.
            InvalidAudience: there is nobody to try again.
        """
        campaign, encoded = await self._database.ask(lambda connection: campaigns.whole(connection, campaign_id))
        content = decode_content(encoded)
        refuse_unless_over(campaign)
        left = (await self._database.ask(campaigns.under_way))[0]
        if campaign_id in left:
            settle = f"`stentor campaign resume {campaign_id}` settles what is queued, or `stentor serve` does"
            raise InvalidState(f"campaign {campaign_id} is {campaign.state}, and not all of it is settled; {settle}")
        selection = msgspec.json.decode(campaign.audience, type=Selection)
        again = msgspec.structs.replace(
            selection.origin, failed_of=campaign_id, reasons=list(reasons), within=selection
        )
        title = f"{campaign.title} (again)"
        return await self.create(content, again, title=title, collapse_id=campaign.collapse_id)

    # -- changing what they sent --------------------------------------------------------------------------------------

    async def prepare_undo(self, campaign_id: str, better: Content | None = None) -> Preview:
        """How many messages would be taken back, by lane; as `undo`, but for whom is reached until then. Nothing is
        written or sent.

        Raises: as `undo`.
        """
        campaign, content, selection = await self._instead(campaign_id, Action.UNDO, better)
        return await self.prepare(content, selection, title=_changed(campaign, Action.UNDO))

    async def prepare_edit(self, campaign_id: str, better: Content) -> Preview:
        """How many messages would be edited or replaced, by lane; as `prepare_undo`. Raises: as `undo`."""
        campaign, content, selection = await self._instead(campaign_id, Action.EDIT, better)
        return await self.prepare(content, selection, title=_changed(campaign, Action.EDIT))

    async def undo(self, campaign_id: str, better: Content | None = None) -> Campaign:
        """A new campaign, a draft, that takes back what this one sent. One that is being sent is cancelled first.

        Chats' messages are deleted. A push can only be replaced: by `better`, or by a silent one that tells the app to
        remove it. Who could not be served is among the new campaign's failures, with the reason.

        Raises:
            InvalidState: it is a draft, or takes back or edits another's messages itself.
            InvalidMessage: `better` would not replace the message, or a provider would refuse it.
            InvalidAudience: it reached nobody.
        """
        return await self._act(campaign_id, Action.UNDO, better)

    async def edit(self, campaign_id: str, better: Content) -> Campaign:
        """A new campaign, a draft, that puts `better` in the place of what this one sent: chats' messages are edited,
        pushes replaced. One that is being sent is cancelled first.

        Raises: as `undo`.
        """
        return await self._act(campaign_id, Action.EDIT, better)

    async def _act(self, campaign_id: str, action: Action, better: Content | None) -> Campaign:
        campaign, content, selection = await self._instead(campaign_id, action, better)
        if campaign.state not in FINAL:
            await self.cancel(campaign_id)
            await self._roles.run(campaign_id)
        title = _changed(campaign, action)
        return await self.create(content, selection, title=title, collapse_id=campaign.collapse_id)

    async def _instead(
        self, campaign_id: str, action: Action, better: Content | None
    ) -> tuple[Campaign, Content, Selection]:
        """A campaign, what is to take the place of its message, and whom that concerns."""
        campaign, encoded = await self._database.ask(lambda connection: campaigns.whole(connection, campaign_id))
        content = decode_content(encoded)
        if content.action is not Action.SEND:
            raise InvalidState(f"campaign {campaign_id} changes what another one sent; undo or edit that one, not this")
        if campaign.state in (CampaignState.DRAFT, CampaignState.SCHEDULED):
            raise InvalidState(f"campaign {campaign_id} is {campaign.state}: it has sent nothing that could be changed")
        selection = msgspec.json.decode(campaign.audience, type=Selection)
        whom = msgspec.structs.replace(selection.origin, reached_by=campaign_id)
        if better is None:
            return campaign, retraction(content, campaign.collapse_id), whom
        better.check()
        return campaign, correction(content, better, action), whom

    # -- stopping them ------------------------------------------------------------------------------------------------

    async def pause(self, campaign_id: str) -> Campaign:
        """Send nothing more of it until it is resumed. Takes effect within a second. Raises: InvalidState."""
        return await self._move(campaign_id, CampaignState.PAUSED)

    async def resume(self, campaign_id: str) -> Campaign:
        """Go on with a paused campaign. Raises: InvalidState."""

        async def change(connection: AsyncConnection) -> None:
            campaign = await campaigns.get(connection, campaign_id)
            if campaign.state not in (CampaignState.PAUSED, CampaignState.RUNNING, CampaignState.SCHEDULED):
                raise InvalidState(f"campaign {campaign_id} is {campaign.state}; only a paused one can be resumed")
            waits = (campaign.starts_at or 0.0) > self._clock()
            to = CampaignState.SCHEDULED if waits else CampaignState.RUNNING
            if campaign.state is CampaignState.PAUSED:
                await campaigns.move(connection, campaign_id, to)

        await self._database.write(change)
        await self._backend.bell.ring()
        return await self.get(campaign_id)

    async def cancel(self, campaign_id: str) -> Campaign:
        """Send nothing more of it, ever, and settle what is queued as cancelled. Takes effect within a second.

        Returns: it is `cancelled`, unless some process holds a part of it (or was killed in the last
        `SendingConfig.lease` seconds while it did): then it is `cancelling`, and whoever runs it ends it, or a second
        call of this.

        Raises: InvalidState: it has ended otherwise already.
        """
        campaign = await self.get(campaign_id)
        if campaign.state is CampaignState.CANCELLED:
            return campaign
        draft = campaign.state is CampaignState.DRAFT
        await self._move(campaign_id, CampaignState.CANCELLED if draft else CampaignState.CANCELLING)
        planner = Planner(
            self._backend.queue,
            self._config.sending,
            tuple(lanes(self._config)),
            self._clock,
        )
        await call_off(self._backend.queue, self._backend.ledger, planner, campaign_id, self._clock)
        await self._desk.look()
        return await self.get(campaign_id)

    # -- deleting them ------------------------------------------------------------------------------------------------

    async def prunable(self, older_than: float) -> Prunable:
        """What `prune` would delete. Raises: InvalidConfiguration."""
        before = self._before(older_than)
        return await self._database.ask(lambda connection: pruning.prunable(connection, before))

    async def prune(self, older_than: float) -> Prunable:
        """Delete the campaigns that ended so many seconds ago or earlier, with all that is known of their recipients.

        Kept are those of which a recipient has no outcome yet, and those that a retry or an undo under way still reads.

        Raises: InvalidConfiguration: that is less than a day.
        """
        return await pruning.prune(self._database, self._before(older_than))

    def _before(self, older_than: float) -> float:
        if not pruning.LEAST <= older_than < math.inf:
            raise InvalidConfiguration("campaigns are kept for a day at least, as late outcomes still need them")
        return self._clock() - older_than

    # -- helpers ------------------------------------------------------------------------------------------------------

    async def _refuse_while_draining(self) -> None:
        if await self._queue.draining():
            raise InvalidState(HELD_BACK)

    async def _move(self, campaign_id: str, to: CampaignState) -> Campaign:
        await self._database.write(lambda connection: campaigns.move(connection, campaign_id, to))
        await self._backend.bell.ring()
        return await self.get(campaign_id)


def lifetime(content: Content, settings: SendingConfig) -> float:
    """Seconds from its start for which a message is tried."""
    ttl = content.message.ttl
    return (math.ceil(settings.give_up_after) if ttl is None else ttl) or NOW_OR_NEVER


def refuse_a_second_holder(once: str, holder: keys.KeyHolder | None, ours: str | None = None) -> None:
    """Raises: AlreadySent: a campaign other than ours has the key."""
    if holder is not None and holder.campaign_id != ours:
        raise AlreadySent(once, holder.campaign_id, holder.at)


def refuse_unless_over(campaign: Campaign) -> None:
    """Raises: InvalidState: it is still being sent, or will be; says what to do first."""
    if campaign.state in FINAL:
        return
    first = "wait for its end"
    if campaign.state is CampaignState.PAUSED:
        first = f"`stentor campaign resume {campaign.id}` goes on with it"
    raise InvalidState(f"campaign {campaign.id} is {campaign.state}; {first}, or cancel it first")


def _changed(campaign: Campaign, action: Action) -> str:
    """The title of a campaign that changes what this one sent."""
    return f"{campaign.title} ({'taken back' if action is Action.UNDO else 'edited'})"
