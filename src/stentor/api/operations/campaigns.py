"""Campaigns: previewed, made, started, stopped, taken back."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from stentor.access.scopes import Scope
from stentor.api.campaign_pages import list_page
from stentor.api.operation import Call, Fields, Made, Operations
from stentor.api.said import content_said
from stentor.audience.contract import Condition, Selection
from stentor.audience.segments.spelling import told
from stentor.errors import (
    AlreadySent,
    AudienceUnavailable,
    ChangedMeanwhile,
    CredentialError,
    InvalidAudience,
    InvalidInput,
    InvalidMessage,
    InvalidState,
    Unconfirmed,
    UnknownCampaign,
)
from stentor.planning.content import Content, content_of, to_file
from stentor.planning.contract import ANYTIME, Timing
from stentor.recording import shapes
from stentor.recording.shapes import CampaignShape, ListedCampaignShape, Shape
from stentor.runtime.campaigns import LONGEST_HOLD, MOST_TESTS
from stentor.runtime.confirmation import TOLERANCE, Expectation
from stentor.runtime.draft import Draft
from stentor.runtime.sentences import made_of
from stentor.runtime.shapes import PreviewShape, preview
from stentor.runtime.stentor import Stentor
from stentor.runtime.template_shapes import MessageTree
from stentor.states import CampaignState
from stentor.store.campaigns import Campaign
from stentor.store.caring import CareSettings

operations = Operations("Campaigns")
MOST, USUAL = 200, 50
"""Campaigns of a page."""
CHECKS = (InvalidMessage, InvalidAudience, CredentialError, AudienceUnavailable)
"""What a draft can be refused for."""

Share = Annotated[float, Meta(ge=0, le=1)]
Seconds = Annotated[float, Meta(ge=0, le=LONGEST_HOLD)]
Count = Annotated[int, Meta(ge=0, le=10**12)]


class AudienceFields(Fields, frozen=True, kw_only=True):
    """Whom a campaign is for."""

    source: str
    """The name of an audience in the settings; `registry` is Stentor's own table of installations."""
    filters: dict[str, list[str] | Condition] = msgspec.field(default_factory=dict)
    """By column or attribute, the values that are wanted, or a condition. All filters must hold."""
    segment: str | dict[str, Any] | list[Any] | None = None
    """A condition that must hold as well: the name of a saved segment, a text such as `country in [DE, AT]`, an object
    in MongoDB's words, or a list of OneSignal's filters."""
    only: list[str] | None = None
    """Only the installations with these ids."""

    @property
    def selection(self) -> Selection:
        """Raises: InvalidSegment."""
        segment, name = told(self.segment)
        return Selection(source=self.source, filters=self.filters, segment=segment, segment_name=name, only=self.only)


class DraftFields(Fields, frozen=True, kw_only=True):
    """What a campaign is to be. It has either a message or a template."""

    message: MessageTree | UnsetType = UNSET
    """What is sent, as a message file has it: fields of the message, options of channels, `translations`."""
    template: str | None = None
    """In place of a message: the name of a saved template, or `NAME@VERSION`. The campaign keeps its text."""
    audience: AudienceFields
    values: dict[str, str] = msgspec.field(default_factory=dict)
    """Values for the templates that are the same for everybody. They are shown as they are."""
    title: str | None = None
    """What the campaign is called in lists and reports. Left out: as the message's title."""
    starts_at: float | None = None
    """When it starts, in epoch seconds. Left out: as soon as it is started."""
    max_rate: float | None = None
    """The most pushes a second over all lanes. Left out: as fast as the lanes allow."""
    timing: Timing = ANYTIME
    """When each recipient gets it, counted from the start. Left out: everybody at once."""
    pause_above: Annotated[float, Meta(gt=0, le=1)] | None = None
    """The share of failures on a lane above which it pauses by itself, e.g. 0.2; 1: never. Left out: as the settings
    say."""
    category: str | None = None
    """What it is about, e.g. `news`: who said no to that gets nothing."""
    exclude: list[str] = msgspec.field(default_factory=list)
    """Names of exclusion lists. Who is on one gets nothing."""
    not_reached_by: list[str] = msgspec.field(default_factory=list)
    """Ids of campaigns. Whoever one of them reached, or perhaps did, gets nothing."""
    caps: list[str] = msgspec.field(default_factory=list)
    """Frequency caps of its own, beside those of the settings: `1 a day`, `3 in 24h of news`."""

    async def draft(self, stentor: Stentor) -> Draft:
        """Raises: InvalidMessage, InvalidInput: names the field."""
        content, used = await content_said(stentor, self.message, self.template, self.values)
        care = CareSettings(
            category=self.category,
            exclude=tuple(self.exclude),
            not_reached_by=tuple(self.not_reached_by),
            caps=tuple(self.caps),
        )
        return Draft(
            content,
            self.audience.selection,
            title=self.title,
            starts_at=self.starts_at,
            max_rate=self.max_rate,
            timing=self.timing,
            pause_above=self.pause_above,
            care=care,
            template=used,
        )


