"""What the API answers.

Drawn from the API's operations by `docs/render_client.py`; don't edit it here.
Times are epoch seconds, durations are seconds. New versions of the API may add fields; this leaves them out.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody would get."""

    installation: str
    """Whose it is; empty if everybody on the lane gets the same."""
    language: str
    """The translation; empty for the message itself."""
    payload: str
    """What the provider would be sent."""


class TagServed(msgspec.Struct, frozen=True, kw_only=True):
    """Which translation installations get whose language is written in one way."""

    tag: str
    """As the installations have it; empty: they say no language."""
    language: str
    """The translation that serves this tag; empty for the message itself."""
    installations: int
    """How many of those looked at."""


class LanguageSize(msgspec.Struct, frozen=True, kw_only=True):
    """How much of a provider's limit the message takes in one language."""

    language: str
    """The translation; empty for the message itself."""
    installation: str
    """For whom: of those looked at, the one whose message is longest. Empty: for nobody, without personal data."""
    what: str
    """What the provider limits: `payload`, `text`, `caption`, `embeds`, or a field of an embed."""
    size: int
    limit: int
    unit: str
    """`bytes` or `characters`, as the provider counts."""
    left: int
    """How much more there may be. Below 0: it is too large, and would be rejected."""


class LanePreview(msgspec.Struct, frozen=True, kw_only=True):
    """What a campaign would send on one lane."""

    recipients: int
    ceiling: float | None
    """The most pushes a second. Null: nobody names a limit."""
    seconds: float
    """How long it takes at least."""
    examples: list[Example]
    looked_at: int
    """Of how many installations the following is told; 0: everybody gets the same."""
    languages: dict[str, int]
    """How many of these get each translation."""
    tags: list[TagServed]
    """Which translation each language tag of these gets: the 100 most frequent tags."""
    lacking: dict[str, int]
    """How many of these have no value of a name that a template uses."""
    sizes: list[LanguageSize]
    """How much of the provider's limit the message takes, in each language. Empty: the provider names no limit."""


class ZoneTimes(msgspec.Struct, frozen=True, kw_only=True):
    """When the recipients in one time zone get a campaign."""

    zone: str
    """Its name. Empty: of those without a time zone that is known."""
    recipients: int
    past: bool
    """Whether the local time is past there when the campaign starts."""
    left_out: dict[str, int]
    """How many of them get nothing by the timing, by the reason."""
    first: float | None
    """When the first of them is sent to. Null: nobody is."""
    last: float | None
    """When the last of them is sent to, at the earliest."""
    quiet_at: float | None
    """When quiet hours begin there next after `first`. Null: the campaign has none."""
    runs_into_quiet: bool
    """Whether they can't all be sent to before the quiet hours begin."""


