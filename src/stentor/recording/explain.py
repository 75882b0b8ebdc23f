"""What became of one recipient, and why: from the planner's page to the provider's answer.

Rules: it only tells what the store has on record, each sentence with its time where there is one. Finding the batch
means looking through the campaign's recipients, as nobody keeps an index of them; failures are found at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Row, and_, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.account import Waiting, decode_waiting
from stentor.counted import counted
from stentor.outcome import Outcome
from stentor.own_reasons import LEFT_OUT
from stentor.recording.audit import KEYS
from stentor.recording.report import FailureRow, LaneProblem, failure_row, lane_problems
from stentor.states import FINAL, STOPPED, CampaignState
from stentor.store import campaigns
from stentor.store.campaigns import Campaign
from stentor.store.letters import buried_outcomes
from stentor.store.tables import batches, chains, dead_letters, tasks
from stentor.store.tables import failures as failed

PAGE = 64
"""Batches that are looked through at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened, in a sentence."""

    at: float | None
    """Epoch seconds; None: it is how things are now."""
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where in a campaign a recipient is."""

    batch_id: str
    lane: str
    chain: str
    """Of plan steps; which step of it, and which batch of that step."""
    step: str
    number: str
    position: int
    """Index in the batch."""
    size: int
    """Recipients in the batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What is known of one installation in one campaign."""

    campaign: Campaign
    installation: str
    events: tuple[Event, ...]
    """The story, in order."""
    place: Place | None = None
    """None: it isn't among those that were read so far."""
    outcome: Outcome | None = None
    waiting: Waiting | None = None
    """When and why it is to be tried again."""
    failure: FailureRow | None = None


async def explain(
    connection: AsyncConnection, campaign_id: str, installation: str, now: float, *, queue_apart: bool = False
) -> Explanation:
    """What became of an installation.

    Args:
        queue_apart: the queue isn't in the store, so that nothing sure can be told of where a batch is just now.

    Raises:
        UnknownCampaign: there is no such campaign.
    """
    campaign = await campaigns.get(connection, campaign_id)
    events = [Event(at=campaign.created_at, text="The campaign was created.")]
    if campaign.starts_at is not None:
        word = "starts" if campaign.starts_at > now else "started"
        events.append(Event(at=campaign.starts_at, text=f"The campaign {word}."))
    found = await _find(connection, campaign_id, installation)
    if found is None:
        events.append(await _absence(connection, campaign))
        return Explanation(campaign=campaign, installation=installation, events=tuple(events))
    row, position = found
    place = _place(row, position)
    outcome = Outcome(row.outcomes[position]) if row.outcomes else Outcome.PENDING
    failure = await _failure(connection, place)
    waiting = _waiting(row, position) if outcome is Outcome.PENDING else None
    events.append(
        Event(
            at=row.planned_at,
            text=f"It was {_origin(campaign, place)} and put into batch {place.batch_id}, at position {position} of"
            f" {row.size}.",
        )
    )
    if outcome is Outcome.PENDING:
        events += await _pending(
            connection, campaign, place, waiting, now, wave=_wave(row, campaign), queue_apart=queue_apart
        )
    else:
        events.append(_ending(outcome, row, failure))
    return Explanation(
        campaign=campaign,
        installation=installation,
        events=tuple(events),
        place=place,
        outcome=outcome,
        waiting=waiting,
        failure=failure,
    )


def _origin(campaign: Campaign, place: Place) -> str:
    if campaign.is_message:
        return "named as a recipient of the message"
    return f"read from the audience (chain {place.chain}, step {place.step})"


async def _find(connection: AsyncConnection, campaign_id: str, installation: str) -> tuple[Row[Any], int] | None:
    """The batch that holds an installation, and its index there."""
    key = installation.encode(errors="replace")
    needle = msgspec.msgpack.encode(key)  # with its length, so that key 7 isn't looked for in every 17
    known = select(failed.c.batch_id).where(failed.c.campaign_id == campaign_id, failed.c.installation == installation)
    row = (await connection.execute(select(batches).where(batches.c.id.in_(known)))).first()
    if row is not None:
        return row, KEYS.decode(row.recipients).index(key)
    after = f"{campaign_id}/"
    query = select(batches).where(batches.c.id < f"{campaign_id}0").order_by(batches.c.id).limit(PAGE)
    while rows := (await connection.execute(query.where(batches.c.id > after))).all():
        for row in rows:
            if needle in row.recipients and key in (keys := KEYS.decode(row.recipients)):
                return row, keys.index(key)
        after = rows[-1].id
    return None


async def _absence(connection: AsyncConnection, campaign: Campaign) -> Event:
    read = select(func.coalesce(func.sum(chains.c.read), 0)).where(chains.c.campaign_id == campaign.id)
    many = counted(int((await connection.execute(read)).scalar_one()), "installation")
    if campaign.planned:
        text = (
            f"The audience was read to its end ({many}), and it wasn't in it: it doesn't exist under this id, didn't"
            " fulfil the audience's filters, or came after the campaign had started."
        )
    elif campaign.state in FINAL:
        text = (
            f"The campaign ended after {many} had been read, and it wasn't among them: it was not sent to. `stentor"
            f" campaign retry {campaign.id}` reads the rest of the audience."
        )
    else:
        text = f"It isn't among the {many} read so far; the audience is not yet read to its end."
    return Event(at=None, text=text)


