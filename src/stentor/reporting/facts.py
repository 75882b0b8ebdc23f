"""Makes events of what is in the store: a campaign's account in the words and numbers that people are told."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.audience.contract import NO_LANE, Selection
from stentor.audience.described import described
from stentor.errors import InvalidMessage
from stentor.planning.content import decode_content
from stentor.recording.meanings import meaning
from stentor.recording.report import LaneProblem, Report, report
from stentor.reporting.events import EventKind, ReportEvent, ToldCampaign, ToldProblem, ToldReason
from stentor.states import CampaignState
from stentor.store import campaigns
from stentor.store.tables import batches
from stentor.store.tables import campaigns as campaign_rows

REASONS = 5
"""Reasons that are told, the most frequent ones."""
WAITING = 3
"""Campaigns that are named as waiting for a lane."""


async def campaign_event(
    connection: AsyncConnection,
    event_id: str,
    kind: EventKind,
    campaign_id: str,
    at: float,
    *,
    link: str | None,
    now: float,
) -> ReportEvent:
    """Something that happened to a campaign, with its account as it is now.

    Args:
        at: when it happened, in epoch seconds; `now` as well.
        link: see `ReportsConfig`.

    Raises:
        UnknownCampaign: it was deleted meanwhile.
    """
    found = await report(connection, campaign_id, now)
    title = _message_title(await campaigns.content(connection, campaign_id))
    return ReportEvent(
        id=event_id,
        kind=kind,
        at=at,
        campaign=told_campaign(found, title),
        link=link_to(link, campaign_id),
    )


def _message_title(content: bytes) -> str | None:
    """None also where a newer Stentor made the message."""
    try:
        return decode_content(content).message.title
    except InvalidMessage:
        return None


def told_campaign(found: Report, message_title: str | None) -> ToldCampaign:
    """A campaign's account as it is told."""
    campaign, total = found.campaign, found.total
    reasons = [
        ToldReason(
            lane="" if lane == NO_LANE else lane,
            reason=each.reason,
            outcome=each.outcome.name.lower(),
            count=each.count,
            meaning=meaning(lane, each.reason, each.outcome),
        )
        for lane, of_lane in found.reasons.items()
        for each in of_lane
    ]
    reasons.sort(key=lambda each: (-each.count, each.lane, each.reason))
    return ToldCampaign(
        id=campaign.id,
        title=campaign.title,
        message_title=message_title,
        state=campaign.state.value,
        problem=campaign.problem,
        audience=described(msgspec.json.decode(campaign.audience, type=Selection)),
        expected=sum(campaign.expected.values()),
        installations=total.read,
        accepted=total.accepted,
        failed=total.failed,
        cancelled=total.cancelled,
        pending=total.pending,
        unread=found.unread,
        dead=found.dead,
        left_out=found.left_out,
        seconds=round(found.seconds, 3),
        paused=round(found.paused, 3),
        rate=round(found.rate, 1),
        reasons=reasons[:REASONS],
        other_reasons=sum(each.count for each in reasons[REASONS:]),
        starts_at=campaign.starts_at,
        finished_at=campaign.finished_at,
    )


def told_problems(problems: Mapping[str, LaneProblem]) -> list[ToldProblem]:
    return [
        ToldProblem(lane=lane, problem=each.problem, remedy=each.remedy or "", since=each.since, waiting=each.waiting)
        for lane, each in sorted(problems.items())
    ]


def link_to(template: str | None, campaign_id: str) -> str | None:
    return None if template is None else template.replace("{id}", campaign_id)


def is_test(audience: bytes) -> bool:
    """Whether a campaign is only for installations that were named, as a test is."""
    return msgspec.json.decode(audience, type=Selection).only is not None


async def waiting_titles(connection: AsyncConnection, lanes: Collection[str] | None) -> list[str]:
    """The titles of running campaigns, the oldest first, that have recipients left on one of these lanes; None: of all
    that run."""
    running = campaign_rows.c.state == CampaignState.RUNNING.value
    query = select(campaign_rows.c.title).where(running).order_by(campaign_rows.c.created_at).limit(WAITING)
    if lanes is not None:
        left = select(batches.c.campaign_id).where(batches.c.pending > 0, batches.c.lane.in_(lanes))
        query = query.where(campaign_rows.c.id.in_(left))
    return list((await connection.execute(query)).scalars())
