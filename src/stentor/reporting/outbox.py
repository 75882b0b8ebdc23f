"""Events and their deliveries as rows: each event once, and a row for each target that is told of it.

Rules: an event is written down with its deliveries in one transaction, once, however many processes find that it
happened. Whoever delivers holds a lease that ends by itself, so that a process that is killed holds nothing back; what
is settled without the lease isn't settled. A target is told of nothing that happened before it was first seen. Every
function takes the connection of the transaction it is part of. Times are epoch seconds.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.reporting.events import EventKind, ReportEvent, decode_event, encode_event
from stentor.store.database import insert_or_ignore
from stentor.store.tables import flags, report_deliveries, report_events

DAY = 86_400.0
GIVE_UP_AFTER = DAY
"""Seconds since trying began after which a report that could not be sent counts as failed."""
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 3600.0
"""Seconds between two tries: three times as long after each, up to the longest."""
LONGEST_ANSWER = 500
"""Characters of an answer that are kept."""
_SINCE = "reports/since"
_TARGET = "reports/target/"
_events, _deliveries = report_events.c, report_deliveries.c


class DeliveryStatus(StrEnum):
    WAITING = "waiting"
    """It is tried, or will be tried again."""
    SENT = "sent"
    FAILED = "failed"
    """It could not be sent within a day; `replay` tries again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetAnswer:
    """What came of one try to tell a target."""

    sent: bool
    text: str = ""
    """How the answer begins, or why there was none; without any secret."""
    status: int | None = None
    """The HTTP status, where there was one."""
    retry_after: float | None = None
    """Seconds that the target asked to be left alone."""
    final: bool = False
    """Whether another try is of no use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportDelivery:
    """What became of telling a target of an event."""

    event_id: str
    kind: EventKind
    campaign_id: str | None
    lane: str | None
    at: float
    """When it happened."""
    target: str
    status: DeliveryStatus
    tries: int
    created_at: float
    ready_at: float | None
    """When it is tried next; None where it won't be."""
    tried_at: float | None
    answer_status: int | None
    answer: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedReport:
    """A delivery that nobody else tries while the lease holds."""

    event: ReportEvent
    target: str
    lease: str
    begun_at: float
    tries: int
    """This one included."""


async def begin(connection: AsyncConnection, targets: Collection[str], now: float) -> float:
    """Have it on record that somebody looks, and since when each of these targets is there.

    Returns: since when events are looked for: what happened before the very first look is nobody's business.
    """
    for name in (_SINCE, *(_TARGET + target for target in sorted(targets))):
        await connection.execute(insert_or_ignore(connection, flags).values(name=name, at=now))
    since = await connection.execute(select(flags.c.at).where(flags.c.name == _SINCE))
    return float(since.scalar_one())


async def record(connection: AsyncConnection, event: ReportEvent, targets: Collection[str], now: float) -> bool:
    """Write an event down, with a delivery for each of these targets that was there when it happened.

    Returns: whether it wasn't known before.
    """
    about = event.problems[0].lane if event.kind in (EventKind.LANE_STOPPED, EventKind.LANE_RESUMED) else None
    row = {
        "id": event.id,
        "kind": event.kind.value,
        "campaign_id": None if event.campaign is None else event.campaign.id,
        "lane": about,
        "at": event.at,
        "document": encode_event(event),
    }
    if not (await connection.execute(insert_or_ignore(connection, report_events).values(row))).rowcount:
        return False
    names = {_TARGET + target: target for target in targets}
    there = select(flags.c.name).where(flags.c.name.in_(list(names)), flags.c.at <= event.at)
    for found in (await connection.execute(there)).scalars().all():
        await connection.execute(
            report_deliveries.insert().values(
                event_id=event.id,
                target=names[found],
                status=DeliveryStatus.WAITING.value,
                created_at=now,
                begun_at=now,
                ready_at=now,
            )
        )
    return True