class Times(msgspec.Struct, frozen=True, kw_only=True):
    """When the recipients get a campaign that has a timing."""

    zones: list[ZoneTimes]
    """Of each time zone. The first to be sent to come first, those who get nothing last."""
    past: int
    """Recipients in zones in which the local time is past when the campaign starts."""
    without_zone: int
    """Recipients without a time zone that is known."""
    left_out: dict[str, int]
    """How many recipients get nothing by the timing, by the reason."""
    first: float | None
    """When the first recipient is sent to. Null: nobody is."""
    last: float | None
    """When the last recipient is sent to, at the earliest."""


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What a campaign would do. Nothing was written or sent."""

    title: str
    lanes: dict[str, LanePreview]
    recipients: int
    unroutable: int
    """Installations whose channel or app isn't configured. They would be rejected."""
    seconds: float
    """How long it takes at least."""
    times: Times | None
    """When the recipients get it, by time zone. Null: all do when it starts."""
    warnings: list[str]
    left_out: dict[str, int]
    """Those of `recipients` who would get nothing by a rule, by reason: `OptedOut`, `Excluded`, `Capped`."""
    left_out_about: bool
    """Whether these are estimates, by a part of the audience that was looked at."""
    sample: dict[str, str]
    """By lane, the payload of its first example."""
    confirmation: str
    """Pass it on when you start the campaign: then only this message starts, for this audience and about this count."""


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """What a column or attribute must say. A row fulfils it if it has one of the values or begins with one of the
    prefixes (where there are any of either), and has none of the others."""

    values: list[str] = []
    prefixes: list[str] = []
    none_of: list[str] = []
    """A row that says nothing (NULL) has none of these."""


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a campaign is for."""

    source: str
    """The name of an audience in the configuration; `registry` is the embedded one. Empty with `addresses_of`."""
    filters: dict[str, list[str] | Condition] = {}
    """Column or attribute -> the values that are wanted, or a condition; all filters must hold."""
    segment: str | None = None
    """A condition that must hold as well, as people write it: `country in [DE, AT] and last_seen > now - 7d`."""
    segment_name: str | None = None
    """The name under which the segment was saved when the campaign was made. With no `segment` beside it, it is still
    to be looked up."""
    segment_at: float | None = None
    """What `now` means in the segment, in epoch seconds; None: whenever it is asked."""
    addresses_of: str | None = None
    """The addresses that were named for this message, in place of an audience."""
    only: list[str] | None = None
    """The keys of these installations alone: of a test, or a message."""
    failed_of: str | None = None
    """Those of this campaign that were not reached."""
    reached_by: str | None = None
    """Those whom this campaign reached, or perhaps did."""
    reasons: list[str] = []
    """With `failed_of`: only those that failed for one of these reasons. If none is named, nobody who was left out by a
    rule, as by `skip` in a template."""
    within: Selection | None = None
    """With `failed_of`: whom that campaign was for."""


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """When each recipient of a campaign gets it, counted from when the campaign starts."""

    local_at: str | None = None
    """The time on the recipient's clock at which it is sent: `2030-01-31T18:00`. None: when the campaign starts."""
    no_zone: str | None = None
    """What happens to recipients without a time zone that is known, if it is needed: `skip` leaves them out, `now`
    sends to them when the campaign starts, and a zone such as `Europe/Berlin` or `+02:00` stands in for theirs. None:
    the campaign doesn't start if there are any; those who come later are left out."""
    past: str | None = None
    """What happens to recipients whose local time was past when the campaign started: `now` sends to them then, `skip`
    leaves them out, and `tomorrow` waits for the same time of the next day. None: the campaign doesn't start if they
    are more than `past_share`; if there are fewer, they are left out."""
    past_share: float = 0.0
    """The share of all recipients whose local time may be past without a rule, from 0 to 1."""
    quiet_hours: str | None = None
    """Hours on the recipient's clock in which nothing is sent to them: `22:00-08:00`."""
    quiet_then: str = "hold"
    """What happens to recipients whose time lies in the quiet hours: `hold` sends when these end, `expire` leaves them
    out."""
    spread: float = 0.0
    """Seconds over which the recipients are spread evenly, from the time that each would have without it."""
    canary: float = 0.0
    """The share of the recipients that is sent to first, from 0 to 1; the others wait until they are released. 0: all
    at once."""
    hold: bool = False
    """Whether all recipients wait until they are released."""


class UsedTemplate(msgspec.Struct, frozen=True, kw_only=True):
    """The version of a template that a campaign was made from."""

    name: str
    version: int


class Campaign(msgspec.Struct, frozen=True, kw_only=True):
    """A campaign, without its message."""

    id: str
    title: str
    state: str
    """`draft`, `scheduled`, `running`, `paused`, `cancelling`, `completed`, `cancelled` or `failed`."""
    problem: str | None
    """Why it failed, or why it was paused other than by somebody."""
    audience: Selection
    created_at: float
    starts_at: float | None
    """When it starts or started. The message's lifetime counts from here."""
    expires_at: float | None
    """When what is not sent yet expires. Null before the start."""
    finished_at: float | None
    planned: bool
    """Whether the whole audience was read."""
    expected: dict[str, int]
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
    exclude: list[str]
    """The exclusion lists whose installations get nothing."""
    not_reached_by: list[str]
    """The campaigns whose recipients get nothing: those who were reached, or perhaps were."""
    caps: list[str]
    """Its own frequency caps, beside those of the configuration."""
    template: UsedTemplate | None
    """The saved template, and its version, that the message was made from. Null: none."""
    etag: str = ""
    """The header `ETag`, for `if_match`. Empty inside of a list."""


