"""What people read of an event: one letter, as plain text, as Markdown and as HTML. Pure.

Rules: an editor understands every sentence. What the providers took is called accepted, as nobody says what a phone
showed. A title or a reason is somebody else's text: in no form can it format, link or call anybody.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape

from stentor.queue.contract import PLAN
from stentor.reporting.events import EventKind, ReportEvent, ToldCampaign, ToldProblem, ToldReason, ToldRun

ACCEPTED = "Accepted means that the provider took the message. Providers don't say whether a phone showed it."
TEST = "This is a test: reports from Stentor arrive here. The campaign below is an example."
LONGEST_TITLE = 200
_MARKED = re.compile(r"([\\`*_~|\[\]#>])")
_LINKED = re.compile(r"([<>\[\]()!#])")
_CALLS = re.compile(r"@(?=everyone|here|[!&]?\w)|<(?=[@!#])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """What is told, in its parts."""

    title: str
    lead: Sequence[str] = ()
    """Sentences."""
    facts: Sequence[tuple[str, str]] = ()
    """A label and a value each."""
    listed: Sequence[str] = ()
    """Reasons or campaigns, under `heading`."""
    heading: str = ""
    notes: Sequence[str] = ()
    link: str | None = field(default=None)

    def text(self) -> str:
        """The body as plain text."""
        facts = "\n".join(f"{label}: {value}" for label, value in self.facts)
        listed = "\n".join([f"{self.heading}:", *(f"- {each}" for each in self.listed)]) if self.listed else ""
        link = f"Details: {self.link}" if self.link else ""
        return "\n\n".join(filter(None, [" ".join(self.lead), facts, listed, " ".join(self.notes), link]))

    def markdown(self, plain: Callable[[str], str]) -> str:
        """The body as Markdown.

        Args:
            plain: makes a text one that is shown as it is.
        """
        facts = "  \n".join(f"**{label}:** {plain(value)}" for label, value in self.facts)
        listed = ""
        if self.listed:
            listed = "\n".join([f"**{self.heading}:**", "", *(f"- {plain(each)}" for each in self.listed)])
        link = f"[Details]({self.link})" if self.link else ""
        parts = [plain(" ".join(self.lead)), facts, listed, plain(" ".join(self.notes)), link]
        return "\n\n".join(filter(None, parts))

    def html(self) -> str:
        """The body as HTML. The link is shown whole, as some mail programs show only its text."""
        parts = [f"<p>{escape(' '.join(self.lead))}</p>"] if self.lead else []
        if self.facts:
            rows = [f"<b>{escape(label)}:</b> {escape(value)}" for label, value in self.facts]
            parts.append(f"<p>{'<br>'.join(rows)}</p>")
        if self.listed:
            items = "".join(f"<li>{escape(each)}</li>" for each in self.listed)
            parts.append(f"<p><b>{escape(self.heading)}:</b></p><ul>{items}</ul>")
        if self.notes:
            parts.append(f"<p><small>{escape(' '.join(self.notes))}</small></p>")
        if self.link:
            parts.append(f'<p><a href="{escape(self.link)}">{escape(self.link)}</a></p>')
        return "\n".join(parts)


def letter_of(event: ReportEvent) -> Letter:
    """What people are told of an event."""
    if event.campaign is not None:
        return _of_campaign(event, event.campaign)
    if event.run is not None:
        return _of_run(event.run)
    return _of_lane(event, event.problems[0])


def one_line(text: str, longest: int = LONGEST_TITLE) -> str:
    """A text of somebody else's as a part of a line."""
    short = " ".join(text.split())
    return short if len(short) <= longest else f"{short[: longest - 1]}…"


def calls_nobody(text: str) -> str:
    """A text in which chats see no mention of a person, a channel or everybody."""
    return _CALLS.sub(lambda found: f"{found.group()}\u200b", text)


def markdown_escaped(text: str) -> str:
    """A text that chats which know backslashes show as it is."""
    return calls_nobody(_MARKED.sub(r"\\\1", text))


def slack_escaped(text: str) -> str:
    """A text that Slack shows as it is, but for what is bold or slanted in it: it would show the backslashes of those.
    Those that are here, Apprise makes what Slack understands."""
    return _LINKED.sub(r"\\\1", text)


def lasted(seconds: float) -> str:
    """`6.4 seconds`, `12 minutes`, `3 hours 5 minutes`."""
    if seconds < 120:
        return f"{seconds:.1f} seconds" if seconds % 1 >= 0.05 else f"{seconds:.0f} seconds"
    minutes = round(seconds / 60)
    hours, rest = divmod(minutes, 60)
    if hours >= 48:
        return f"{round(hours / 24)} days"
    parts = [_many(hours, "hour")] if hours else []
    return " ".join([*parts, *([_many(rest, "minute")] if rest else [])])


def share(part: int, whole: int) -> str:
    """A percentage that says 100 % only of all and 0 % only of none."""
    percent = 100 * part / whole
    if part in (0, whole):
        return f"{percent:.0f} %"
    return f"{min(max(percent, 0.1), 99.9):.1f} %"