async def known(connection: AsyncConnection, ids: Collection[str]) -> set[str]:
    """Which of these events were written down."""
    return set((await connection.execute(select(_events.id).where(_events.id.in_(ids)))).scalars())


async def latest_of_lane(connection: AsyncConnection, lane: str) -> tuple[str, EventKind, float] | None:
    """The newest event of a lane: its id, its kind and when it was."""
    wanted = select(_events.id, _events.kind, _events.at).where(_events.lane == lane)
    row = (await connection.execute(wanted.order_by(_events.at.desc(), _events.id.desc()).limit(1))).first()
    return None if row is None else (row.id, EventKind(row.kind), row.at)


async def stalls(connection: AsyncConnection, campaign_id: str) -> tuple[float | None, int]:
    """When it was last written down that a campaign stands still, and how often it was."""
    wanted = select(func.max(_events.at), func.count()).where(
        _events.campaign_id == campaign_id, _events.kind == EventKind.STALLED.value
    )
    latest, number = (await connection.execute(wanted)).one()
    return latest, number


async def due(connection: AsyncConnection, targets: Collection[str], now: float) -> set[str]:
    """Those of these targets for which something can be tried now."""
    wanted = select(_deliveries.target).where(
        _deliveries.target.in_(targets), _deliveries.status == DeliveryStatus.WAITING.value, _deliveries.ready_at <= now
    )
    return set((await connection.execute(wanted.distinct())).scalars())


async def claim(
    connection: AsyncConnection, target: str, now: float, lease: float, *, event_id: str | None = None
) -> ClaimedReport | None:
    """Take the delivery that is due next for a target; None: there is none, or somebody else was faster.

    Args:
        lease: seconds for which nobody else may take it.
        event_id: only that of this event.
    """
    wanted = (
        select(report_deliveries, _events.document)
        .join(report_events, _events.id == _deliveries.event_id)
        .where(
            _deliveries.target == target,
            _deliveries.status == DeliveryStatus.WAITING.value,
            _deliveries.ready_at <= now,
        )
        .order_by(_deliveries.ready_at, _deliveries.event_id)
        .limit(1)
    )
    if event_id is not None:
        wanted = wanted.where(_deliveries.event_id == event_id)
    row = (await connection.execute(wanted)).first()
    if row is None:
        return None
    token = secrets.token_hex(8)
    taken = await connection.execute(
        update(report_deliveries)
        .where(*_of(row.event_id, target), *_unchanged(row))
        .values(lease=token, ready_at=now + lease, tries=_deliveries.tries + 1, tried_at=now)
    )
    if not taken.rowcount:
        return None
    return ClaimedReport(
        event=decode_event(bytes(row.document)),
        target=target,
        lease=token,
        begun_at=row.begun_at,
        tries=row.tries + 1,
    )


async def settle(
    connection: AsyncConnection, claimed: ClaimedReport, answer: TargetAnswer, now: float
) -> DeliveryStatus | None:
    """Write down what came of a try. Returns: what becomes of the delivery; None: the lease is somebody else's now."""
    values: dict[str, Any] = {
        "lease": None,
        "answer_status": answer.status,
        "answer": answer.text[:LONGEST_ANSWER],
    }
    if answer.sent:
        status = DeliveryStatus.SENT
    elif answer.final or now - claimed.begun_at >= GIVE_UP_AFTER:
        status = DeliveryStatus.FAILED
    else:
        status = DeliveryStatus.WAITING
        values["ready_at"] = now + pause(claimed.tries, answer.retry_after)
    settled = await connection.execute(
        update(report_deliveries)
        .where(*_of(claimed.event.id, claimed.target), _deliveries.lease == claimed.lease)
        .values(status=status.value, **values)
    )
    return status if settled.rowcount else None


def pause(tries: int, retry_after: float | None = None) -> float:
    """Seconds until the next try, after so many."""
    own = min(LONGEST_PAUSE, FIRST_PAUSE * 3.0 ** min(tries - 1, 10))
    return max(own, min(retry_after or 0.0, LONGEST_PAUSE))