class PreviewRequestFields(DraftFields, frozen=True, kw_only=True):
    """What a campaign is to be, and of whom examples are wanted."""

    sample: str | None = None
    """Show what the installation with this id would get. Left out: one of each language."""


class DraftCheckFields(Fields, frozen=True, kw_only=True):
    sample: str | None = None
    """Show what the installation with this id would get. Left out: one of each language."""


class ExpectationFields(Fields, frozen=True, kw_only=True):
    """What must hold for a campaign to be started."""

    confirmation: str | None = None
    """A preview's. The message and the audience must be those, and the count about that one."""
    expect_recipients: Count | None = None
    """How many recipients there should be."""
    tolerance: Share = TOLERANCE
    """By which share the count may differ from either."""
    once: str | None = None
    """A key under which only one campaign is ever started, e.g. `episode-12`."""


class StartFields(ExpectationFields, frozen=True, kw_only=True):
    """How a campaign is started, and what must hold for it."""

    hold: Seconds = 0.0
    """For how many seconds nothing is sent yet, so that the start can be taken back by `unschedule`."""


class NewCampaignFields(DraftFields, frozen=True, kw_only=True):
    """A campaign to be made, and with `start=true` what must hold for it to be started."""

    confirmation: str | None = None
    """A preview's. The message and the audience must be those, and the count about that one."""
    expect_recipients: Count | None = None
    """How many recipients there should be."""
    tolerance: Share = TOLERANCE
    """By which share the count may differ from either."""
    once: str | None = None
    """A key under which only one campaign is ever started, e.g. `episode-12`."""


class ChangeQuery(Fields, frozen=True, kw_only=True):
    count: bool = True
    """False: check the message alone. The audience is counted, and the apps are checked, before the start."""


class CreateQuery(Fields, frozen=True, kw_only=True):
    count: bool = True
    """False: check the message alone. The audience is counted, and the apps are checked, before the start."""
    start: bool = False
    """Start it in the same call. Needs the scope `send`."""


class ListQuery(Fields, frozen=True, kw_only=True):
    state: CampaignState | None = None
    """Only campaigns in this state."""
    limit: Annotated[int, Meta(ge=1, le=MOST)] = USUAL
    """How many campaigns."""
    cursor: str | None = None
    """`next` of the page before."""


class CampaignsPage(Shape, frozen=True, kw_only=True):
    """Some campaigns, the newest first."""

    campaigns: list[ListedCampaignShape]
    next: str | None
    """The cursor of the next page. Null: this is the last one."""


class ContentShape(Shape, frozen=True, kw_only=True):
    """What a campaign sends."""

    message: MessageTree
    values: dict[str, str]


class TestFields(Fields, frozen=True, kw_only=True):
    installations: Annotated[list[str], Meta(min_length=1, max_length=MOST_TESTS)]
    """The ids of those who get the test."""


