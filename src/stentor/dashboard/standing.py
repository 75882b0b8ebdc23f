"""Where a campaign's recipients are, in the words and figures of its page.

Pure. Rules: the parts of a line always add up to its audience, because who waits is counted as a part like the others;
nobody is called delivered: providers say what they accepted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stentor.recording.duration import paused_for, sent_for
from stentor.recording.rates import LaneRates, expected, lanes_of, time_left
from stentor.recording.report import LaneCounts, Progress, Totals, unread
from stentor.runtime.onlooker import is_over
from stentor.runtime.sentences import standing_still, still, waits
from stentor.states import CampaignState

ENDINGS = ("accepted", "rejected", "expired", "cancelled", "ambiguous")
MEANINGS = {
    "accepted": "The provider took the message. Providers do not say whether a phone showed it.",
    "rejected": "The provider refused the message for this recipient, or it could not be sent at all.",
    "expired": "The message's lifetime ended before a provider took it.",
    "cancelled": "Not sent, because the campaign was stopped.",
    "ambiguous": "Sent, but the answer was lost. It may have arrived, so it is not sent again.",
    "waiting": "Not sent yet, on its way, or about to be tried again.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BarPart:
    """Some of the recipients of a line."""

    name: str
    count: int
    x: float
    """Where it begins in a bar, in percent."""
    width: float
    meaning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """audience = accepted + rejected + expired + cancelled + ambiguous + waiting."""

    audience: int
    parts: Sequence[BarPart]

    @property
    def settled(self) -> int:
        return self.audience - self.parts[-1].count

    def count(self, name: str) -> int:
        return next(each.count for each in self.parts if each.name == name)


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneLine:
    """A lane's recipients, and how fast it goes."""

    lane: str
    line: Line
    retrying: int
    rate: float
    """Recipients a second; 0 while there is too little to tell from."""
    stands_still: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StandstillTold:
    """Something that doesn't go on, and what to do."""

    text: str
    since: float | None = None
    until: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Took:
    """How long a campaign took that is over."""

    seconds: float
    """Without the pauses."""
    paused: float
    rate: float
    """Recipients a second that got an answer, or expired, on average over `seconds`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WhereAllAre:
    """All that the page shows of one moment."""

    line: Line
    lanes: Sequence[LaneLine]
    to_read: int
    """About how many of those who wait are still to be read from the audience."""
    unread: int
    """About how many were never read, because the campaign was stopped. They are not part of the line."""
    retrying: int
    rate: float
    left: float | None
    """Seconds until it is done; None while nobody can tell."""
    troubles: Sequence[StandstillTold]
    waits: str
    """Why nothing is sent just now, as the state has it."""
    took: Took | None
    """None while it isn't over."""


def line_of(counts: LaneCounts, to_read: int = 0) -> Line:
    """The line of some counts, and of some who are to be read yet."""
    found = {name: int(getattr(counts, name)) for name in ENDINGS} | {"waiting": counts.pending + to_read}
    return _line(found)


def line_of_totals(totals: Totals) -> Line:
    """The line of a campaign in a list: its failures are not told apart there."""
    return _line(
        {
            "accepted": totals.accepted,
            "failed": totals.failed,
            "cancelled": totals.cancelled,
            "waiting": totals.pending,
        }
    )


def standing(progress: Progress, pace: LaneRates) -> WhereAllAre:
    """Everything that is known at one moment."""
    campaign = progress.campaign
    names = lanes_of(progress)
    counts = {name: progress.lanes.get(name, LaneCounts()) for name in names}
    over = campaign.planning_over
    to_read = {name: 0 if over else expected(progress, name) - counts[name].read for name in names}
    total = progress.total
    running = campaign.state is CampaignState.RUNNING
    return WhereAllAre(
        line=line_of(total, sum(to_read.values())),
        lanes=[
            LaneLine(
                lane=name,
                line=line_of(counts[name], to_read[name]),
                retrying=counts[name].retrying,
                rate=pace.rate(name) if running else 0.0,
                stands_still=name in progress.problems,
            )
            for name in names
        ],
        to_read=sum(to_read.values()),
        unread=unread(campaign, total.read),
        retrying=total.retrying,
        rate=sum(map(pace.rate, names)) if running else 0.0,
        left=time_left(progress, pace) if running else None,
        troubles=troubles(progress),
        waits=waits(progress),
        took=_took(progress) if is_over(progress) else None,
    )


def troubles(progress: Progress) -> list[StandstillTold]:
    """Why a campaign stands still, or a part of it, and what to do: as `stentor campaign show` says it."""
    found = [
        StandstillTold(text=standing_still(lane, each), since=each.since, until=each.until)
        for lane, each in progress.problems.items()
    ]
    texts = [progress.campaign.problem or "", still(progress)]
    return found + [StandstillTold(text=text) for text in texts if text]


def _took(progress: Progress) -> Took:
    total, seconds = progress.total, sent_for(progress.campaign, progress.at)
    return Took(
        seconds=seconds,
        paused=paused_for(progress.campaign, progress.at),
        rate=(total.accepted + total.failed) / seconds if seconds else 0.0,
    )


def _line(counts: dict[str, int]) -> Line:
    audience = sum(counts.values())
    parts, x = [], 0.0
    for name, count in counts.items():
        width = 100 * count / audience if audience else 0.0
        parts.append(
            BarPart(name=name, count=count, x=round(x, 3), width=round(width, 3), meaning=MEANINGS.get(name, ""))
        )
        x += width
    return Line(audience=audience, parts=parts)
