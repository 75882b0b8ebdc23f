"""What is told of campaigns as JSON: the command line's `--json`, the API and webhooks say the same.

Times are epoch seconds, durations seconds. Rules: a field that is there stays there with its meaning; programs must
take new ones in their stride. What a field means is said once, in the docstring under it: the API's document shows
those.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, TypeVar

import msgspec

from stentor.account import Waiting
from stentor.audience.contract import Selection
from stentor.planning.contract import Timing, decode_timing
from stentor.recording.audit import Audit
from stentor.recording.explain import Explanation
from stentor.recording.meanings import meaning
from stentor.recording.pruning import Prunable
from stentor.recording.report import FailureRow, LaneCounts, LaneProblem, Progress, Report, Totals
from stentor.store.campaigns import Campaign
from stentor.store.templates import UsedTemplate

S = TypeVar("S", bound=msgspec.Struct)


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """A JSON object with a fixed set of fields."""


class SelectionShape(Selection, frozen=True, kw_only=True, omit_defaults=True):
    """Whom a campaign is for."""

    reasons: list[str] = msgspec.field(default_factory=list)
    """With `failed_of`: only those that failed for one of these reasons. If none is named, nobody who was left out by a
    rule, as by `skip` in a template."""
    within: SelectionShape | None = None
    """With `failed_of`: whom that campaign was for."""

    def __post_init__(self) -> None:
        """What keeps older Stentors from a stored selection is not told."""


class CampaignShape(Shape, frozen=True, kw_only=True):
    """A campaign, without its message."""

    id: str
    title: str
    state: str
    """`draft`, `scheduled`, `running`, `paused`, `cancelling`, `completed`, `cancelled` or `failed`."""
    problem: str | None
    """Why it failed, or why it was paused other than by somebody."""
    audience: SelectionShape
    created_at: float
    starts_at: float | None
    """When it starts or started. The message's lifetime counts from here."""
    expires_at: float | None
    """When what is not sent yet expires. Null before the start."""
    finished_at: float | None
    planned: bool
    """Whether the whole audience was read."""
    expected: Mapping[str, int]
    """Recipients by lane, as counted before the start. Empty: a draft that was not counted yet."""
    max_rate: float | None
    """The most pushes a second over all lanes. Null: as fast as the lanes allow."""
    timing: Timing | None
    """When each recipient gets it, counted from the start. Null: everybody at once."""
    released_at: float | None
    """Since when those get it, too, who wait for a release: all but the canary. Null: not released."""
    pause_above: float | None
    """The share of failures on a lane above which it pauses by itself. Null: it never does."""
    revision: int
    """How often it was changed as a draft, or made a draft again."""
    held_until: float | None
    """Before when it does not start, because its start was held. Null: it was not."""
    category: str | None
    """What it is about: who said no to that gets nothing. Null: nothing in particular."""
    exclude: Sequence[str]
    """The exclusion lists whose installations get nothing."""
    not_reached_by: Sequence[str]
    """The campaigns whose recipients get nothing: those who were reached, or perhaps were."""
    caps: Sequence[str]
    """Its own frequency caps, beside those of the configuration."""
    template: UsedTemplate | None
    """The saved template, and its version, that the message was made from. Null: none."""


class ListedCampaignShape(CampaignShape, frozen=True, kw_only=True):
    """A campaign in a list, with how many of its recipients ended how so far."""

    accepted: int
    failed: int
    """Rejected, expired or ambiguous."""
    cancelled: int
    pending: int
    """Read from the audience, and without an outcome."""
    seconds: float
    """From its start to its end, or to now."""


class LaneCountsShape(Shape, frozen=True, kw_only=True):
    """Where the recipients of a lane are. `read` is the sum of all others at any moment."""

    read: int
    """Read from the audience so far."""
    queued: int
    """In a batch that waits for a sender, and not tried yet."""
    in_flight: int
    """In a batch that a sender holds. 0 if the queue is in NATS, which doesn't tell."""
    retrying: int
    """Tried, not accepted, and waiting to be tried again."""
    held: int
    """Waiting for their wave to begin: for a local time, say."""
    accepted: int
    """Taken by the provider. Providers don't say whether a phone showed the message."""
    rejected: int
    expired: int
    cancelled: int
    ambiguous: int
    """Sent and never answered."""


class LaneProblemShape(Shape, frozen=True, kw_only=True):
    """Why a lane doesn't send."""

    problem: str
    remedy: str | None
    since: float | None
    until: float | None
    """When it is tried again by itself. Null: when somebody mended it."""
    waiting: int | None
    """If the lane sends, and only some of its hosts are silent: at least how many recipients wait for these. Null: the
    problem is the whole lane's."""


class WaveShape(Shape, frozen=True, kw_only=True):
    """Those who are held until a moment."""

    at: float
    """When they get the message."""
    gated: bool
    """Whether they wait for a release as well."""
    held: int


