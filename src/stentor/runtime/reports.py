"""Reports and alarms, for whoever asks: `Stentor.reports`; and what finds and tells them in a process.

Rules: nothing of a campaign waits for a report. No whole URL of a target leaves here.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.config import Config, ReportedEvent, lanes
from stentor.errors import InvalidConfiguration, QueueUnavailable, UnknownReport
from stentor.pipeline import WAITING
from stentor.queue.contract import PLAN, Outbox, Queue
from stentor.recording.pruning import DAY
from stentor.recording.report import LaneProblem, Progress
from stentor.reporting import outbox as rows
from stentor.reporting.deliverer import Deliverer
from stentor.reporting.detector import nobody_is_missing
from stentor.reporting.events import sample_event
from stentor.reporting.outbox import DeliveryStatus, ReportDelivery, TargetAnswer
from stentor.reporting.receiver import Receiver
from stentor.reporting.reporter import Reporter
from stentor.reporting.targets import open_receiver
from stentor.runtime.resources import Resources
from stentor.runtime.standstill import Standstill
from stentor.settings import listed
from stentor.store.along import Along
from stentor.store.database import Database

UNASKED = 120.0
"""Seconds after which a campaign that nobody asked about is forgotten."""
NAMED = 5
"""Reports that are named at most where a name could mean several."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetInfo:
    """A place that reports go to, without its secrets."""

    name: str
    kind: str
    """`slack`, `mailto`, `webhook example.com`."""
    events: Sequence[ReportedEvent]


class Reports:
    """The reports of one store. Every method may raise `StoreUnavailable`."""

    def __init__(self, resources: Resources) -> None:
        self._settings = resources.config.reporting
        self._clock = resources.clock
        self._database = resources.database

    def targets(self) -> list[TargetInfo]:
        """Those that are configured. Reads files."""
        return [
            TargetInfo(name=name, kind=open_receiver(name, each).kind, events=each.events)
            for name, each in self._settings.targets.items()
        ]

    async def test(
        self, target: str | None = None, *, before: Callable[[], Awaitable[None]] | None = None
    ) -> dict[str, TargetAnswer]:
        """Send a test report now, and nothing else: to this target, or to all at once.

        Args:
            before: is awaited just before it is sent.

        Returns: by target, what came of it. Raises: InvalidConfiguration: there is no such target, or none at all.
        """
        receivers = self._receivers(target)
        if before is not None:
            await before()
        event = sample_event(secrets.token_hex(8), self._clock(), self._settings.link)
        answers = await asyncio.gather(*(each.tell(event, self._clock()) for each in receivers.values()))
        return dict(zip(receivers, answers, strict=True))

    async def deliveries(
        self,
        *,
        campaign_id: str | None = None,
        target: str | None = None,
        status: DeliveryStatus | None = None,
        limit: int = 50,
    ) -> list[ReportDelivery]:
        """What became of reports, the newest first.

        Args:
            campaign_id, target, status: only those of this campaign, to this target, or in this state.
        """
        return await self._database.ask(
            lambda connection: rows.deliveries(
                connection, campaign_id=campaign_id, target=target, status=status, limit=limit
            )
        )

    async def replay(
        self, event: str, target: str | None = None, *, along: Along[list[ReportDelivery]] | None = None
    ) -> list[ReportDelivery]:
        """Send a report again, now: with the same content and id, whether or not it was sent before.

        Args:
            event: its id, or any part of it.
            target: to whom; left out, to all that it was for.
            along: is written as soon as it is sure to be sent, and given what is known of it then.

        Returns: what became of it, by target; what could not be sent now is tried again.

        Raises:
            UnknownReport: there is none of this id, or there are several.
            InvalidConfiguration: there is no such target, or it was for none that is configured now.
        """
        event_id = await self._find(event)
        if target is None:
            told = await self._database.ask(lambda connection: rows.deliveries(connection, event_id=event_id))
            chosen = [each.target for each in told if each.target in self._settings.targets]
            if not chosen:
                raise InvalidConfiguration(f"no target of the settings was to get {event_id}; name one with --target")
        else:
            chosen = list(self._receivers(target))
        now = self._clock()

        async def change(connection: AsyncConnection) -> None:
            await rows.replay(connection, event_id, chosen, now)
            if along is not None:
                await along(connection, await _of_targets(connection, event_id, chosen))

        await self._database.write(change)
        receivers = {name: each for name, each in self._receivers(None).items() if name in chosen}
        deliverer = Deliverer(self._database, receivers, self._clock)
        await asyncio.gather(*(deliverer.deliver(name, event_id) for name in chosen))
        return await self._database.ask(lambda connection: _of_targets(connection, event_id, chosen))

    async def _find(self, name: str) -> str:
        found = await self._database.ask(lambda connection: rows.find_events(connection, name, NAMED + 1))
        if len(found) == 1:
            return found[0]
        if not found:
            raise UnknownReport(f"there is no report {name!r}; `stentor report list` shows all reports")
        more = " and more" if len(found) > NAMED else ""
        raise UnknownReport(f"{name!r} is in the ids of several reports: {', '.join(found[:NAMED])}{more}; name one")

    def _receivers(self, target: str | None) -> dict[str, Receiver]:
        """Raises: InvalidConfiguration: there is no such target, or none at all."""
        known = self._settings.targets
        if not known:
            raise InvalidConfiguration("there is no target for reports; add one under [reports.targets.NAME]")
        if target is not None and target not in known:
            raise InvalidConfiguration(f"there is no target {target!r} for reports; there are {listed(known)}")
        return {name: open_receiver(name, each) for name, each in known.items() if target in (None, name)}


async def _of_targets(connection: AsyncConnection, event_id: str, targets: Sequence[str]) -> list[ReportDelivery]:
    """What became of a report that goes to these targets."""
    return [each for each in await rows.deliveries(connection, event_id=event_id) if each.target in targets]


class MissingRoles:
    """Which roles are missing, of whatever campaigns are asked about; see `standstill`."""

    def __init__(self, queue: Queue, outbox: Outbox | None, lease: float) -> None:
        """Args: lease: as for `Standstill`."""
        self._queue = queue
        self._outbox = outbox
        self._lease = lease
        self._watched: dict[str, tuple[Standstill, float]] = {}

    async def look(self, progress: Progress) -> Mapping[str, LaneProblem]:
        """By lane, who is missing. Raises: StoreUnavailable."""
        now = time.monotonic()
        self._watched = {name: each for name, each in self._watched.items() if now - each[1] < UNASKED}
        known = self._watched.get(progress.campaign_id)
        standstill = known[0] if known else Standstill(self._queue, self._outbox, self._lease)
        self._watched[progress.campaign_id] = standstill, now
        try:
            return await standstill.look(progress)
        except QueueUnavailable as error:
            return {PLAN: LaneProblem(problem=str(error), remedy=WAITING)}


def reporter_for(
    config: Config,
    database: Database,
    queue: Queue,
    outbox: Outbox | None,
    clock: Callable[[], float],
    *,
    roles_known: bool = False,
) -> Reporter:
    """What reports in one process.

    Args:
        roles_known: whether the process itself runs the roles, so that none is missing.
    """
    missing = nobody_is_missing if roles_known else MissingRoles(queue, outbox, config.sending.lease).look
    keep = None if config.store.keep_days is None else config.store.keep_days * DAY
    return Reporter(database, config.reporting, tuple(lanes(config)), clock, missing, keep=keep)
