"""Series, for whoever asks: `Stentor.series`. Campaigns that recur, made and started by the schedulers.

Rules: what is refused is refused before anything is written. A series has a draft of its own; each run is a campaign of
that draft as it is then, with a segment's name looked up anew, and goes on without the series. See
`runtime.series_runner` for how runs are made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.errors import ChangedMeanwhile, InvalidInput, UnknownSeries
from stentor.model import Action
from stentor.planning.recurrence import Recurrence
from stentor.runtime.campaigns import CampaignControl, draft_of
from stentor.runtime.draft import Draft, checked
from stentor.runtime.resources import Resources
from stentor.states import CampaignKind
from stentor.store import series as rows
from stentor.store.along import Along
from stentor.store.campaigns import Campaign, new_id
from stentor.store.series import Missed, Series, SeriesRun

MOST = 500
"""Series, or runs, of a page at most."""
SHOWN = 5
"""Next times that are shown before a series is saved."""
LONGEST_NAME = 100
"""Characters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesDraft:
    """What a series is to be."""

    name: str
    """What it is called; no two series are called alike."""
    draft: Draft
    """What each run is made of. It has no time to start."""
    cron: str
    """Minute, hour, day, month and weekday, as cron has them: `0 18 * * mon-fri`."""
    zone: str = "UTC"
    """The time zone whose clocks `cron` means."""
    missed: Missed = Missed.SKIP
    """What becomes of runs that were due while no scheduler ran."""

    def check(self) -> Recurrence:
        """When it is due. Raises: InvalidInput."""
        if not 0 < len(checked("name", self.name).strip()) <= LONGEST_NAME or self.name != self.name.strip():
            raise InvalidInput("name", f"must have 1 to {LONGEST_NAME} characters, and no spaces around them")
        if self.draft.starts_at is not None:
            raise InvalidInput("starts_at", "is for a campaign that is sent once; the runs of a series start when due")
        if self.draft.timing.local_at is not None:
            raise InvalidInput("timing.local_at", "is one day, and the runs of a series have many; leave it out")
        selection = self.draft.selection
        if selection.failed_of or selection.reached_by or self.draft.content.action is not Action.SEND:
            raise InvalidInput("audience", "is what another campaign left; a series needs an audience of its own")
        return Recurrence(self.cron, self.zone)


@dataclass(frozen=True, slots=True, kw_only=True)
class NextTimes:
    """When runs would be due."""

    explained: str
    """The cron line in English."""
    times: Sequence[float]
    """Epoch seconds. Fewer than asked for, if there are no more in fifty years."""
    written: Sequence[str]
    """The same as the clocks of the zone show them."""


