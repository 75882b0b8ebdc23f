"""Campaigns made, changed, stopped and found: `Stentor.campaigns`.

Rules: what is refused is refused before anything is written or sent; a campaign exists, and goes on, without whoever
made it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.audience.contract import Selection, Wanted
from stentor.config import SendingConfig, lanes
from stentor.errors import (
    AlreadySent,
    ChangedMeanwhile,
    InvalidAudience,
    InvalidConfiguration,
    InvalidInput,
    InvalidState,
)
from stentor.model import Action
from stentor.pipeline import call_off
from stentor.planning.caretaker import Caretaker
from stentor.planning.content import Content, decode_content, encode_content
from stentor.planning.contract import decode_timing, encode_timing
from stentor.planning.planner import Planner, start_task
from stentor.planning.retraction import correction, retraction
from stentor.planning.templates import check_text
from stentor.planning.timing.forecast import forecast, refuse_unruled
from stentor.recording import pruning
from stentor.recording.failure_share import encode_tallies, tallies
from stentor.recording.pruning import Prunable
from stentor.recording.writing import write
from stentor.runtime.care import CareControl
from stentor.runtime.confirmation import Expectation, confirmation_of
from stentor.runtime.draft import Draft, checked
from stentor.runtime.preview import Preview, counted_of, preview_of
from stentor.runtime.queue_control import QueueControl
from stentor.runtime.renditions import Composition, composition_of
from stentor.runtime.resources import Resources
from stentor.runtime.roles import Roles
from stentor.runtime.segments import Segments
from stentor.states import FINAL, CampaignKind, CampaignState
from stentor.store import campaigns, flags
from stentor.store import once as keys
from stentor.store.along import Along
from stentor.store.campaigns import Campaign, new_id
from stentor.store.caring import CareSettings, encode_care, whom

ANYTHING = Expectation()
MOST_TESTS = 100
"""Installations that a test is sent to at most."""
HELD_BACK = "no campaign can be started while the queue is being drained; `stentor drain --end` allows it again"
LONGEST_HOLD = 3600.0
"""Seconds for which a start is held at most. Who needs longer gives the campaign a time to start."""
LONGEST_ONCE = 200
"""Characters of a key under which something is sent once."""
NOW_OR_NEVER = 60.0
"""Seconds for which a message with a lifetime of 0 is tried: it asks the provider to store nothing, not us to hurry.
Any other lifetime is kept as it is."""


class CampaignControl:
    """The campaigns of one store. Every method may raise `StoreUnavailable`."""

    def __init__(
        self, resources: Resources, roles: Roles, queue: QueueControl, segments: Segments, care: CareControl
    ) -> None:
        self._resources = resources
        self._config = resources.config
        self._clock = resources.clock
        self._database = resources.database
        self._backend = resources.backend
        self._desk = resources.desk
        self._roles = roles
        self._queue = queue
        self._segments = segments
        self._care = care

    # -- finding them -------------------------------------------------------------------------------------------------

    async def newest(
        self, *, state: CampaignState | None = None, limit: int = 50, after: tuple[float, str] | None = None
    ) -> list[Campaign]:
        """The newest first.

        Args:
            after: `created_at` and id of the last one of the page before.
        """
        states = None if state is None else [state]
        return await self._database.ask(
            lambda connection: campaigns.newest(connection, states=states, limit=limit, after=after)
        )

    async def get(self, campaign_id: str) -> Campaign:
        """Raises: UnknownCampaign."""
        return await self._database.ask_one(lambda connection: campaigns.get(connection, campaign_id))

    async def find(self, name: str) -> Campaign:
        """The campaign of this id or title, or with this in its id. Raises: UnknownCampaign: none or several are."""
        return await self._database.ask(lambda connection: campaigns.find(connection, name))

    async def content(self, campaign_id: str) -> Content:
        """What it sends. Raises: UnknownCampaign."""
        return decode_content(await self._database.ask(lambda connection: campaigns.content(connection, campaign_id)))

    # -- making them --------------------------------------------------------------------------------------------------

    async def prepare(self, draft: Draft, *, sample: str | None = None) -> Preview:
        """Check everything that can be checked, and count: for as long as it takes. Nothing is written or sent.

        Args:
            sample: the installation whose message is shown in the examples; None: one of each language.

        Raises:
            InvalidMessage: a provider would refuse it; names the field.
            InvalidInput: its title, its start, its rate, its timing or its segment cannot be meant.
            InvalidAudience: it cannot be read as configured, nobody is in it, or `sample` isn't.
            CredentialError: an app's credentials cannot be used.
            AudienceUnavailable: its database cannot be reached just now.
        """
        now = self._clock()
        draft.check(now)
        draft = await self._settled(draft)
        return await preview_of(draft, now, sample=sample, resources=self._resources)

    async def _settled(self, draft: Draft) -> Draft:
        """A draft whose segment is looked up, so that a campaign keeps the one that it was made with; and so are the
        lists and campaigns that it names."""
        selection = await self._segments.settled(draft.selection)
        return replace(draft, selection=selection, care=await self._care.settled(draft.care))

    async def compose(self, content: Content, person: Mapping[str, Any] | None = None) -> Composition:
        """What a message becomes on each channel that has an app, in each of its languages: what people will see, how
        much of the provider's limit it takes, and what is wrong with it.

        For a message that is still being written: whatever is wrong is a value. Nothing is read from an audience, no
        credential is needed, nothing is written or sent.

        Args:
            person: values for its templates, by name, as of an installation; None: each name stands for its value.
        """
        return await composition_of(content, person, self._resources.config, self._clock)

    async def values_of(self, source: str, content: Content, installation: str) -> dict[str, Any]:
        """What an installation has for the templates of a message, by name: the `person` of `compose`.

        Args:
            source: the name of an audience.

        Raises:
            InvalidAudience: there is no such audience or installation, or it cannot be read.
            InvalidMessage: a template is broken.
            AudienceUnavailable: its database cannot be reached just now.
        """
        audience = self._resources.sources.open(Selection(source=source))
        try:
            names = await audience.known(content.variables)
            page = await audience.find([installation], Wanted(variables=tuple(names)))
        finally:
            await audience.aclose()
        if not len(page):
            raise InvalidAudience(f"the audience {source} has no installation {installation}")
        if (why := page.refused.get(page.keys[0])) is not None:
            raise InvalidAudience(f"the installation {installation} cannot be read: {why}")
        return page.variables[0] if page.variables else {}

    async def create(
        self,
        draft: Draft,
        *,
        preview: Preview | None = None,
        campaign_id: str | None = None,
        is_new: bool = False,
        count: bool = True,
        kind: CampaignKind = CampaignKind.CAMPAIGN,
        along: Along[Campaign] | None = None,
        same_as: str | None = None,
    ) -> Campaign:
        """Store a campaign as a draft, unless `prepare` would refuse it.

        Args:
            count: False: its audience and its apps are not looked at yet; `check` or `start` does that.
            preview: what `prepare` said of it just now, so that it isn't checked and counted twice.
            campaign_id: its id, of `store.campaigns.new_id`. If there is one of this id, that is returned.
            is_new: whether nobody can have made one of this id, so that it needn't be looked for first.
            kind: what it is a draft of.
            along: is written with it.
            same_as: the first campaign that sent its message, if it sends that again.

        Raises: as `prepare`.
        """
        if not is_new and (found := await self._made(campaign_id)) is not None:
            return found
        now = self._clock()
        draft = await self._settled(draft)
        if preview is not None:
            expected = preview.expected
        else:
            draft.check(now)
            expected = await counted_of(draft, now, self._resources) if count else {}
        campaign_id = campaign_id or new_id(now)
        campaign = Campaign(
            id=campaign_id,
            title=check_text("title", draft.title or (draft.shown_title if preview is None else preview.title)),
            state=CampaignState.DRAFT,
            audience=msgspec.json.encode(draft.selection),
            collapse_id=draft.collapse_id or campaign_id,
            created_at=now,
            starts_at=draft.starts_at,
            max_rate=draft.max_rate,
            timing=encode_timing(draft.timing),
            expected=expected,
            kind=kind,
            pause_above=self._pause_above(draft, kind),
            care=draft.care,
            same_as=same_as,
            template=draft.template,
        )
        encoded = encode_content(draft.content)

        async def add(connection: AsyncConnection) -> Campaign:
            is_made = await campaigns.add(connection, campaign, encoded)
            made = campaign if is_made else await campaigns.get(connection, campaign.id)
            if along is not None:
                await along(connection, made)
            return made

        return await self._database.write(add)

    async def change(
        self,
        campaign_id: str,
        draft: Draft,
        *,
        revision: int | None = None,
        count: bool = True,
        kind: CampaignKind = CampaignKind.CAMPAIGN,
        along: Along[Campaign] | None = None,
    ) -> Campaign:
        """Make a draft another one, unless `prepare` would refuse it.

        Args:
            count, kind, along: as for `create`.
            revision: what `Campaign.revision` was when it was looked at; None: whatever it is.

        Raises:
            UnknownCampaign: there is none of this id.
            InvalidState: it was started, or is the draft of something else.
            ChangedMeanwhile: its revision is another one. And as `prepare`.
        """
        draft = await self._settled(draft)
        found = await self.get(campaign_id)
        exempt = draft.care.exempt or found.care.exempt  # what it is doesn't change with what it says
        draft = replace(draft, care=msgspec.structs.replace(draft.care, exempt=exempt))
        now = self._clock()
        draft.check(now)
        expected = await counted_of(draft, now, self._resources) if count else {}
        found = await self.get(campaign_id)
        if found.kind is not kind:
            raise InvalidState(f"{campaign_id} is no draft of a {kind}, but of a {found.kind}")
        seen = found.revision if revision is None else revision
        values = {
            "title": check_text("title", draft.shown_title),
            "content": encode_content(draft.content),
            "audience": msgspec.json.encode(draft.selection),
            "starts_at": draft.starts_at,
            "max_rate": draft.max_rate,
            "timing": encode_timing(draft.timing),
            "care": encode_care(draft.care),
            "expected": msgspec.json.encode(expected),
            "pause_above": self._pause_above(draft, kind),
            **campaigns.template_columns(draft.template),
        }

        async def change(connection: AsyncConnection) -> None:
            await campaigns.change_draft(connection, campaign_id, seen, values)
            await _write(along, connection, campaign_id)

        await self._database.write(change)
        return await self.get(campaign_id)

    async def draft(self, campaign_id: str) -> Draft:
        """What a campaign is to be, or was to be. Raises: UnknownCampaign."""
        campaign, encoded = await self._database.ask(lambda connection: campaigns.whole(connection, campaign_id))
        return draft_of(campaign, encoded)

    async def check(self, campaign_id: str, *, sample: str | None = None) -> Preview:
        """As `prepare`, of a draft as it is stored; its count is kept with it, for `start`.

        Raises:
            UnknownCampaign: there is none of this id.
            InvalidState: it was started.
            ChangedMeanwhile: somebody changed it while it was checked. And as `prepare`.
        """
        campaign, encoded = await self._database.ask(lambda connection: campaigns.whole(connection, campaign_id))
        preview = await self.prepare(draft_of(campaign, encoded), sample=sample)
        await self._database.write(
            lambda connection: campaigns.keep_count(connection, campaign_id, campaign.revision, preview.expected)
        )
        return preview

    async def discard(self, campaign_id: str, *, revision: int | None = None) -> None:
        """Delete a draft.

        Args:
            revision: what `Campaign.revision` was when it was looked at; None: whatever it is.

        Raises:
            UnknownCampaign: there is none of this id.
            InvalidState: it was started.
            ChangedMeanwhile: its revision is another one.
        """
        await self.get(campaign_id)
        await self._database.write(lambda connection: campaigns.discard(connection, campaign_id, revision))

    async def start(
        self,
        campaign_id: str,
        *,
        revision: int | None = None,
        once: str | None = None,
        expect: Expectation = ANYTHING,
        hold: float = 0.0,
        along: Along[Campaign] | None = None,
    ) -> Campaign:
        """Start a draft: at once, or have it wait for its time. One that was saved without a count is counted first.

        Args:
            revision: what `Campaign.revision` was when it was looked at; None: whatever it is.
            once: a key under which only one campaign is ever started.
            expect: what must hold; the count is that of when it was made, or was checked last.
            hold: for how many seconds nothing is sent yet, so that `unschedule` can take the start back.
            along: is written with it.

        Raises:
            InvalidInput: nobody can be meant to wait for `hold` seconds; or the timing says not what happens to
                recipients without a time zone, or to those whose local time is past, and there are some.
            Unconfirmed: something else was expected.
            ChangedMeanwhile: its revision is another one.
            AlreadySent: another campaign was started with this key.
            InvalidState: it isn't a draft, or no campaign may be started, as the queue is being drained.
            UnknownCampaign: there is none of this id.
        """
        if not 0 <= hold <= LONGEST_HOLD:
            raise InvalidInput("hold", f"must be between 0 and {LONGEST_HOLD:.0f} seconds")
        await self._refuse_while_draining()  # before anything is put into a queue that shares no transaction
        found = await self.get(campaign_id)
        if found.state is CampaignState.DRAFT and not found.expected:
            await self.check(campaign_id)
            found = await self.get(campaign_id)
        now = self._clock()
        await self._refuse_unruled(found, now + hold)

        async def change(connection: AsyncConnection) -> None:
            if await flags.hold(connection, flags.DRAINING) is not None:
                raise InvalidState(HELD_BACK)
            campaign = await campaigns.lock(connection, campaign_id)  # nobody changes what was looked at and expected
            encoded = await campaigns.content(connection, campaign_id)
            content = decode_content(encoded)
            if campaign.revision != (found.revision if revision is None else revision):
                raise ChangedMeanwhile(
                    f"campaign {campaign_id} was changed by somebody else meanwhile; nothing started"
                )
            starts_at = max(now + hold, campaign.starts_at or now)
            held_until = now + hold if hold else None
            to = CampaignState.SCHEDULED if starts_at > now else CampaignState.RUNNING
            expires_at = starts_at + lifetime(content, self._config.sending)
            if campaign.state is not CampaignState.DRAFT:
                if (campaign.starts_at, campaign.expires_at, campaign.held_until) == (
                    starts_at,
                    expires_at,
                    held_until,
                ):
                    return  # by this very call: its transaction was committed, and the word of that was lost
                raise InvalidState(f"campaign {campaign_id} is {campaign.state}; only a draft can be started")
            expect.check(encoded, whom(campaign.audience, campaign.care), campaign.expected_recipients)
            if once is not None:
                refuse_a_second_holder(once, await keys.claim(connection, once, campaign_id, now), campaign_id)
            await campaigns.move(
                connection,
                campaign_id,
                to,
                starts_at=starts_at,
                expires_at=expires_at,
                held_until=held_until,
                asked_start=campaign.starts_at,
            )
            await _write(along, connection, campaign_id)

        await self._backend.queue.settle(change, put=[start_task(campaign_id, found.revision)])
        await self._backend.bell.ring()
        return await self.get(campaign_id)

    async def _refuse_unruled(self, campaign: Campaign, now: float) -> None:
        """Raises: InvalidInput: a draft's timing doesn't say what happens to everybody."""
        timing = decode_timing(campaign.timing)
        if campaign.state is not CampaignState.DRAFT or not timing.leaves_open:
            return
        starts_at = max(now, campaign.starts_at or now)
        selection = msgspec.json.decode(campaign.audience, type=Selection)
        audience = self._resources.sources.open(selection.at(starts_at))
        try:
            zones = await audience.zones()
        finally:
            await audience.aclose()
        refuse_unruled(forecast(timing, zones, starts_at, math.inf))

    async def confirmation(self, campaign_id: str) -> str:
        """What confirms a draft as it is now, with the count of when it was made: for `Expectation`, so that it is
        started only if nobody changes it meanwhile. Raises: UnknownCampaign."""
        found, encoded = await self._database.ask(lambda connection: campaigns.whole(connection, campaign_id))
        return confirmation_of(encoded, whom(found.audience, found.care), found.expected_recipients)

    async def send(
        self,
        draft: Draft,
        *,
        preview: Preview | None = None,
        once: str | None = None,
        expect: Expectation = ANYTHING,
        campaign_id: str | None = None,
        is_new: bool = False,
        along: Along[Campaign] | None = None,
    ) -> Campaign:
        """Make a campaign and start it. `Roles.run`, here or in any other process, then sends it.

        Args:
            preview, campaign_id, is_new: as for `create`. A campaign of this id that was started already is returned.
            once: as for `start`, e.g. `episode-12`: however often a program is run, this is sent once.
            expect: what must hold; the count is of now.
            along: is written with the start.

        Raises: as `prepare`; AlreadySent, InvalidState, Unconfirmed: as `start`.
        """
        made = None if is_new else await self._made(campaign_id)
        if made is not None and made.state is not CampaignState.DRAFT:
            return made
        await self._refuse_while_draining()
        if once is not None:
            await self.refuse_a_second(once)
        draft = await self._settled(draft)
        preview = preview or await self.prepare(draft)
        selected = whom(msgspec.json.encode(draft.selection), draft.care)
        expect.check(encode_content(draft.content), selected, preview.recipients)
        if preview.forecast is not None:
            refuse_unruled(preview.forecast)
        made = await self.create(draft, preview=preview, campaign_id=campaign_id, is_new=is_new)
        if made.state is not CampaignState.DRAFT:
            return made
        try:
            return await self.start(made.id, once=once, along=along)
        except AlreadySent:  # by another, a moment ago
            await self.discard(made.id)
            raise
        except InvalidState:
            found = await self.get(made.id)
            if campaign_id is None or found.state is CampaignState.DRAFT:
                raise
            return found  # it was sent by the same request, which came twice

    async def refuse_a_second(self, once: str) -> None:
        """See that no campaign was started with this key, before anybody is counted.

        Raises:
            AlreadySent: one was.
            InvalidMessage: it cannot be a key.
        """
        if not 0 < len(checked("once", once)) <= LONGEST_ONCE:
            raise InvalidInput("once", f"must have 1 to {LONGEST_ONCE} characters")
        refuse_a_second_holder(once, await self._database.ask(lambda connection: keys.claimed(connection, once)))

    async def test(self, campaign_id: str, installations: Sequence[str], *, test_id: str | None = None) -> Campaign:
        """Send what a campaign has to a few installations of its audience, as a campaign of its own, at once.

        Args:
            installations: their ids.
            test_id: the id of the new campaign; as for `create`.

        Raises: as `send`.
        """
        if (found := await self._made(test_id)) is not None and found.state is not CampaignState.DRAFT:
            return found
        if not 0 < len(installations) <= MOST_TESTS:
            raise InvalidInput("installations", f"name 1 to {MOST_TESTS} installations for a test")
        campaign, encoded = await self._database.ask(lambda connection: campaigns.whole(connection, campaign_id))
        selection = msgspec.json.decode(campaign.audience, type=Selection)
        only = Selection(source=selection.source, only=list(installations))
        title = f"{campaign.title} (test)"
        care = CareSettings(exempt=True)
        draft = Draft(decode_content(encoded), only, title=title, care=care, template=campaign.template)
        return await self.send(draft, campaign_id=test_id)

    async def retry(self, campaign_id: str, *, reasons: Sequence[str] = (), retry_id: str | None = None) -> Campaign:
        """A new campaign, a draft, with the same message for those whom this one did not reach: who failed, who was
        cancelled, and who was not read any more when it was stopped.

        Who saw the first push already sees the second in its place.

        Args:
            reasons: only those that failed for one of these. Left out: all but those whose address is dead.
            retry_id: the id of the new campaign; as for `create`.

        Raises:
            InvalidState: it is still being sent, or what was queued isn't settled yet.
            InvalidAudience: there is nobody to try again.
        """
        if (found := await self._made(retry_id)) is not None:
            return found
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
        timing = decode_timing(campaign.timing).afterwards
        draft = Draft(
            content,
            again,
            title=title,
            timing=timing,
            collapse_id=campaign.collapse_id,
            care=campaign.care,
            template=campaign.template,
        )
        return await self.create(draft, campaign_id=retry_id, same_as=campaign.same_as or campaign.id)

    # -- changing what they sent --------------------------------------------------------------------------------------

    async def prepare_undo(self, campaign_id: str, better: Content | None = None) -> Preview:
        """How many messages would be taken back, by lane; as `undo`, but for whom is reached until then. Nothing is
        written or sent.

        Raises: as `undo`.
        """
        return await self.prepare((await self._instead(campaign_id, Action.UNDO, better))[1])

    async def prepare_edit(self, campaign_id: str, better: Content) -> Preview:
        """How many messages would be edited or replaced, by lane; as `prepare_undo`. Raises: as `undo`."""
        return await self.prepare((await self._instead(campaign_id, Action.EDIT, better))[1])

    async def undo(self, campaign_id: str, better: Content | None = None, *, undo_id: str | None = None) -> Campaign:
        """A new campaign, a draft, that takes back what this one sent. One that is being sent is cancelled first.

        Chats' messages are deleted. A push can only be replaced: by `better`, or by a silent one that tells the app to
        remove it. Who could not be served is among the new campaign's failures, with the reason.

        Args:
            undo_id: the id of the new campaign; as for `create`.

        Raises:
            InvalidState: it is a draft, or takes back or edits another's messages itself.
            InvalidMessage: `better` would not replace the message, or a provider would refuse it.
            InvalidAudience: it reached nobody.
        """
        return await self._act(campaign_id, Action.UNDO, better, undo_id)

    async def edit(self, campaign_id: str, better: Content, *, edit_id: str | None = None) -> Campaign:
        """A new campaign, a draft, that puts `better` in the place of what this one sent: chats' messages are edited,
        pushes replaced. One that is being sent is cancelled first.

        Args:
            edit_id: the id of the new campaign; as for `create`.

        Raises: as `undo`.
        """
        return await self._act(campaign_id, Action.EDIT, better, edit_id)

    async def _act(
        self, campaign_id: str, action: Action, better: Content | None, new_campaign_id: str | None
    ) -> Campaign:
        if (found := await self._made(new_campaign_id)) is not None:
            return found
        campaign, draft = await self._instead(campaign_id, action, better)
        if campaign.state not in FINAL:
            await self.cancel(campaign_id)
            await self._roles.see_out(campaign_id)
        return await self.create(draft, campaign_id=new_campaign_id)

    async def _instead(self, campaign_id: str, action: Action, better: Content | None) -> tuple[Campaign, Draft]:
        """A campaign, and the one that is to change what it sent."""
        campaign, encoded = await self._database.ask(lambda connection: campaigns.whole(connection, campaign_id))
        content = decode_content(encoded)
        if content.action is not Action.SEND:
            raise InvalidState(f"campaign {campaign_id} changes what another one sent; undo or edit that one, not this")
        if campaign.state in (CampaignState.DRAFT, CampaignState.SCHEDULED):
            raise InvalidState(f"campaign {campaign_id} is {campaign.state}: it has sent nothing that could be changed")
        selection = msgspec.json.decode(campaign.audience, type=Selection)
        reached = msgspec.structs.replace(selection.origin, reached_by=campaign_id)
        if better is None:
            change = retraction(content, campaign.collapse_id)
        else:
            better.check()
            change = correction(content, better, action)
        title = f"{campaign.title} ({'taken back' if action is Action.UNDO else 'edited'})"
        care = CareSettings(exempt=True)
        return campaign, Draft(change, reached, title=title, collapse_id=campaign.collapse_id, care=care)

    async def unschedule(self, campaign_id: str, *, along: Along[Campaign] | None = None) -> Campaign:
        """Make a campaign that waits for its start, or is held, a draft again. Nothing of it is sent.

        The draft has the time to start that it had before, even if that has passed.

        Args:
            along: is written with it.

        Returns: the draft; also if it was one already.

        Raises: InvalidState: it has started, or is paused.
        """

        async def change(connection: AsyncConnection) -> None:
            state = (await campaigns.get(connection, campaign_id)).state
            if state not in (CampaignState.SCHEDULED, CampaignState.DRAFT):
                said = "only one that still waits for its start can be made a draft again"
                raise InvalidState(f"campaign {campaign_id} is {state}; {said}")
            await campaigns.unschedule(connection, campaign_id)
            await _write(along, connection, campaign_id)

        await self._database.write(change)
        await self._backend.bell.ring()
        return await self.get(campaign_id)

    # -- stopping them ------------------------------------------------------------------------------------------------

    async def pause(self, campaign_id: str, *, along: Along[Campaign] | None = None) -> Campaign:
        """Send nothing more of it until it is resumed. Takes effect within a second.

        Args:
            along: is written with it.

        Raises: InvalidState.
        """
        return await self._move(campaign_id, CampaignState.PAUSED, along)

    async def resume(self, campaign_id: str, *, along: Along[Campaign] | None = None) -> Campaign:
        """Go on with a paused campaign. If it pauses by a share of failures, only what comes after counts from now on.

        Args:
            along: is written with it.

        Raises: InvalidState.
        """

        async def change(connection: AsyncConnection) -> None:
            campaign = await campaigns.get(connection, campaign_id)
            if campaign.state not in (CampaignState.PAUSED, CampaignState.RUNNING, CampaignState.SCHEDULED):
                raise InvalidState(f"campaign {campaign_id} is {campaign.state}; only a paused one can be resumed")
            waits = (campaign.starts_at or 0.0) > self._clock()
            to = CampaignState.SCHEDULED if waits else CampaignState.RUNNING
            if campaign.state is CampaignState.PAUSED:
                values: dict[str, Any] = {}
                if campaign.pause_above is not None:  # what came before is somebody's decision now
                    values["pause_from"] = encode_tallies(await tallies(connection, campaign_id))
                await campaigns.move(connection, campaign_id, to, **values)
            await _write(along, connection, campaign_id)

        await self._database.write(change)
        await self._backend.bell.ring()
        return await self.get(campaign_id)

    async def release(self, campaign_id: str, *, along: Along[Campaign] | None = None) -> Campaign:
        """Send to those as well who wait for this: all but the canary, or everybody if the campaign has a hold.

        Whoever's own time is yet to come still waits for that. Released already, it stays so.

        Args:
            along: is written with it.

        Raises:
            InvalidState: nobody of it waits for a release, or it isn't under way.
            UnknownCampaign: there is none of this id.
        """

        async def change(connection: AsyncConnection) -> None:
            campaign = await campaigns.lock(connection, campaign_id)
            if not decode_timing(campaign.timing).is_gated:
                raise InvalidState(f"campaign {campaign_id} has neither a canary nor a hold: nobody waits")
            if campaign.state not in (CampaignState.SCHEDULED, CampaignState.RUNNING, CampaignState.PAUSED):
                raise InvalidState(f"campaign {campaign_id} is {campaign.state}; only one under way can be released")
            if campaign.released_at is None:
                await campaigns.release(connection, campaign_id, self._clock())
            await _write(along, connection, campaign_id)

        await self._database.write(change)
        await Caretaker(self._database, self._backend.queue, self._clock).look(campaign_id)  # at once, not in seconds
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
            self._database, self._backend.queue, self._config.sending, tuple(lanes(self._config)), write, self._clock
        )
        await Caretaker(self._database, self._backend.queue, self._clock).look(
            campaign_id
        )  # what is held for a wave isn't queued
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

        Kept are those of which a recipient has no outcome yet, those that a retry or an undo under way still reads, and
        those that a frequency cap of the configuration still counts.

        Raises: InvalidConfiguration: that is less than a day.
        """
        return await pruning.prune(self._database, self._before(older_than))

    def _before(self, older_than: float) -> float:
        if not pruning.LEAST <= older_than < math.inf:
            raise InvalidConfiguration("campaigns are kept for a day at least, as late outcomes still need them")
        return self._clock() - max(older_than, *(cap.seconds for cap in self._config.care.read), pruning.LEAST)

    # -- helpers ------------------------------------------------------------------------------------------------------

    async def _made(self, campaign_id: str | None) -> Campaign | None:
        """The campaign of an id that was given to a new one: it is there if an earlier try got as far."""
        if campaign_id is None or not await self._database.ask(lambda c: campaigns.states(c, [campaign_id])):
            return None
        return await self.get(campaign_id)

    def _pause_above(self, draft: Draft, kind: CampaignKind) -> float | None:
        of_all = self._config.sending.pause_above if kind is CampaignKind.CAMPAIGN else None
        return of_all if draft.pause_above is None else draft.pause_above

    async def _refuse_while_draining(self) -> None:
        if await self._queue.draining():
            raise InvalidState(HELD_BACK)

    async def _move(self, campaign_id: str, to: CampaignState, along: Along[Campaign] | None = None) -> Campaign:
        async def change(connection: AsyncConnection) -> None:
            await campaigns.move(connection, campaign_id, to)
            await _write(along, connection, campaign_id)

        await self._database.write(change)
        await self._backend.bell.ring()
        return await self.get(campaign_id)


async def _write(along: Along[Campaign] | None, connection: AsyncConnection, campaign_id: str) -> None:
    """Write what belongs to something that was done to a campaign."""
    if along is not None:
        await along(connection, await campaigns.get(connection, campaign_id))


def draft_of(campaign: Campaign, content: bytes) -> Draft:
    """What a stored campaign was made of."""
    return Draft(
        decode_content(content),
        msgspec.json.decode(campaign.audience, type=Selection),
        title=campaign.title,
        starts_at=campaign.starts_at,
        max_rate=campaign.max_rate,
        timing=decode_timing(campaign.timing),
        care=campaign.care,
        template=campaign.template,
        collapse_id=campaign.collapse_id,
        pause_above=campaign.pause_above,
    )


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
