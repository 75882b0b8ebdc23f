"""What can be done with a campaign: start, pause, resume, cancel, retry. Each says first, with counts, what it does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.responses import Response

from stentor.access.scopes import Scope
from stentor.counted import counted
from stentor.dashboard.page import Pages
from stentor.dashboard.reasons import dead_of, how_many, left_out_of, reason_lines
from stentor.dashboard.visit import Visit
from stentor.dashboard.whom import whom
from stentor.errors import InvalidState
from stentor.planning.contract import decode_timing
from stentor.planning.timing.sentences import described_timing
from stentor.recording.report import unread
from stentor.runtime.campaigns import refuse_unless_over
from stentor.runtime.confirmation import Expectation
from stentor.runtime.sentences import HELD, made_of
from stentor.states import CampaignState
from stentor.store.campaigns import Campaign, new_id

pages = Pages()


@pages.get("/campaigns/{campaign}/start", Scope.SEND)
async def ask_to_start(visit: Visit, campaign: str) -> Response:
    return await _start_page(visit, campaign)


@pages.post("/campaigns/{campaign}/start", Scope.SEND, action="campaign.start")
async def start(visit: Visit, campaign: str) -> Response:
    """Start the draft that was looked at, and no other: the form has its confirmation."""
    expect = Expectation(confirmation=visit.form.get("confirmation"))
    await visit.stentor.campaigns.start(campaign, once=visit.form.get("once") or None, expect=expect)
    return visit.go(f"/campaigns/{campaign}", "campaign-started")


@pages.get("/campaigns/{campaign}/pause", Scope.SEND)
async def ask_to_pause(visit: Visit, campaign: str) -> Response:
    progress = await visit.stentor.outcomes.progress(campaign)
    wait = progress.total.pending
    told = [
        "Sending stops within a second, and nothing is lost. It goes on when somebody resumes it.",
        f"{counted(progress.total.accepted, 'message was', 'messages were')} accepted so far. They stay sent.",
        f"{counted(wait, 'recipient')} read so far {'waits' if wait == 1 else 'wait'} until then.",
    ]
    if progress.campaign.expires_at is not None:
        told.append("The message's lifetime goes on meanwhile: who still waits when it ends counts as expired.")
    return await _confirm(visit, progress.campaign, "pause", "Pause", told, button="Pause it")


@pages.post("/campaigns/{campaign}/pause", Scope.SEND, action="campaign.pause")
async def pause(visit: Visit, campaign: str) -> Response:
    await visit.stentor.campaigns.pause(campaign)
    return visit.go(f"/campaigns/{campaign}", "campaign-paused")


@pages.get("/campaigns/{campaign}/resume", Scope.SEND)
async def ask_to_resume(visit: Visit, campaign: str) -> Response:
    progress = await visit.stentor.outcomes.progress(campaign)
    told = [
        f"Sending goes on. {counted(progress.total.pending, 'recipient')} read so far, and all who are not read yet,"
        " get the message.",
        "Nobody who already has an outcome is sent the message again.",
    ]
    if progress.campaign.problem:
        told.insert(0, f"It was paused because of this: {progress.campaign.problem}")
    return await _confirm(visit, progress.campaign, "resume", "Resume", told, button="Go on with it")


@pages.post("/campaigns/{campaign}/resume", Scope.SEND, action="campaign.resume")
async def resume(visit: Visit, campaign: str) -> Response:
    await visit.stentor.campaigns.resume(campaign)
    return visit.go(f"/campaigns/{campaign}", "campaign-resumed")


@pages.get("/campaigns/{campaign}/release", Scope.SEND)
async def ask_to_release(visit: Visit, campaign: str) -> Response:
    progress = await visit.stentor.outcomes.progress(campaign)
    total = progress.total
    told = [
        f"{counted(progress.gated, 'recipient')} read so far {'waits' if progress.gated == 1 else 'wait'} for this.",
        f"Of those who got it first, {total.accepted:,} were accepted and {total.failed:,} failed.",
        "Whoever has a time of its own that is yet to come still waits for that time.",
    ]
    return await _confirm(visit, progress.campaign, "release", "Release", told, button="Send to everybody else")


@pages.post("/campaigns/{campaign}/release", Scope.SEND, action="campaign.release")
async def release(visit: Visit, campaign: str) -> Response:
    await visit.stentor.campaigns.release(campaign)
    return visit.go(f"/campaigns/{campaign}", "campaign-released")


@pages.get("/campaigns/{campaign}/cancel", Scope.SEND)
async def ask_to_cancel(visit: Visit, campaign: str) -> Response:
    progress = await visit.stentor.outcomes.progress(campaign)
    found, total = progress.campaign, progress.total
    if found.state is CampaignState.DRAFT:
        told = ["Nothing was sent of this draft. It cannot be started any more."]
    else:
        left = max(0, sum(progress.expected.values()) - total.settled)
        told = [
            "Sending stops within a second, for good. A cancelled campaign can't be resumed.",
            f"{counted(total.accepted, 'message was', 'messages were')} accepted so far. They stay sent; an undo can"
            " take them back afterwards.",
            f"About {counted(left, 'recipient')} will not get the message. A retry can send to them later.",
        ]
    if found.state is CampaignState.CANCELLING:
        told = [HELD.format(recipients=counted(total.pending, "recipient"))]
    return await _confirm(visit, found, "cancel", "Cancel", told, button="Stop it for good", kind="danger")


@pages.post("/campaigns/{campaign}/cancel", Scope.SEND, action="campaign.cancel")
async def cancel(visit: Visit, campaign: str) -> Response:
    await visit.stentor.campaigns.cancel(campaign)
    return visit.go(f"/campaigns/{campaign}", "campaign-cancelled")


@pages.get("/campaigns/{campaign}/retry", Scope.SEND)
async def ask_to_retry(visit: Visit, campaign: str) -> Response:
    return await _retry_page(visit, campaign)


@pages.post("/campaigns/{campaign}/retry", Scope.SEND, action="campaign.retry")
async def retry(visit: Visit, campaign: str) -> Response:
    made = await visit.stentor.campaigns.retry(campaign, reasons=visit.form.all("reason"), retry_id=visit.reserved)
    visit.deed.about, visit.deed.detail = made.id, made_of(campaign)
    return visit.go(f"/campaigns/{made.id}", "campaign-again")


async def _confirm(
    visit: Visit,
    campaign: Campaign,
    action: str,
    verb: str,
    told: Sequence[str],
    *,
    button: str,
    kind: str = "primary",
    template: str = "campaign_confirm.html",
    **more: Any,
) -> Response:
    return await visit.render(
        template, campaign=campaign, action=action, verb=verb, told=told, button=button, kind=kind, **more
    )


async def _start_page(visit: Visit, campaign: str) -> Response:
    found = await visit.stentor.campaigns.get(campaign)
    if found.state is not CampaignState.DRAFT:
        raise InvalidState(f"campaign {campaign} is {found.state}; only a draft can be started")
    if not found.expected:  # saved without a count
        return visit.go(f"/campaigns/{campaign}/check")
    content = await visit.stentor.campaigns.content(campaign)
    told = [f"The message goes to {counted(found.expected_recipients, 'recipient')}, as counted when this was made."]
    told.append("It starts at once." if (found.starts_at or 0) <= visit.now else "It waits for its time, then starts.")
    return await _confirm(
        visit,
        found,
        "start",
        "Fire",
        told,
        button="Fire",
        template="campaign_start.html",
        name=content.name,
        whom=whom(found, people=True),
        when=described_timing(decode_timing(found.timing)),
        confirmation=await visit.stentor.campaigns.confirmation(campaign),
    )


async def _retry_page(visit: Visit, campaign: str) -> Response:
    found = await visit.stentor.campaigns.get(campaign)
    refuse_unless_over(found)
    progress = await visit.stentor.outcomes.progress(campaign)
    counts = await visit.stentor.outcomes.failure_counts(campaign)
    total, dead, left_out = progress.total, dead_of(counts), left_out_of(counts)
    never_read = unread(found, total.read)
    alive = total.failed - sum(each.count for each in (*dead, *left_out))
    exact = all(each.exact for each in (*dead, *left_out))
    many = alive + total.cancelled + never_read
    about = "fewer than " if not exact else "about " if never_read else ""
    told = [
        "This makes a new campaign, a draft, with the same message for those who were not reached. Nothing is sent.",
        f"Without a choice below it is for {about}{counted(many, 'recipient')}:"
        f" {'' if exact else 'fewer than '}{alive:,} failed with an address that may still work,"
        f" {total.cancelled:,} cancelled, {never_read:,} never read.",
    ]
    if dead:
        them = (
            "recipient has a dead address, and is"
            if how_many(dead) == "1"
            else "recipients have a dead address, and are"
        )
        told.append(f"{how_many(dead)} {them} left out.".capitalize())
    if left_out:
        were = "recipient was" if how_many(left_out) == "1" else "recipients were"
        told.append(
            f"{how_many(left_out)} {were} left out by a rule, and stay out unless you choose them.".capitalize()
        )
    return await _confirm(
        visit,
        found,
        "retry",
        "Send again",
        told,
        button="Make the draft",
        template="campaign_retry.html",
        reasons=reason_lines(campaign, counts),
        reserved=new_id(visit.now),
    )