class RetryFields(Fields, frozen=True, kw_only=True):
    reasons: list[str] = msgspec.field(default_factory=list)
    """Only those that failed for one of these reasons. Left out: all but those whose address is dead."""


class InsteadFields(Fields, frozen=True, kw_only=True):
    """What takes the place of a message."""

    message: MessageTree
    values: dict[str, str] = msgspec.field(default_factory=dict)

    @property
    def content(self) -> Content:
        return content_of(self.message, self.values)


class UndoFields(Fields, frozen=True, kw_only=True):
    """How a message is taken back."""

    message: MessageTree | UnsetType = UNSET
    """What replaces pushes that cannot be deleted. Left out: a silent push tells the app to remove them."""
    values: dict[str, str] = msgspec.field(default_factory=dict)

    @property
    def content(self) -> Content | None:
        return None if self.message is UNSET else content_of(self.message, self.values)


@operations.post("/campaigns/preview", Scope.WRITE, raises=CHECKS)
async def preview_campaign(call: Call, body: PreviewRequestFields) -> PreviewShape:
    """Check and count a campaign without making it.

    Says how many get it on each lane, how long that takes at least, and what real recipients would get. Its
    `confirmation` can be demanded when the campaign is started.
    """
    return preview(await call.stentor.campaigns.prepare(await body.draft(call.stentor), sample=body.sample))


@operations.post(
    "/campaigns",
    Scope.WRITE,
    status=201,
    action="campaign.create",
    raises=(*CHECKS, AlreadySent, InvalidState, Unconfirmed),
    shape=CampaignShape,
)
async def create_campaign(call: Call, query: CreateQuery, body: NewCampaignFields) -> Made:
    """Make a campaign; with `start=true`, start it as well.

    It is counted, and refused if a preview would refuse it; then nothing is made. A draft says nothing of what a
    preview only warns of. What sends it are the roles: `stentor serve`, or `stentor worker`.
    """
    if query.start:
        call.caller.require(Scope.SEND)
    draft = await body.draft(call.stentor)
    if query.start:
        expect = _expectation(call, body)
        made = await call.stentor.campaigns.send(
            draft,
            once=body.once,
            expect=expect,
            campaign_id=call.reserved,
            is_new=not call.again,
            along=call.along(_made),
        )
    else:
        for name, value in (("confirmation", body.confirmation), ("once", body.once)):
            if value is not None:
                raise InvalidInput(name, "is for a start; add `start=true`, or give it when you start the draft")
        made = await call.stentor.campaigns.create(
            draft, campaign_id=call.reserved, is_new=not call.again, count=query.count, along=call.along(_made)
        )
    return _made(made)


@operations.get("/campaigns", Scope.VIEW)
async def list_campaigns(call: Call, query: ListQuery) -> CampaignsPage:
    """Campaigns, the newest first."""
    now = call.now
    page = await list_page(call.stentor, state=query.state, cursor=query.cursor, limit=query.limit, now=now)
    listed = [call.seen(shapes.listed(each.campaign, each.totals, now)) for each in page.campaigns]
    return CampaignsPage(campaigns=listed, next=page.next)


@operations.get("/campaigns/{campaign}", Scope.VIEW, raises=(UnknownCampaign,))
async def get_campaign(call: Call, campaign: str) -> CampaignShape:
    """A campaign, without its message."""
    return call.seen(shapes.campaign(await call.stentor.campaigns.get(campaign)))


@operations.get("/campaigns/{campaign}/message", Scope.WRITE, raises=(UnknownCampaign,))
async def get_message(call: Call, campaign: str) -> ContentShape:
    """What a campaign sends, in all its languages."""
    content = await call.stentor.campaigns.content(campaign)
    return ContentShape(message=to_file(content), values=dict(content.values))