class ListedCampaign(msgspec.Struct, frozen=True, kw_only=True):
    """A campaign in a list, with how many of its recipients ended how so far."""

    id: str
    title: str
    state: str
    """`draft`, `scheduled`, `running`, `paused`, `cancelling`, `completed`, `cancelled` or `failed`."""
    problem: str | None
    """Why it failed, or why it was paused other than by somebody."""
    audience: Selection
    created_at: float
    starts_at: float | None
    """When it starts or started. The message's lifetime counts from here."""
    expires_at: float | None
    """When what is not sent yet expires. Null before the start."""
    finished_at: float | None
    planned: bool
    """Whether the whole audience was read."""
    expected: dict[str, int]
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
    exclude: list[str]
    """The exclusion lists whose installations get nothing."""
    not_reached_by: list[str]
    """The campaigns whose recipients get nothing: those who were reached, or perhaps were."""
    caps: list[str]
    """Its own frequency caps, beside those of the configuration."""
    template: UsedTemplate | None
    """The saved template, and its version, that the message was made from. Null: none."""
    accepted: int
    failed: int
    """Rejected, expired or ambiguous."""
    cancelled: int
    pending: int
    """Read from the audience, and without an outcome."""
    seconds: float
    """From its start to its end, or to now."""


class CampaignsPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some campaigns, the newest first."""

    campaigns: list[ListedCampaign]
    next: str | None
    """The cursor of the next page. Null: this is the last one."""


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """What a campaign sends."""

    message: dict[str, Any]
    values: dict[str, str]


class LaneCounts(msgspec.Struct, frozen=True, kw_only=True):
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


class LaneProblem(msgspec.Struct, frozen=True, kw_only=True):
    """Why a lane doesn't send."""

    problem: str
    remedy: str | None
    since: float | None
    until: float | None
    """When it is tried again by itself. Null: when somebody mended it."""
    waiting: int | None
    """If the lane sends, and only some of its hosts are silent: at least how many recipients wait for these. Null: the
    problem is the whole lane's."""


class Wave(msgspec.Struct, frozen=True, kw_only=True):
    """Those who are held until a moment."""

    at: float
    """When they get the message."""
    gated: bool
    """Whether they wait for a release as well."""
    held: int


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a campaign is at one moment."""

    campaign: Campaign
    total: LaneCounts
    lanes: dict[str, LaneCounts]
    problems: dict[str, LaneProblem]
    """The campaign's lanes that don't send just now."""
    waves: list[Wave]
    """Those who are held, the next ones first."""
    at: float


class Reason(msgspec.Struct, frozen=True, kw_only=True):
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


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A batch, or a step of planning, that was put aside because nobody could work on it."""

    id: str
    lane: str
    campaign_id: str
    reason: str
    deliveries: int
    """How often it was taken."""
    at: float


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A campaign's account, final or so far."""

    campaign: Campaign
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
    lanes: dict[str, LaneCounts]
    reasons: list[Reason]
    dead: int
    """Addresses that will never work again."""
    dead_letters: int
    """Batches that could not be processed."""
    put_aside: list[DeadLetter]
    """The latest of them."""
    problems: dict[str, LaneProblem]
    """The campaign's lanes that don't send just now."""
    seconds: float
    """From its start to its end, or to now, without the pauses."""
    paused: float
    """Seconds for which it was paused."""
    rate: float
    """Recipients a second, on average over `seconds`."""
    at: float


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that must hold."""

    name: str
    ok: bool
    detail: str
    """What was counted; if it doesn't hold, how often and an example."""


class Audit(msgspec.Struct, frozen=True, kw_only=True):
    """What a recount of a campaign found."""

    campaign: str
    state: str
    exact: bool
    """Whether every check holds."""
    checks: list[Check]
    at: float


class Place(msgspec.Struct, frozen=True, kw_only=True):
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


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A recipient that is to be tried again."""

    position: int
    """Its index in the batch."""
    tries: int
    """How often it was sent so far."""
    not_before: float
    """Epoch seconds."""
    reason: str
    """Why it wasn't accepted the last time."""
    ambiguous: bool = False
    """Whether it may have got the message: a try was written and never answered, or its sender died."""
    begun: bool = False
    """Whether it was noted that another try begins now, and nothing since: should that sender have died, nobody knows
    whether it was sent. `not_before` is when it began."""
    failing_since: int = 0
    """Epoch seconds of its first try that failed, or when its host could first not be reached; 0: neither."""