class SeriesControl:
    """The series of one store. Every method may raise `StoreUnavailable`."""

    def __init__(self, resources: Resources, control: CampaignControl) -> None:
        self._clock = resources.clock
        self._database = resources.database
        self._campaigns = control

    def next_times(self, cron: str, zone: str, count: int = SHOWN) -> NextTimes:
        """When a series of this cron line would be due next. Raises: InvalidInput: it cannot be read."""
        found = Recurrence(cron, zone)
        times = found.next(self._clock(), count)
        return NextTimes(explained=found.explained, times=times, written=[found.written(each) for each in times])

    async def add(
        self,
        new: SeriesDraft,
        *,
        count: bool = True,
        series_id: str | None = None,
        along: Along[Series] | None = None,
    ) -> Series:
        """Save a series. Its first run is the next one that is due.

        Args:
            count: False: its audience and its apps are not looked at now; each run looks at them anyway.
            series_id: its id. If there is a series of this id, that is returned.
            along: is written with it.

        Raises:
            InvalidInput: its name, its cron line or its time zone cannot be used, or it is never due.
            InvalidMessage, InvalidAudience, CredentialError, AudienceUnavailable: as `CampaignControl.prepare`.
        """
        if series_id is not None and (known := await self._found(series_id)) is not None:
            return known
        recurrence, now = new.check(), self._clock()
        await self._refuse_taken(new.name, None)
        made = Series(
            id=series_id or new_id(now),
            name=new.name,
            cron=new.cron,
            zone=new.zone,
            missed=new.missed,
            next_at=_first(recurrence, now),
            created_at=now,
            changed_at=now,
        )

        async def add(connection: AsyncConnection, _: Campaign) -> None:
            if not await rows.add(connection, made):
                raise _taken(new.name)
            if along is not None:
                await along(connection, made)

        await self._campaigns.create(
            _template(new), campaign_id=made.id, count=count, kind=CampaignKind.SERIES, along=add
        )
        return await self.get(made.id)

    async def change(
        self,
        series_id: str,
        new: SeriesDraft,
        *,
        revision: int | None = None,
        count: bool = True,
        along: Along[Series] | None = None,
    ) -> Series:
        """Make a series another one. Runs that were made already stay as they are.

        Args:
            revision: what `Series.revision` was when it was looked at; None: whatever it is.
            count, along: as for `add`.

        Raises:
            UnknownSeries: there is none of this id.
            ChangedMeanwhile: its revision is another one. And as `add`.
        """
        recurrence, now = new.check(), self._clock()
        found = await self.get(series_id)
        seen = found.revision if revision is None else revision
        await self._refuse_taken(new.name, series_id)
        values: dict[str, str | float | None] = {
            "name": new.name,
            "cron": new.cron,
            "zone": new.zone,
            "missed": new.missed.value,
            "changed_at": now,
        }
        if (new.cron, new.zone) != (found.cron, found.zone):  # else a run that is due just now would be lost
            first = _first(recurrence, now)
            values["next_at"] = None if found.paused else first

        async def change(connection: AsyncConnection, _: Campaign) -> None:
            changed = await rows.change(connection, series_id, seen, values)
            if (there := await rows.get(connection, series_id)) is None:
                raise _unknown(series_id)
            if not changed and any(getattr(there, name) != value for name, value in values.items()):
                raise ChangedMeanwhile  # else it was changed by this very call
            if along is not None:
                await along(connection, there)

        await self._campaigns.change(series_id, _template(new), count=count, kind=CampaignKind.SERIES, along=change)
        return await self.get(series_id)

    async def pause(self, series_id: str) -> Series:
        """Make no more runs until it is resumed. A run under way goes on. Raises: UnknownSeries."""
        return await self._set(series_id, paused=True)

    async def resume(self, series_id: str) -> Series:
        """Go on with the next run that is due. Those in between are left out. Raises: UnknownSeries."""
        return await self._set(series_id, paused=False)

    async def delete(self, series_id: str) -> None:
        """Delete a series with the list of its runs. Their campaigns stay, and go on. Raises: UnknownSeries."""
        if not await self._database.write(lambda connection: rows.remove(connection, series_id)):
            raise _unknown(series_id)

    async def get(self, series_id: str) -> Series:
        """Raises: UnknownSeries."""
        if (found := await self._found(series_id)) is None:
            raise _unknown(series_id)
        return found

    async def find(self, name: str) -> Series:
        """The series of this id or name, or with this in its id. Raises: UnknownSeries: none or several are."""
        found = await self._database.ask(lambda connection: rows.find(connection, name)) if name else []
        if len(found) > 1:
            raise UnknownSeries(f"{name!r} is in the ids of several series; name one by its id or its name")
        if not found:
            raise _unknown(name)
        return found[0]

    async def list(self, *, after: str | None = None, limit: int = MOST) -> Sequence[Series]:
        """In the order of their names.

        Args:
            after: the name of the last one of the page before.
        """
        return await self._database.ask(lambda connection: rows.page(connection, after, min(limit, MOST)))

    async def draft(self, series_id: str) -> SeriesDraft:
        """What a series is. Raises: UnknownSeries."""
        found = await self.get(series_id)
        made = await self._campaigns.draft(series_id)
        title = None if made.title == found.name else made.title
        draft = replace(by_name(made), title=title, collapse_id=None)
        return SeriesDraft(name=found.name, draft=draft, cron=found.cron, zone=found.zone, missed=found.missed)

    async def runs(self, series_id: str, *, before: float | None = None, limit: int = MOST) -> Sequence[SeriesRun]:
        """What became of its runs, the newest first. The newest thousand are kept.

        Args:
            before: `due` of the last one of the page before.

        Raises: UnknownSeries.
        """
        await self.get(series_id)
        return await self._database.ask(lambda connection: rows.runs(connection, series_id, before, min(limit, MOST)))

    async def newest_runs(self, series: Sequence[Series]) -> dict[str, SeriesRun]:
        """The newest run of each of these that has one, by the series' id."""
        ids = [each.id for each in series]
        return dict(await self._database.ask(lambda connection: rows.newest_runs(connection, ids)))

    async def _found(self, series_id: str) -> Series | None:
        return await self._database.ask(lambda connection: rows.get(connection, series_id))

    async def _refuse_taken(self, name: str, series_id: str | None) -> None:
        found = await self._database.ask(lambda connection: rows.named(connection, name))
        if found is not None and found.id != series_id:
            raise _taken(name)

    async def _set(self, series_id: str, *, paused: bool) -> Series:
        now = self._clock()

        async def change(connection: AsyncConnection) -> None:
            found = await rows.lock(connection, series_id)
            if found is None:
                raise _unknown(series_id)
            if found.paused is paused:
                return
            next_at = None if paused else Recurrence(found.cron, found.zone).after(now)
            values = {"paused": paused, "next_at": next_at, "changed_at": now}
            await rows.change(connection, series_id, found.revision, values)

        await self._database.write(change)
        return await self.get(series_id)


def run_of(series: Series, campaign: Campaign, content: bytes, due: float) -> Draft:
    """What a run of a series is: its draft with a title and a collapse id of its own, to start when it is made."""
    when = Recurrence(series.cron, series.zone).local(due)
    return replace(by_name(draft_of(campaign, content)), title=f"{campaign.title}, {when}", collapse_id=None)


def by_name(draft: Draft) -> Draft:
    """A draft whose segment is looked up again, if it was given by its name."""
    if draft.selection.segment_name is None:
        return draft
    return replace(draft, selection=msgspec.structs.replace(draft.selection, segment=None))


def _template(new: SeriesDraft) -> Draft:
    return replace(new.draft, title=new.draft.title or new.name, collapse_id=None)


def _first(recurrence: Recurrence, now: float) -> float:
    """When it is due first. Raises: InvalidInput: never."""
    if (found := recurrence.after(now)) is None:
        raise InvalidInput("cron", "is never due: no such date comes within fifty years")
    return found


def _taken(name: str) -> InvalidInput:
    return InvalidInput("name", f"there is a series {name!r} already; `stentor series list` shows all series")


def _unknown(name: str) -> UnknownSeries:
    return UnknownSeries(f"there is no series {name[:LONGEST_NAME]!r}; `stentor series list` shows all series")