@operations.put(
    "/campaigns/{campaign}",
    Scope.WRITE,
    action="campaign.change",
    raises=(*CHECKS, UnknownCampaign, InvalidState, ChangedMeanwhile),
)
async def change_campaign(call: Call, campaign: str, query: ChangeQuery, body: DraftFields) -> CampaignShape:
    """Make a draft another one. With `If-Match`, only if nobody changed it meanwhile."""
    found = await call.stentor.campaigns.get(campaign)
    call.match(shapes.campaign(found))
    draft = await body.draft(call.stentor)
    changed = await call.stentor.campaigns.change(campaign, draft, revision=found.revision, count=query.count)
    return shapes.campaign(changed)


@operations.post(
    "/campaigns/{campaign}/check",
    Scope.WRITE,
    raises=(*CHECKS, UnknownCampaign, InvalidState, ChangedMeanwhile),
)
async def check_campaign(call: Call, campaign: str, body: DraftCheckFields) -> PreviewShape:
    """Check and count a draft as it is stored, as a preview does. The count is kept with the draft."""
    call.match(shapes.campaign(await call.stentor.campaigns.get(campaign)))
    return preview(await call.stentor.campaigns.check(campaign, sample=body.sample))


@operations.delete(
    "/campaigns/{campaign}",
    Scope.WRITE,
    action="campaign.delete",
    raises=(UnknownCampaign, InvalidState, ChangedMeanwhile),
)
async def delete_campaign(call: Call, campaign: str) -> None:
    """Delete a draft. What was started is not deleted here: it is cancelled, and pruned when it is old."""
    found = await call.stentor.campaigns.get(campaign)
    call.match(shapes.campaign(found))
    await call.stentor.campaigns.discard(campaign, revision=found.revision)


@operations.post(
    "/campaigns/{campaign}/start",
    Scope.SEND,
    action="campaign.start",
    raises=(ChangedMeanwhile, UnknownCampaign, InvalidState, AlreadySent, Unconfirmed),
)
async def start_campaign(call: Call, campaign: str, body: StartFields) -> CampaignShape:
    """Start a draft: at once, or at its time.

    With `hold`, nothing is sent for so many seconds, and the start can be taken back until then.
    """
    found = await call.stentor.campaigns.get(campaign)
    call.match(shapes.campaign(found))
    expect = _expectation(call, body)
    started = await call.stentor.campaigns.start(
        campaign,
        revision=found.revision,
        once=body.once,
        expect=expect,
        hold=body.hold,
        along=call.along(shapes.campaign),
    )
    return shapes.campaign(started)


@operations.post(
    "/campaigns/{campaign}/unschedule", Scope.SEND, action="campaign.unschedule", raises=(UnknownCampaign, InvalidState)
)
async def unschedule_campaign(call: Call, campaign: str) -> CampaignShape:
    """Make a campaign that waits for its start, or is held, a draft again. Nothing of it is sent."""
    return shapes.campaign(await call.stentor.campaigns.unschedule(campaign, along=call.along(shapes.campaign)))


@operations.post(
    "/campaigns/{campaign}/test",
    Scope.SEND,
    status=201,
    action="campaign.test",
    raises=(UnknownCampaign, InvalidState, *CHECKS),
    shape=CampaignShape,
)
async def test_campaign(call: Call, campaign: str, body: TestFields) -> Made:
    """Send a campaign's message to a few installations of its audience, as a campaign of its own."""
    made = await call.stentor.campaigns.test(campaign, body.installations, test_id=call.reserved)
    return _made(made, of=campaign)


@operations.post(
    "/campaigns/{campaign}/pause", Scope.SEND, action="campaign.pause", raises=(UnknownCampaign, InvalidState)
)
async def pause_campaign(call: Call, campaign: str) -> CampaignShape:
    """Send nothing more of it until it is resumed. Takes effect within a second."""
    return shapes.campaign(await call.stentor.campaigns.pause(campaign, along=call.along(shapes.campaign)))


@operations.post(
    "/campaigns/{campaign}/resume", Scope.SEND, action="campaign.resume", raises=(UnknownCampaign, InvalidState)
)
async def resume_campaign(call: Call, campaign: str) -> CampaignShape:
    """Go on with a paused campaign."""
    return shapes.campaign(await call.stentor.campaigns.resume(campaign, along=call.along(shapes.campaign)))