class Failure(msgspec.Struct, frozen=True, kw_only=True):
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
    address: str | None = None
    """If it was asked for: as the audience has it now. Null if it is gone, or was registered since."""

    def __repr__(self) -> str:
        return _without(self, "address")


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to a recipient, in a sentence."""

    at: float | None
    """Null: it is how things are now."""
    text: str


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one installation in one campaign."""

    campaign: Campaign
    installation: str
    outcome: str | None
    place: Place | None
    """Null: it is not among those that were read so far."""
    waiting: Waiting | None
    """When and why it is tried again."""
    failure: Failure | None
    events: list[Event]
    """The story, in order."""


class FailuresPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some of those who were not reached."""

    failures: list[Failure]
    next: str | None
    """The cursor of the next page. Null: this is the last one."""


class Recipient(msgspec.Struct, frozen=True, kw_only=True):
    """A recipient of a campaign."""

    installation: str
    lane: str
    outcome: str
    """`accepted`, `rejected`, `expired`, `cancelled`, `ambiguous`, or `waiting` if it has none yet."""
    batch_id: str
    position: int
    """Index in the batch."""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """See `Standing` in the API's document."""

    title: str
    state: str
    problem: str | None


class CampaignsNow(msgspec.Struct, frozen=True, kw_only=True):
    """See `CampaignsNow` in the API's document."""

    campaigns: dict[str, Standing]
    """Those that are started and not over, and those that ended within the last minute; by id."""
    problems: dict[str, LaneProblem]
    """Every lane that doesn't send."""


class NextTimes(msgspec.Struct, frozen=True, kw_only=True):
    """When the runs of a series are due."""

    explained: str
    """The cron line in English."""
    times: list[float]
    local: list[str]
    """The same as the clocks of the time zone show them."""


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """A recurring campaign."""

    id: str
    name: str
    cron: str
    """Minute, hour, day, month and weekday, as cron has them."""
    zone: str
    """The IANA name of the time zone whose clocks `cron` means."""
    missed: str
    """What becomes of runs that were due while no scheduler ran: `skip`, or `one`, which sends the newest late."""
    paused: bool
    next_at: float | None
    """When the next run is due. Null: it is paused."""
    revision: int
    """How often it was changed, paused or resumed."""
    created_at: float
    changed_at: float