class ProgressShape(Shape, frozen=True, kw_only=True):
    """How far a campaign is at one moment."""

    campaign: CampaignShape
    total: LaneCountsShape
    lanes: Mapping[str, LaneCountsShape]
    problems: Mapping[str, LaneProblemShape]
    """The campaign's lanes that don't send just now."""
    waves: list[WaveShape]
    """Those who are held, the next ones first."""
    at: float


class ReasonShape(Shape, frozen=True, kw_only=True):
    """How many of a lane ended for one reason."""

    lane: str
    reason: str
    outcome: str
    """`rejected`, `expired` or `ambiguous`."""
    count: int
    status: int
    """The HTTP status of one of them; 0 if no answer gave it."""
    meaning: str
    """The reason in a sentence; empty if it says it itself."""
    detail: str
    """What the provider said to one of them."""


class DeadLetterShape(Shape, frozen=True, kw_only=True):
    """A batch, or a step of planning, that was put aside because nobody could work on it."""

    id: str
    lane: str
    campaign_id: str
    reason: str
    deliveries: int
    """How often it was taken."""
    at: float


class ReportShape(Shape, frozen=True, kw_only=True):
    """A campaign's account, final or so far."""

    campaign: CampaignShape
    installations: int
    """Read from the audience so far."""
    accepted: int
    """Taken by the provider. Providers don't say whether a phone showed the message."""
    failed: int
    """Rejected, expired or ambiguous."""
    left_out: int
    """Those of `failed` who got nothing by a rule, such as `skip` in a template. Nothing is wrong with them."""
    cancelled: int
    pending: int
    unread: int
    """About how many were not read any more when it was stopped."""
    lanes: Mapping[str, LaneCountsShape]
    reasons: Sequence[ReasonShape]
    dead: int
    """Addresses that will never work again."""
    dead_letters: int
    """Batches that could not be processed."""
    put_aside: Sequence[DeadLetterShape]
    """The latest of them."""
    problems: Mapping[str, LaneProblemShape]
    """The campaign's lanes that don't send just now."""
    seconds: float
    """From its start to its end, or to now, without the pauses."""
    paused: float
    """Seconds for which it was paused."""
    rate: float
    """Recipients a second, on average over `seconds`."""
    at: float


class FailureShape(Shape, frozen=True, kw_only=True, omit_defaults=False):
    """A recipient that was not reached, and why."""

    installation: str
    lane: str
    outcome: str
    """`rejected`, `expired` or `ambiguous`."""
    reason: str
    status: int
    detail: str
    dead: bool
    """The address will never work again."""
    tries: int
    at: float
    batch_id: str
    position: int
    """Index in the batch."""
    meaning: str
    """The reason in a sentence; empty if it says it itself."""
    address: str | msgspec.UnsetType | None = msgspec.UNSET
    """If it was asked for: as the audience has it now. Null if it is gone, or was registered since."""


class CheckShape(Shape, frozen=True, kw_only=True):
    """One thing that must hold."""

    name: str
    ok: bool
    detail: str
    """What was counted; if it doesn't hold, how often and an example."""


class AuditShape(Shape, frozen=True, kw_only=True):
    """What a recount of a campaign found."""

    campaign: str
    state: str
    exact: bool
    """Whether every check holds."""
    checks: Sequence[CheckShape]
    at: float


class EventShape(Shape, frozen=True, kw_only=True):
    """Something that happened to a recipient, in a sentence."""

    at: float | None
    """Null: it is how things are now."""
    text: str


class PlaceShape(Shape, frozen=True, kw_only=True):
    """Where in a campaign a recipient is."""

    batch_id: str
    lane: str
    chain: str
    step: str
    number: str
    position: int
    """Index in the batch."""
    size: int
    """Recipients in the batch."""


class ExplanationShape(Shape, frozen=True, kw_only=True):
    """What is known of one installation in one campaign."""

    campaign: CampaignShape
    installation: str
    outcome: str | None
    place: PlaceShape | None
    """Null: it is not among those that were read so far."""
    waiting: Waiting | None
    """When and why it is tried again."""
    failure: FailureShape | None
    events: Sequence[EventShape]
    """The story, in order."""


class PrunedShape(Shape, frozen=True, kw_only=True):
    """Campaigns that ended long ago, and what is kept of them."""

    campaigns: Sequence[str]
    recipients: int
    failures: int
    oldest: float | None
    """When the first of them ended."""
    deleted: bool


def selection_of(campaign: Campaign) -> Selection:
    return msgspec.json.decode(campaign.audience, type=Selection)


def without_people(shape: S) -> S:
    """The same for whoever may not see addresses and data of people: of an audience its name alone, wherever there is a
    campaign in it."""
    if isinstance(shape, CampaignShape):
        return msgspec.structs.replace(shape, audience=SelectionShape(source=shape.audience.source))
    of = getattr(shape, "campaign", None)
    if isinstance(of, CampaignShape):
        return msgspec.structs.replace(shape, campaign=without_people(of))
    return shape