def _place(row: Row[Any], position: int) -> Place:
    chain, step, number = str(row.id).rpartition("/")[2].rsplit(".", 2)
    return Place(
        batch_id=row.id, lane=row.lane, chain=chain, step=step, number=number, position=position, size=row.size
    )


async def _failure(connection: AsyncConnection, place: Place) -> FailureRow | None:
    query = select(failed).where(failed.c.batch_id == place.batch_id, failed.c.position == place.position)
    row = (await connection.execute(query)).first()
    return None if row is None else failure_row(row)


def _waiting(row: Row[Any], position: int) -> Waiting | None:
    waiting = decode_waiting(row.waiting)
    return next((waits for waits in waiting if waits.position == position), None)


def _wave(row: Row[Any], campaign: Campaign) -> Event | None:
    if row.wave is None:
        return None
    if row.gated and campaign.released_at is None:
        return Event(at=row.wave, text="It may be sent from then on, and waits until the campaign is released.")
    return Event(at=row.wave, text="It is held until its wave begins at this time; then it is sent.")


def _ending(outcome: Outcome, row: Row[Any], failure: FailureRow | None) -> Event:
    if failure is not None and failure.reason in LEFT_OUT:
        detail = f": {failure.detail}" if failure.detail else ""
        return Event(at=failure.at, text=f"It was left out by a rule, as {failure.reason}{detail}. Nothing was sent.")
    if failure is not None:
        status = f" (HTTP {failure.status})" if failure.status else ""
        detail = f": {failure.detail}" if failure.detail else ""
        dead = " The address is dead for good." if failure.dead else ""
        text = f"It ended as {outcome.name.lower()}, for {failure.reason}{status}{detail}"
        return Event(at=failure.at, text=f"{text}{_after(failure)}.{dead}")
    texts = {
        Outcome.ACCEPTED: "The provider accepted it, at this time or before.",
        Outcome.CANCELLED: "It was cancelled before it was sent, at this time or before.",
    }
    return Event(
        at=row.recorded_at,
        text=texts.get(outcome, f"It ended as {outcome.name.lower()}, and nothing says why: see `campaign audit`."),
    )


async def _pending(
    connection: AsyncConnection,
    campaign: Campaign,
    place: Place,
    waiting: Waiting | None,
    now: float,
    *,
    wave: Event | None,
    queue_apart: bool,
) -> list[Event]:
    events = []
    if waiting is not None and waiting.begun:
        events.append(Event(at=waiting.not_before, text="It was about to be sent; nothing has been recorded since."))
    elif waiting is not None:
        unsure = " One of them was never answered." if waiting.ambiguous else ""
        events.append(
            Event(
                at=None,
                text=f"After {counted(waiting.tries, 'try', 'tries')} it wasn't accepted: {waiting.reason}.{unsure}",
            )
        )
        events.append(Event(at=waiting.not_before, text="It may be sent again from then on."))
    if wave is not None:
        events.append(wave)
    else:
        events.append(await (_apart(connection, place) if queue_apart else _queued(connection, place, now)))
    problem: LaneProblem | None = (await lane_problems(connection, {place.lane})).get(place.lane)
    if problem is not None:
        what = f"Lane {place.lane} doesn't send." if problem.waiting is None else f"A part of lane {place.lane} waits."
        events.append(Event(at=problem.since, text=f"{what} {problem}"))
    if campaign.state in STOPPED:
        events.append(Event(at=None, text=f"The campaign is {campaign.state}: it will be settled as cancelled."))
    elif campaign.state is CampaignState.PAUSED:
        events.append(Event(at=None, text="The campaign is paused: nothing is sent until it is resumed."))
    return events


async def _queued(connection: AsyncConnection, place: Place, now: float) -> Event:
    held = and_(tasks.c.lease.is_not(None), tasks.c.ready_at > now).label("held")
    task = (await connection.execute(select(held, tasks.c.ready_at).where(tasks.c.id == place.batch_id))).first()
    if task is not None and task.held:
        return Event(at=None, text=f"A sender of lane {place.lane} has its batch just now.")
    if task is not None:
        word = "is ready" if task.ready_at <= now else "will be ready"
        return Event(
            at=task.ready_at, text=f"Its batch waits in the queue of lane {place.lane}; it {word} at this time."
        )
    defect = Event(at=None, text="Its batch isn't in the queue, which is a defect: see `campaign audit`.")
    return await _buried(connection, place) or defect


async def _apart(connection: AsyncConnection, place: Place) -> Event:
    return await _buried(connection, place) or Event(
        at=None,
        text=f"Its batch was given to lane {place.lane}; whether it waits there or a sender has it just now, only the"
        " queue knows. `campaign audit` asks the queue whether it is there.",
    )


async def _buried(connection: AsyncConnection, place: Place) -> Event | None:
    buried = (await connection.execute(select(dead_letters).where(dead_letters.c.id == place.batch_id))).first()
    if buried is None:
        return await _unrecorded(connection, place)
    return Event(at=buried.at, text=f"Its batch was put aside, as it could not be processed: {buried.reason}")


async def _unrecorded(connection: AsyncConnection, place: Place) -> Event | None:
    letter = (await buried_outcomes(connection, [place.batch_id])).get(place.batch_id)
    if letter is None:
        return None
    return Event(
        at=letter.at, text=f"The outcomes of its batch were put aside, as they could not be recorded: {letter.reason}"
    )


def _after(failure: FailureRow) -> str:
    if failure.tries:
        return f", after {counted(failure.tries, 'try', 'tries')}"
    return "" if failure.outcome is Outcome.AMBIGUOUS else ". It was never sent"
