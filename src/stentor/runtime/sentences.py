"""What people are told of a campaign, by whichever door they ask: why it stands still, and what an action will do.

Pure. Rules: a sentence that the command line and a page both need is here, once; it is whole in itself, and says what
to do if there is something to do.
"""

from __future__ import annotations

from stentor import words
from stentor.answer_times import AnswerTimeFigures
from stentor.channels import is_on_record
from stentor.counted import counted
from stentor.planning.contract import waits_for_release
from stentor.queue.contract import PLAN
from stentor.recording.report import LaneProblem, Progress, Report
from stentor.states import FINAL, CampaignState
from stentor.store.campaigns import Campaign
from stentor.store.role_processes import ProcessSign

STILL = (
    "Nothing has moved for some seconds. If the process that sends it was killed, `stentor campaign resume {campaign}`"
    " continues it; what that process held follows when its lease ends (`sending.lease`)."
)
"""Of a campaign that somebody seems to hold."""
HELD = (
    "Nothing more is sent. Waiting for a process of Stentor that still holds a part of it ({recipients}). It"
    " lets go soon; if it was killed, its part is free when the lease ends (`sending.lease`). With a queue on NATS,"
    " roles must run for this: `stentor serve`."
)
"""Of a cancel that takes its time."""
CANCELS = "{title!r} is {state}. {when} cancelled first, for good: who was not reached yet doesn't get it."
"""Of an undo or an edit of a campaign that is still being sent."""
SILENT = (
    "No sign for {time}: it may have been killed, or cut off from the store. If another process has taken its place,"
    " there is nothing to do."
)
"""Of a role's process that took no leave."""
UNSEEN = "Providers took the pushes. Whether a device removed or replaced the message, nobody is told."
"""Of the report of an undo or an edit, where pushes are among what it changed."""
GOING = frozenset({CampaignState.RUNNING, CampaignState.PAUSED, CampaignState.CANCELLING})
"""States in which more may be sent."""


def changes_unseen(report: Report | Progress) -> bool:
    """Whether it counts messages as accepted on lanes where nobody learns what a device did with them."""
    return any(counts.accepted and not is_on_record(lane) for lane, counts in report.lanes.items())


def made_of(campaign_id: str) -> str:
    """What the log says of a campaign that a test, a retry, an undo or an edit of this one made."""
    return f"of campaign {campaign_id}"


def sign_of(process: ProcessSign) -> str:
    """Whether a role's process still runs, as far as it shows, and what to do if not."""
    time = words.roughly(process.silent_for)
    return SILENT.format(time=time) if process.is_silent else f"last sign {time} ago"


def answered(times: AnswerTimeFigures) -> str:
    """How quickly a lane's provider answers."""
    return f"half of the answers within {words.instant(times.median)}, 99 of 100 within {words.instant(times.slowest)}"


def standing_still(lane: str, problem: LaneProblem) -> str:
    """What doesn't go on, why, and what to do."""
    if problem.waiting is not None:
        return f"A part of {words.lane_name(lane)} waits. {problem}"
    what = "The audience isn't read" if lane == PLAN else f"{words.lane_name(lane)} doesn't send"
    return f"{what}. {problem}"


def still(progress: Progress) -> str:
    """What is said of a campaign that doesn't get on although nothing is known to be wrong; else empty."""
    return STILL.format(campaign=progress.campaign_id) if progress.still and not progress.problems else ""


def waits(progress: Progress) -> str:
    """Why nothing of a campaign is sent just now, as its state has it, and what to do; empty if it is sent, or over."""
    campaign = progress.campaign
    if campaign.state is CampaignState.DRAFT:
        return "This is a draft. Nothing is sent until somebody starts it."
    if campaign.state is CampaignState.SCHEDULED:
        return "It starts by itself at its time."
    if campaign.state is CampaignState.PAUSED:
        return "It is paused. Nothing is sent until somebody resumes it, and nothing is lost."
    if campaign.state is CampaignState.RUNNING and progress.waves:
        return held(progress)
    if campaign.state is CampaignState.CANCELLING:
        return HELD.format(recipients=counted(progress.total.pending, "recipient"))
    return ""


def held(progress: Progress) -> str:
    """Who waits, and for what, and when the next of them get the message; only where some do."""
    said = []
    if coming := [wave for wave in progress.waves if not wave.gated]:
        first, last = coming[0], coming[-1]
        said.append(f"{_who_wait(sum(wave.held for wave in coming))} for the right time.")
        at = f"at {words.clock(first.at)}" if first.at > progress.at else "now"
        said.append(f"The next: {counted(first.held, 'recipient')} {at}.")
        if last is not first:
            said.append(f"The last ones: at {words.clock(last.at)}.")
    if progress.gated:
        said.append(f"{_who_wait(progress.gated)} until somebody releases the campaign.")
    return " ".join(said)


def _who_wait(number: int) -> str:
    return f"{counted(number, 'recipient')} {'waits' if number == 1 else 'wait'}"


def cancelled_first(campaign: Campaign, when: str = "It is") -> str:
    """What an undo or an edit does to a campaign that is still being sent; empty if it isn't."""
    return CANCELS.format(title=campaign.title, state=campaign.state, when=when) if campaign.state in GOING else ""


def actions(campaign: Campaign, *, changes: bool) -> tuple[str, ...]:
    """What can be done with a campaign in its state, in the order of how often people want it.

    Args:
        changes: whether it takes back or edits what another campaign sent; then it can be neither undone nor edited.
    """
    state = campaign.state
    possible = {
        "start": state is CampaignState.DRAFT,
        "pause": state in (CampaignState.RUNNING, CampaignState.SCHEDULED),
        "resume": state is CampaignState.PAUSED,
        "release": waits_for_release(campaign.timing, campaign.released_at)
        and state in (CampaignState.RUNNING, CampaignState.SCHEDULED, CampaignState.PAUSED),
        "retry": state in FINAL,
        "edit": not changes and state not in (CampaignState.DRAFT, CampaignState.SCHEDULED),
        "undo": not changes and state not in (CampaignState.DRAFT, CampaignState.SCHEDULED),
        "cancel": state not in FINAL,
    }
    return tuple(name for name, can in possible.items() if can)