async def replay(connection: AsyncConnection, event_id: str, targets: Collection[str], now: float) -> list[str]:
    """Have an event told again to these targets, from the beginning, also to those that were never told of it.

    Returns: the targets that are told; none where there is no such event. One that is being told just now is left.
    """
    if not await known(connection, [event_id]):
        return []
    values = {"status": DeliveryStatus.WAITING.value, "begun_at": now, "ready_at": now, "lease": None, "tries": 0}
    told = []
    for target in targets:
        made = insert_or_ignore(connection, report_deliveries).values(
            event_id=event_id, target=target, created_at=now, **values
        )
        if not (await connection.execute(made)).rowcount:
            under_way = (_deliveries.lease.is_not(None)) & (_deliveries.ready_at > now)
            again = update(report_deliveries).where(*_of(event_id, target), ~under_way).values(values)
            if not (await connection.execute(again)).rowcount:
                continue
        told.append(target)
    return told


async def deliveries(
    connection: AsyncConnection,
    *,
    event_id: str | None = None,
    campaign_id: str | None = None,
    target: str | None = None,
    status: DeliveryStatus | None = None,
    limit: int = 50,
) -> list[ReportDelivery]:
    """The newest first."""
    query = _LISTED.order_by(_deliveries.created_at.desc(), _deliveries.event_id, _deliveries.target).limit(limit)
    wanted: Mapping[ColumnElement[Any], object] = {
        _deliveries.event_id: event_id,
        _events.campaign_id: campaign_id,
        _deliveries.target: target,
        _deliveries.status: None if status is None else status.value,
    }
    for column, value in wanted.items():
        if value is not None:
            query = query.where(column == value)
    return [_delivery(row) for row in await connection.execute(query)]


async def find_events(connection: AsyncConnection, name: str, limit: int) -> list[str]:
    """The ids of events that somebody means by this: that very one, or those with this in their ids; newest first."""
    if await known(connection, [name]):
        return [name]
    wanted = select(_events.id).where(_events.id.contains(name, autoescape=True))
    found = await connection.execute(wanted.order_by(_events.at.desc(), _events.id).limit(limit))
    return list(found.scalars()) if name else []


async def forget(connection: AsyncConnection, before: float) -> int:
    """Delete the events of lanes that happened before a moment; those of campaigns go with their campaigns.

    What is told of a lane next follows from its newest event, so that one stays.
    """
    newest = select(func.max(_events.at)).where(_events.lane.is_not(None)).group_by(_events.lane)
    gone = delete(report_events).where(_events.lane.is_not(None), _events.at < before, _events.at.not_in(newest))
    return int((await connection.execute(gone)).rowcount)


_LISTED: Select[Any] = select(
    report_deliveries, _events.kind, _events.campaign_id, _events.lane.label("lane"), _events.at
).join(report_events, _events.id == _deliveries.event_id)


def _delivery(row: Row[Any]) -> ReportDelivery:
    status = DeliveryStatus(row.status)
    return ReportDelivery(
        event_id=row.event_id,
        kind=EventKind(row.kind),
        campaign_id=row.campaign_id,
        lane=row.lane,
        at=row.at,
        target=row.target,
        status=status,
        tries=row.tries,
        created_at=row.created_at,
        ready_at=row.ready_at if status is DeliveryStatus.WAITING else None,
        tried_at=row.tried_at,
        answer_status=row.answer_status,
        answer=row.answer,
    )


def _of(event_id: str, target: str) -> Sequence[ColumnElement[bool]]:
    return _deliveries.event_id == event_id, _deliveries.target == target


def _unchanged(row: Row[Any]) -> Sequence[ColumnElement[bool]]:
    """Nobody took it, or settled it, since this was read: a second one that waited for the first sees it here."""
    return (
        _deliveries.status == DeliveryStatus.WAITING.value,
        _deliveries.ready_at == row.ready_at,
        _deliveries.tries == row.tries,
    )