def _many(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _of_campaign(event: ReportEvent, told: ToldCampaign) -> Letter:
    title = one_line(told.title)
    reached = f"{told.accepted:,} of {told.expected or told.installations:,} accepted"
    problem = [_sentence(told.problem)] if told.problem else []
    match event.kind:
        case EventKind.COMPLETED:
            head, lead = f"“{title}” was sent: {told.accepted:,} of {told.installations:,} accepted", []
        case EventKind.FAILED:
            head, lead = f"“{title}” failed: {reached}", [*problem, "Nothing more of it is sent."]
        case EventKind.CANCELLED:
            head, lead = f"“{title}” was cancelled: {reached} before that", []
        case EventKind.PAUSED:
            head = f"“{title}” is paused, because something is wrong"
            lead = [*problem, f"Once that is fixed, `stentor campaign resume {told.id}` goes on with it."]
        case EventKind.STALLED:
            head = f"“{title}” stands still"
            lead = [f"Nothing has happened for {lasted(event.still_for)}.", *_why(event.problems, told)]
        case _:
            head, lead = "Test: reports from Stentor arrive here", [TEST]
    return Letter(
        title=head,
        lead=lead,
        facts=list(_facts(told)),
        heading="Not reached, by reason",
        listed=list(_reasons(told)),
        notes=[ACCEPTED],
        link=event.link,
    )


def _facts(told: ToldCampaign) -> Iterator[tuple[str, str]]:
    yield "Campaign", f"{one_line(told.title)} ({told.id})"
    if told.message_title and told.message_title != told.title:
        yield "Message", one_line(told.message_title)
    yield "Audience", one_line(told.audience)
    known = f", of {told.expected:,} counted before" if told.expected > told.installations else ""
    yield "Installations", f"{told.installations:,}{known}"
    of_all = f" ({share(told.accepted, told.installations)})" if told.installations else ""
    yield "Accepted", f"{told.accepted:,}{of_all}"
    dead = f", {told.dead:,} of them because the address is dead" if told.dead else ""
    yield "Failed", f"{told.failed - told.left_out:,}{dead}"
    if told.left_out:
        yield "Left out by a rule", f"{told.left_out:,}"
    if told.cancelled:
        yield "Cancelled before they were sent", f"{told.cancelled:,}"
    if told.unread:
        yield "Not read any more", f"about {told.unread:,}"
    if told.pending:
        yield "Still to be sent", f"{told.pending:,}"
    if told.seconds:
        paused = f", not counting {lasted(told.paused)} of pauses" if told.paused >= 1 else ""
        yield "Duration", f"{lasted(told.seconds)}{paused}"
    if told.rate:
        rate = f"{told.rate:,.0f}" if told.rate >= 10 else f"{told.rate:.1f}"
        yield "Rate", f"{rate} per second"


def _reasons(told: ToldCampaign) -> Iterator[str]:
    for each in told.reasons:
        yield _reason(each)
    if told.other_reasons:
        yield f"{told.other_reasons:,} for other reasons"


def _reason(each: ToldReason) -> str:
    where = f" on {each.lane}" if each.lane else ""
    return f"{each.count:,} × {one_line(each.reason)}{where}{f': {each.meaning}' if each.meaning else ''}"


def _why(problems: Sequence[ToldProblem], told: ToldCampaign) -> Iterator[str]:
    for each in problems:
        yield f"{'Planning' if each.lane == PLAN else each.lane}: {_said(each)}"
    if not problems:
        yield f"`stentor campaign show {told.id}` says where its recipients are."


def _of_run(told: ToldRun) -> Letter:
    name, due = one_line(told.name), f"{datetime.fromtimestamp(told.due, UTC):%Y-%m-%d %H:%M} UTC"
    how = {"failed": "could not be sent", "skipped": "was left out"}.get(told.state, "was missed")
    return Letter(
        title=f"A run of “{name}” {how}",
        lead=[_sentence(told.reason), "The series goes on with its next run."],
        facts=[("Series", f"{name} ({told.series})"), ("Due", due)],
    )


def _of_lane(event: ReportEvent, about: ToldProblem) -> Letter:
    what = "Planning" if about.lane == PLAN else about.lane
    if event.kind is EventKind.LANE_RESUMED:
        return Letter(title=f"{what} goes on again" if about.lane == PLAN else f"{what} sends again")
    title = f"{what} has stopped" if about.lane == PLAN else f"{what} has stopped sending"
    return Letter(
        title=title if about.waiting is None else f"A part of {what} has stopped sending",
        lead=[_said(about), "Nothing is lost: what is queued is sent once it goes on."],
        heading="Campaigns that wait for it",
        listed=[one_line(each) for each in event.waiting],
    )


def _said(about: ToldProblem) -> str:
    return " ".join(_sentence(text) for text in (about.problem, about.remedy) if text)


def _sentence(text: str) -> str:
    short = one_line(text, 1000)
    return f"{short[:1].upper()}{short[1:].rstrip('.')}."