@operations.post(
    "/campaigns/{campaign}/release", Scope.SEND, action="campaign.release", raises=(UnknownCampaign, InvalidState)
)
async def release_campaign(call: Call, campaign: str) -> CampaignShape:
    """Send to those as well who wait for this: all but the canary, or everybody if it has a hold."""
    return shapes.campaign(await call.stentor.campaigns.release(campaign, along=call.along(shapes.campaign)))


@operations.post(
    "/campaigns/{campaign}/cancel", Scope.SEND, action="campaign.cancel", raises=(UnknownCampaign, InvalidState)
)
async def cancel_campaign(call: Call, campaign: str) -> CampaignShape:
    """Send nothing more of it, ever. Takes effect within a second.

    It is `cancelling` while some process still holds a part of it, and `cancelled` then.
    """
    return shapes.campaign(await call.stentor.campaigns.cancel(campaign))


@operations.post(
    "/campaigns/{campaign}/retry",
    Scope.SEND,
    status=201,
    action="campaign.retry",
    raises=(UnknownCampaign, InvalidState, *CHECKS),
    shape=CampaignShape,
)
async def retry_campaign(call: Call, campaign: str, body: RetryFields) -> Made:
    """Make a draft with the same message for those whom a campaign did not reach."""
    made = await call.stentor.campaigns.retry(campaign, reasons=body.reasons, retry_id=call.reserved)
    return _made(made, of=campaign)


@operations.post("/campaigns/{campaign}/undo/preview", Scope.SEND, raises=(UnknownCampaign, InvalidState, *CHECKS))
async def preview_undo(call: Call, campaign: str, body: UndoFields) -> PreviewShape:
    """How many messages would be taken back, on which lanes."""
    return preview(await call.stentor.campaigns.prepare_undo(campaign, body.content))


@operations.post(
    "/campaigns/{campaign}/undo",
    Scope.SEND,
    status=201,
    action="campaign.undo",
    raises=(UnknownCampaign, InvalidState, *CHECKS),
    shape=CampaignShape,
)
async def undo_campaign(call: Call, campaign: str, body: UndoFields) -> Made:
    """Make a draft that takes back what a campaign sent. One that is being sent is cancelled first.

    Start the draft to take the messages back. Chats' messages are deleted; pushes are replaced.
    """
    made = await call.stentor.campaigns.undo(campaign, body.content, undo_id=call.reserved)
    return _made(made, of=campaign)


@operations.post(
    "/campaigns/{campaign}/edit",
    Scope.SEND,
    status=201,
    action="campaign.edit",
    raises=(UnknownCampaign, InvalidState, *CHECKS),
    shape=CampaignShape,
)
async def edit_campaign(call: Call, campaign: str, body: InsteadFields) -> Made:
    """Make a draft that puts another message in the place of what a campaign sent.

    One that is being sent is cancelled first. Start the draft to change the messages.
    """
    made = await call.stentor.campaigns.edit(campaign, body.content, edit_id=call.reserved)
    return _made(made, of=campaign)


def _made(made: Campaign, *, of: str | None = None) -> Made:
    """A campaign that was made.

    Args:
        of: the campaign that it was made of.
    """
    detail = "" if of is None else made_of(of)
    return Made(shape=shapes.campaign(made), location=f"/v1/campaigns/{made.id}", detail=detail)


def _expectation(call: Call, body: ExpectationFields | NewCampaignFields) -> Expectation:
    """What must hold for a start. Raises: InvalidInput: the settings want something to hold, and nothing was named."""
    if call.settings.confirm_starts and body.confirmation is None and body.expect_recipients is None:
        raise InvalidInput(
            "confirmation", "is missing: here a start needs a preview's confirmation, or `expect_recipients`"
        )
    return Expectation(confirmation=body.confirmation, recipients=body.expect_recipients, tolerance=body.tolerance)