class SeriesRun(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a run of a series."""

    due: float
    state: str
    """`due`: being made, or tried again. `started`: `campaign` says the rest. `failed`: it could not be made.
    `skipped`: the run before it was not over. `missed`: no scheduler ran."""
    campaign: str | None
    """The run's campaign, if it was started. It may have been pruned since."""
    reason: str | None
    """Why it was not sent, or why making it is tried again."""
    runs: int
    """If several in a row were missed: how many, from `due` on. Else 1."""
    at: float
    """When it got its state."""


class ListedSeries(msgspec.Struct, frozen=True, kw_only=True):
    """A recurring campaign in a list."""

    id: str
    name: str
    cron: str
    """Minute, hour, day, month and weekday, as cron has them."""
    zone: str
    """The IANA name of the time zone whose clocks `cron` means."""
    missed: str
    """What becomes of runs that were due while no scheduler ran: `skip`, or `one`, which sends the newest late."""
    paused: bool
    next_at: float | None
    """When the next run is due. Null: it is paused."""
    revision: int
    """How often it was changed, paused or resumed."""
    created_at: float
    changed_at: float
    last_run: SeriesRun | None
    """Its newest run. Null: there was none yet."""


class SeriesPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some series, in the order of their names."""

    series: list[ListedSeries]
    next: str | None
    """What the next page comes after. Null: this is the last one."""


class SeriesDraft(msgspec.Struct, frozen=True, kw_only=True):
    """What the runs of a series are made of, without the message."""

    title: str | None
    """What its runs are called, before their date."""
    audience: Selection
    max_rate: float | None
    pause_above: float | None


class RunsPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some runs of a series, the newest first."""

    runs: list[SeriesRun]
    next: float | None
    """What the next page comes before. Null: this is the last one."""


class MessageRecipient(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one recipient."""

    installation: str
    """Its id. Addresses are called `address-1`, `address-2` and so on, in the order in which they were named."""
    lane: str | None
    """Null: it is on no lane."""
    outcome: str
    """`accepted`, `rejected`, `expired`, `cancelled`, `ambiguous` or `waiting`."""
    reason: str
    """Why it was not accepted, or not yet. Empty if it was not tried yet."""
    status: int
    """The HTTP status; 0 if no answer gave it."""
    detail: str
    dead: bool
    """Whether the address will never work again."""
    tries: int
    """How often it was tried, if it was not accepted."""
    next_try_at: float | None


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A message, and what became of everybody whom it is for."""

    id: str
    title: str
    state: str
    """As a campaign's: `running`, `paused`, `cancelling`, `completed`, `cancelled` or `failed`."""
    created_at: float
    expires_at: float | None
    """When what is not sent yet expires."""
    finished_at: float | None
    template: UsedTemplate | None
    """The saved template, and its version, that it was made from. Null: none."""
    settled: bool
    """Whether everybody has an outcome."""
    recipients: list[MessageRecipient]
    """In the order in which they were named."""
    at: float


class ListedMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message, without its recipients."""

    id: str
    title: str
    state: str
    """As a campaign's: `running`, `paused`, `cancelling`, `completed`, `cancelled` or `failed`."""
    created_at: float
    expires_at: float | None
    """When what is not sent yet expires."""
    finished_at: float | None
    template: UsedTemplate | None
    """The saved template, and its version, that it was made from. Null: none."""


class MessagesPage(msgspec.Struct, frozen=True, kw_only=True):
    """See `MessagesPage` in the API's document."""

    messages: list[ListedMessage]


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """A segment that somebody saved."""

    name: str
    segment: str
    """As people write it."""
    conditions: dict[str, Any]
    """The same as JSON, in MongoDB's words."""
    created_at: float
    changed_at: float


class SegmentsPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some segments, in the order of their names."""

    segments: list[Segment]
    next: str | None
    """What the next page comes after. Null: this is the last one."""


class SegmentSample(msgspec.Struct, frozen=True, kw_only=True):
    """An installation that is in a segment. Its address is not shown."""

    installation: str
    lane: str
    """Empty: its app isn't configured."""
    values: dict[str, Any]
    """What it has of the columns and attributes that the segment names."""


class SegmentCount(msgspec.Struct, frozen=True, kw_only=True):
    """How many installations of an audience are in a segment."""

    segment: str
    """As people write it."""
    count: int
    about: bool
    """Whether the count is an estimate: the exact one was not ready in time."""
    samples: list[SegmentSample]
    """The first of them, 20 at most. Empty as well if they were not found in time."""


class OptOut(msgspec.Struct, frozen=True, kw_only=True):
    """That an installation said no."""

    installation: str
    category: str
    """The messages it said no to; `all`: all messages."""
    at: float
    """When, in epoch seconds."""


class OptOutsPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some opt-outs, in the order of installation and category."""

    opt_outs: list[OptOut]
    next: str | None
    """The cursor of the next page. Null: this is the last one."""


class Added(msgspec.Struct, frozen=True, kw_only=True):
    """See `Added` in the API's document."""

    added: int
    """How many are new."""


class InstallationOptOuts(msgspec.Struct, frozen=True, kw_only=True):
    """What an installation said no to."""

    opt_outs: list[OptOut]


class ExclusionList(msgspec.Struct, frozen=True, kw_only=True):
    """A list of installations that campaigns leave out."""

    name: str
    installations: int
    """How many are on it."""
    created_at: float
    changed_at: float


class ExclusionLists(msgspec.Struct, frozen=True, kw_only=True):
    """All lists, in the order of their names."""

    lists: list[ExclusionList]


class ExcludedPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some installations on a list, in order."""

    installations: list[str]
    next: str | None
    """What the next page comes after. Null: this is the last one."""


class Removed(msgspec.Struct, frozen=True, kw_only=True):
    """See `Removed` in the API's document."""

    removed: int
    """How many were there."""


class TemplateVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a saved template, without its message."""

    name: str
    version: int
    """From 1."""
    newest: int
    """The template's newest version."""
    title: str
    """What its message is called: its title, or else its body, cut to 200 characters."""
    created_at: float
    """When the template was saved first."""
    saved_at: float
    """When this version was."""
    saved_by: str
    """By whom. Empty if that is not known."""
    restored: int | None
    """The version that it is a copy of. Null: somebody wrote it."""


class TemplatesPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some templates, in the order of their names, each in its newest version."""

    templates: list[TemplateVersion]
    next: str | None
    """What the next page comes after. Null: this is the last one."""


class Template(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a saved template."""

    name: str
    version: int
    """From 1."""
    newest: int
    """The template's newest version."""
    title: str
    """What its message is called: its title, or else its body, cut to 200 characters."""
    created_at: float
    """When the template was saved first."""
    saved_at: float
    """When this version was."""
    saved_by: str
    """By whom. Empty if that is not known."""
    restored: int | None
    """The version that it is a copy of. Null: somebody wrote it."""
    message: dict[str, Any]
    """As a message file has it, with its languages."""


class TemplateVersionsPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some versions of a template, the newest first."""

    versions: list[TemplateVersion]
    next: int | None
    """What the next page comes before. Null: this is the last one."""


class TemplateChange(msgspec.Struct, frozen=True, kw_only=True):
    """A field of which one version says something else than another."""

    field: str
    """Its dotted path, as in a message file: `translations.de.title`."""
    told: str
    """The change in a sentence. Long texts are cut."""
    before: Any | None = None
    """What it was, as JSON. Left out: the field was not there."""
    after: Any | None = None
    """What it became. Left out: the field is gone."""


class TemplateComparison(msgspec.Struct, frozen=True, kw_only=True):
    """What one version of a template has otherwise than another."""

    changes: list[TemplateChange]
    """Empty: they say the same."""


class Installation(msgspec.Struct, frozen=True, kw_only=True):
    """An installation of the registry. Times are epoch seconds; null: unknown, or never."""

    id: str
    channel: str
    app: str | None
    address: str
    """Only its beginning and `…`, unless it was asked for."""
    language: str | None
    time_zone: str | None
    attributes: dict[str, Any]
    registered_at: float | None
    dead_at: float | None
    """When the provider said that the address will never work again."""
    dead_reason: str | None

    def __repr__(self) -> str:
        return _without(self, "address", "attributes")


class InstallationPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some installations."""

    installations: list[Installation]
    next: str | None
    """The cursor of the next page; null: this is the last one."""


class Upserted(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a stream's rows. `read` is the sum of all that follow but `left_out`."""

    lines: int
    """The last line that was dealt with, and is committed."""
    read: int
    added: int
    changed: int
    revived: int
    """Their address was dead; they have another one now, or registered again."""
    unchanged: int
    duplicates: int
    """Rows that a later one with the same id overruled."""
    rejected: dict[str, int]
    """Rows that cannot be used, by reason."""
    left_out: dict[str, int]
    """Values that could not be read, by reason. Their rows were registered without them."""


class Rejected(msgspec.Struct, frozen=True, kw_only=True):
    """A row of a stream that was not registered just as it stands there."""

    line: int
    """From 1."""
    fate: str
    """`rejected`; `left out`: a value of it was; `duplicate`: a later row with the same id counts."""
    reason: str
    id: str
    """Only its beginning; empty if the row could not be read."""


class StreamResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a stream."""

    counts: Upserted
    rejected: list[Rejected]
    """Every line that was left out, was overruled by a later one, or lacks a value."""


class Put(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one that was put."""

    change: str
    """`revived`: its address was dead, and it has another one now, or registered again."""
    installation: Installation


class Erased(msgspec.Struct, frozen=True, kw_only=True):
    """What was removed."""

    registered: bool
    """Whether it was in the registry."""
    places: int
    """Its places in campaigns, which have a placeholder now."""
    cancelled: int
    """Those of them that were not sent to yet, and won't be."""
    campaigns: list[str]
    """The ids of these campaigns."""
    left: list[str]
    """What could not be removed yet, and why; empty: all is gone. Then the registry still has it, as dead."""


class AnswerTimes(msgspec.Struct, frozen=True, kw_only=True):
    """How long a lane's provider took to answer, over all campaigns and senders, in seconds from a request to its
    answer. Over HTTP/2, each connection times one request at a time."""

    timed: int
    """Answers that were timed."""
    median: float
    """Half of them came within this time."""
    slowest: float
    """99 of 100 came within this time."""


class Lane(msgspec.Struct, frozen=True, kw_only=True):
    """What goes over one app of a provider."""

    lane: str
    """`channel/app`, e.g. `apns/ios`."""
    ready: int
    """Batches in the queue that can be taken now."""
    delayed: int
    """Batches that wait, for a retry or for a campaign that is paused."""
    leased: int
    """Batches that senders hold."""
    problem: LaneProblem | None
    """Why it doesn't send just now."""
    answer_times: AnswerTimes | None
    """How long the provider took to answer in the last minute. Null: nothing was sent, or nobody timed it."""
    credentials_expire_at: float | None
    """When the app's credentials end by themselves, as the senders that run read them: of a certificate for APNs. Null:
    never, or nobody knows."""


class Lanes(msgspec.Struct, frozen=True, kw_only=True):
    """See `Lanes` in the API's document."""

    lanes: list[Lane]


class RoleSign(msgspec.Struct, frozen=True, kw_only=True):
    """What the work shows of a role."""

    role: str
    """`planner`, `sender`, `recorder` or `scheduler`."""
    lane: str | None
    """Of senders, the lane. Null: the role works for all lanes."""
    state: str
    """`working`: it holds work. `idle`: there is nothing for it to do. `waited_for`: there is work that nobody holds
    just now. `hindered`: there is work, and the lane has a problem."""
    problem: LaneProblem | None
    """Why its work stands still, and what to do. Work that nobody takes is a problem after some seconds."""


class RoleProcess(msgspec.Struct, frozen=True, kw_only=True):
    """A process that does a role's work. It shows itself every ten seconds, and takes leave when it stops."""

    id: str
    """Drawn by the process when it starts."""
    role: str
    """`planner`, `sender`, `recorder`, `scheduler` or `api`."""
    host: str
    """The name of its machine or container."""
    pid: int
    version: str
    """Of Stentor."""
    started_at: float
    seen_at: float
    """When it showed itself last."""
    silent_for: float
    """Seconds since then."""
    silent: bool
    """Whether it has shown no sign for 30 s: it may have been killed, or cut off from the store. It is forgotten after
    an hour."""
    lanes: list[str]
    """Those that a sender serves."""


class Roles(msgspec.Struct, frozen=True, kw_only=True):
    """The roles by their work, and the processes that do it. All times are the store's."""

    roles: list[RoleSign]
    processes: list[RoleProcess]
    """Those that run, and those that ended without taking leave within the last hour."""


class App(msgspec.Struct, frozen=True, kw_only=True):
    """An app's settings, without secrets."""

    name: str
    channel: str
    lane: str
    settings: dict[str, Any]
    """What is set of it in stentor.toml: ids, limits, the names of files. Never what is in those."""


class Apps(msgspec.Struct, frozen=True, kw_only=True):
    """See `Apps` in the API's document."""

    apps: list[App]


class Backlog(msgspec.Struct, frozen=True, kw_only=True):
    """What is under way."""

    drained: bool
    """Nothing is."""
    campaigns: dict[str, str]
    """Their states, by id."""
    recipients: int
    """Planned, and without an outcome."""
    batches: int
    """In the queue."""
    unrecorded: int
    """Messages of senders that recorders haven't written down yet."""


class Drain(msgspec.Struct, frozen=True, kw_only=True):
    """See `Drain` in the API's document."""

    draining: bool
    """Whether campaigns are held back."""
    backlog: Backlog
    """What is under way."""


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A place that reports go to, without its secrets."""

    name: str
    kind: str
    """E.g. `slack`, `mailto`, or `webhook example.com`."""
    events: list[str]


class Targets(msgspec.Struct, frozen=True, kw_only=True):
    """See `Targets` in the API's document."""

    targets: list[Target]


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """What became of telling a target of an event."""

    report: str
    """Its id, the same at every try."""
    campaign: str | None
    kind: str
    """`completed`, `failed`, `cancelled`, `paused`, `stalled`, `lane_stopped`, `lane_resumed` or `run_not_sent`."""
    lane: str | None
    at: float
    """When it happened."""
    target: str
    status: str
    """`waiting`, `sent` or `failed`."""
    tries: int
    created_at: float
    ready_at: float | None
    """When it is tried next."""
    tried_at: float | None
    answer_status: int | None
    """The HTTP status of the last answer."""
    answer: str | None
    """How that begins, or why there was none."""


class Deliveries(msgspec.Struct, frozen=True, kw_only=True):
    """See `Deliveries` in the API's document."""

    reports: list[Delivery]


class TargetAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one try to tell a target."""

    sent: bool
    status: int | None
    """The HTTP status."""
    answer: str
    """How the answer begins, or why there was none."""


class TestedTargets(msgspec.Struct, frozen=True, kw_only=True):
    """See `TestedTargets` in the API's document."""

    targets: dict[str, TargetAnswer]
    """By name."""


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks."""

    id: str
    name: str
    kind: str
    """`key` or `user`."""
    scope: str


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """An API key, without its text."""

    id: str
    name: str
    scope: str
    """`view`, `write`, `send` or `admin`. Each includes those before it."""
    created_at: float
    created_by: str
    expires_at: float | None
    """Null: never."""
    revoked_at: float | None
    last_used_at: float | None
    """To a minute. Null: never yet."""
    old_until: float | None
    """Until when the text from before it was rolled is valid. Null: there is none, or it has ended."""
    old_used_at: float | None
    """When that text was last used, to a minute."""


class KeysPage(msgspec.Struct, frozen=True, kw_only=True):
    """See `KeysPage` in the API's document."""

    keys: list[ApiKey]
    next: str | None
    """The cursor of the next page. Null: this is the last one."""


class IssuedKey(msgspec.Struct, frozen=True, kw_only=True):
    """A new key, or one that was rolled. Its text is shown only here."""

    key: str | None
    """The text that a program sends. Null in the answer to a repeated request."""
    about: ApiKey

    def __repr__(self) -> str:
        return _without(self, "key")


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A user of the dashboard."""

    id: str
    name: str
    role: str
    """`view`, `write`, `send` or `admin`. Each includes those before it."""
    created_at: float
    created_by: str
    issuer: str | None
    """The OpenID provider that signs this user in. Null: a password does."""
    password_at: float | None
    """When the password was set. Null: there is none yet."""
    disabled_at: float | None
    signed_in_at: float | None


class UsersPage(msgspec.Struct, frozen=True, kw_only=True):
    """See `UsersPage` in the API's document."""

    users: list[User]
    next: str | None
    """The cursor of the next page. Null: this is the last one."""


class OneTimeLink(msgspec.Struct, frozen=True, kw_only=True):
    """A link that sets a password, once."""

    link: str | None
    """Null in the answer to a repeated request. The whole address; or only its path, if the API listens beyond this
    machine and `api.public_url` isn't set."""
    ends_at: float
    user: User | None
    """Whose password it sets. Null: it makes the first admin."""

    def __repr__(self) -> str:
        return _without(self, "link")


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """See `Ended` in the API's document."""

    ended: int
    """Sessions."""


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody did."""

    id: str
    at: float
    caller_id: str
    caller_name: str
    caller_kind: str
    """`key`, `user` or `local` (the command line)."""
    action: str
    object: str
    """The id of what it was done to."""
    outcome: str
    """`done`, `refused` or `failed`."""
    detail: str


class ActionsPage(msgspec.Struct, frozen=True, kw_only=True):
    """See `ActionsPage` in the API's document."""

    actions: list[Action]
    next: str | None
    """The cursor of the next page. Null: this is the last one."""


class StateChanged(msgspec.Struct, frozen=True, kw_only=True):
    """See `StateChanged` in the API's document."""

    campaign: str
    title: str
    before: str | None
    state: str
    problem: str | None


class LaneEvent(msgspec.Struct, frozen=True, kw_only=True):
    """See `LaneEvent` in the API's document."""

    lane: str
    problem: LaneProblem | None
    """Null: it is over."""


class EndedCampaign(msgspec.Struct, frozen=True, kw_only=True):
    """See `EndedCampaign` in the API's document."""

    campaign: str
    state: str


class StoreAway(msgspec.Struct, frozen=True, kw_only=True):
    """See `StoreAway` in the API's document."""

    problem: str
    remedy: str


def _without(shape: msgspec.Struct, *hidden: str) -> str:
    shown = (name for name in shape.__struct_fields__ if name not in hidden)
    return f"{type(shape).__name__}({', '.join(f'{name}={getattr(shape, name)!r}' for name in shown)})"