def shown_selection(each: Selection) -> SelectionShape:
    said = {name: getattr(each, name) for name in each.__struct_fields__}
    said["reasons"] = [] if isinstance(each.reasons, str) else each.reasons
    said["within"] = None if each.within is None else shown_selection(each.within)
    return SelectionShape(**said)


def campaign(each: Campaign) -> CampaignShape:
    return CampaignShape(**_campaign(each))


def _campaign(each: Campaign) -> dict[str, Any]:
    return {
        "id": each.id,
        "title": each.title,
        "state": each.state.value,
        "problem": each.problem,
        "audience": shown_selection(selection_of(each)),
        "created_at": each.created_at,
        "starts_at": each.starts_at,
        "expires_at": each.expires_at,
        "finished_at": each.finished_at,
        "planned": each.planned,
        "expected": each.expected,
        "max_rate": each.max_rate,
        "released_at": each.released_at,
        "timing": None if each.timing is None else decode_timing(each.timing),
        "pause_above": each.pause_above,
        "revision": each.revision,
        "held_until": each.held_until,
        "category": each.care.category,
        "exclude": each.care.exclude,
        "not_reached_by": each.care.not_reached_by,
        "caps": each.care.caps,
        "template": each.template,
    }


def listed(each: Campaign, totals: Totals, now: float) -> ListedCampaignShape:
    """A campaign in a list; `now` is in epoch seconds."""
    end = now if each.finished_at is None else each.finished_at
    return ListedCampaignShape(**_campaign(each), **asdict(totals), seconds=round(lasted(each, end), 3))


def lasted(each: Campaign, end: float) -> float:
    """Seconds from a campaign's start to `end`; 0 before it starts."""
    return 0.0 if each.starts_at is None else max(0.0, end - each.starts_at)


def counts(lane: LaneCounts) -> LaneCountsShape:
    return LaneCountsShape(**asdict(lane))


def problem(found: LaneProblem) -> LaneProblemShape:
    return LaneProblemShape(**asdict(found))


def problems(found: Mapping[str, LaneProblem]) -> dict[str, LaneProblemShape]:
    """By lane."""
    return {name: problem(each) for name, each in found.items()}


def progress(now: Progress) -> ProgressShape:
    return ProgressShape(
        campaign=campaign(now.campaign),
        total=counts(now.total),
        lanes={name: counts(lane) for name, lane in now.lanes.items()},
        problems=problems(now.problems),
        waves=[WaveShape(at=each.at, gated=each.gated, held=each.held) for each in now.waves],
        at=now.at,
    )


def report(told: Report) -> ReportShape:
    total = told.total
    return ReportShape(
        campaign=campaign(told.campaign),
        installations=total.read,
        accepted=total.accepted,
        failed=total.failed,
        left_out=told.left_out,
        cancelled=total.cancelled,
        pending=total.pending,
        unread=told.unread,
        lanes={name: counts(lane) for name, lane in told.lanes.items()},
        reasons=[
            ReasonShape(
                lane=name,
                reason=each.reason,
                outcome=each.outcome.name.lower(),
                count=each.count,
                status=each.status,
                meaning=meaning(name, each.reason, each.outcome),
                detail=each.detail,
            )
            for name, reasons in told.reasons.items()
            for each in reasons
        ],
        dead=told.dead,
        dead_letters=told.dead_letters,
        put_aside=[DeadLetterShape(**asdict(letter)) for letter in told.put_aside],
        problems=problems(told.problems),
        seconds=round(told.seconds, 3),
        paused=round(told.paused, 3),
        rate=round(told.rate, 1),
        at=told.at,
    )


def failure(row: FailureRow, *, address: bool = False) -> FailureShape:
    """A recipient that was not reached, with its address if that was asked for."""
    said = asdict(row)
    if not address:
        del said["address"]
    said |= {"outcome": row.outcome.name.lower(), "meaning": meaning(row.lane, row.reason, row.outcome)}
    return FailureShape(**said)


def audit(found: Audit) -> AuditShape:
    return AuditShape(
        campaign=found.campaign_id,
        state=found.state.value,
        exact=found.exact,
        checks=[CheckShape(**asdict(check)) for check in found.checks],
        at=found.at,
    )


def explanation(told: Explanation) -> ExplanationShape:
    return ExplanationShape(
        campaign=campaign(told.campaign),
        installation=told.installation,
        outcome=None if told.outcome is None else told.outcome.name.lower(),
        place=None if told.place is None else PlaceShape(**asdict(told.place)),
        waiting=told.waiting,
        failure=None if told.failure is None else failure(told.failure),
        events=[EventShape(**asdict(event)) for event in told.events],
    )


def pruned(found: Prunable, *, deleted: bool) -> PrunedShape:
    return PrunedShape(**asdict(found), deleted=deleted)
