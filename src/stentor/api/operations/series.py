"""Series: recurring campaigns, and what became of their runs."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from stentor.access.scopes import Scope
from stentor.api.operation import Call, Fields, Made, Operations
from stentor.api.operations.campaigns import CHECKS, ContentShape, DraftFields
from stentor.errors import ChangedMeanwhile, UnknownSeries
from stentor.planning.content import to_file
from stentor.recording.shapes import Shape
from stentor.runtime import series_shapes as shapes
from stentor.runtime.series import MOST, SHOWN, SeriesDraft
from stentor.runtime.series_shapes import (
    ListedSeriesShape,
    NextTimesShape,
    SeriesDraftShape,
    SeriesRunShape,
    SeriesShape,
)
from stentor.runtime.stentor import Stentor
from stentor.store.series import Missed, Series

operations = Operations("Series")
USUAL = 100
"""Series, or runs, of a page."""
MOST_TIMES = 100


class NewSeriesFields(DraftFields, frozen=True, kw_only=True):
    """What a recurring campaign is to be. It has no `starts_at`."""

    name: str
    """What it is called. No two series are called alike."""
    cron: str
    """Minute, hour, day, month and weekday, as cron has them, e.g. `0 18 * * mon-fri`."""
    zone: str = "UTC"
    """The time zone whose clocks `cron` means, e.g. `Europe/Berlin`."""
    missed: Missed = Missed.SKIP
    """What becomes of runs that were due while no scheduler ran: `skip`, or `one`, which sends the newest late."""

    async def series(self, stentor: Stentor) -> SeriesDraft:
        """Raises: InvalidMessage, InvalidInput: names the field."""
        draft = await self.draft(stentor)
        return SeriesDraft(name=self.name, draft=draft, cron=self.cron, zone=self.zone, missed=self.missed)


class NextTimesQuestionFields(Fields, frozen=True, kw_only=True):
    """What is asked of a cron line."""

    cron: str
    """Minute, hour, day, month and weekday, as cron has them."""
    zone: str = "UTC"
    """The time zone whose clocks `cron` means."""
    count: Annotated[int, Meta(ge=1, le=MOST_TIMES)] = SHOWN
    """How many times."""


class SeriesCheckQuery(Fields, frozen=True, kw_only=True):
    count: bool = True
    """False: check the message alone. Each run is counted and checked anyway."""


class SeriesQuery(Fields, frozen=True, kw_only=True):
    limit: Annotated[int, Meta(ge=1, le=MOST)] = USUAL
    """How many series."""
    after: str | None = None
    """`next` of the page before."""


class SeriesPage(Shape, frozen=True, kw_only=True):
    """Some series, in the order of their names."""

    series: list[ListedSeriesShape]
    next: str | None
    """What the next page comes after. Null: this is the last one."""


class RunsQuery(Fields, frozen=True, kw_only=True):
    limit: Annotated[int, Meta(ge=1, le=MOST)] = USUAL
    """How many runs."""
    before: float | None = None
    """`next` of the page before."""


class RunsPage(Shape, frozen=True, kw_only=True):
    """Some runs of a series, the newest first."""

    runs: list[SeriesRunShape]
    next: float | None
    """What the next page comes before. Null: this is the last one."""


@operations.post("/series/next", Scope.WRITE)
async def preview_series(call: Call, body: NextTimesQuestionFields) -> NextTimesShape:
    """When a series would be due next. Nothing is saved."""
    return shapes.next_times(call.stentor.series.next_times(body.cron, body.zone, body.count))


@operations.post("/series", Scope.SEND, status=201, action="series.create", raises=CHECKS, shape=SeriesShape)
async def create_series(call: Call, query: SeriesCheckQuery, body: NewSeriesFields) -> Made:
    """Save a recurring campaign. The schedulers make and start its runs when they are due.

    It is checked and counted as a campaign is.
    """
    made = await call.stentor.series.add(
        await body.series(call.stentor), count=query.count, series_id=call.reserved, along=call.along(_made)
    )
    return _made(made)


@operations.get("/series", Scope.VIEW)
async def list_series(call: Call, query: SeriesQuery) -> SeriesPage:
    """Recurring campaigns, in the order of their names, each with its newest run."""
    found = await call.stentor.series.list(after=query.after, limit=query.limit)
    runs = await call.stentor.series.newest_runs(found)
    following = found[-1].name if len(found) == query.limit else None
    return SeriesPage(series=[shapes.listed(each, runs.get(each.id)) for each in found], next=following)


@operations.get("/series/{series}", Scope.VIEW, raises=(UnknownSeries,))
async def get_series(call: Call, series: str) -> SeriesShape:
    """A recurring campaign."""
    return shapes.series(await call.stentor.series.get(series))


@operations.get("/series/{series}/draft", Scope.WRITE, raises=(UnknownSeries,))
async def get_series_draft(call: Call, series: str) -> SeriesDraftShape:
    """What the runs of a recurring campaign are made of, without the message."""
    return shapes.draft(await call.stentor.series.draft(series))


@operations.get("/series/{series}/message", Scope.WRITE, raises=(UnknownSeries,))
async def get_series_message(call: Call, series: str) -> ContentShape:
    """What a recurring campaign sends, in all its languages."""
    content = (await call.stentor.series.draft(series)).draft.content
    return ContentShape(message=to_file(content), values=dict(content.values))


@operations.put(
    "/series/{series}", Scope.SEND, action="series.change", raises=(*CHECKS, UnknownSeries, ChangedMeanwhile)
)
async def change_series(call: Call, series: str, query: SeriesCheckQuery, body: NewSeriesFields) -> SeriesShape:
    """Make a recurring campaign another one. With `If-Match`, only if nobody changed it meanwhile.

    Campaigns that its runs have made stay as they are.
    """
    found = await call.stentor.series.get(series)
    call.match(shapes.series(found))
    changed = await call.stentor.series.change(
        series,
        await body.series(call.stentor),
        revision=found.revision,
        count=query.count,
        along=call.along(shapes.series),
    )
    return shapes.series(changed)


@operations.post("/series/{series}/pause", Scope.SEND, action="series.pause", raises=(UnknownSeries,))
async def pause_series(call: Call, series: str) -> SeriesShape:
    """Make no more runs until it is resumed. A run under way goes on."""
    return shapes.series(await call.stentor.series.pause(series))


@operations.post("/series/{series}/resume", Scope.SEND, action="series.resume", raises=(UnknownSeries,))
async def resume_series(call: Call, series: str) -> SeriesShape:
    """Go on with the next run that is due. Those in between are left out."""
    return shapes.series(await call.stentor.series.resume(series))


@operations.delete("/series/{series}", Scope.SEND, action="series.delete", raises=(UnknownSeries,))
async def delete_series(call: Call, series: str) -> None:
    """Delete a recurring campaign and the list of its runs.

    Campaigns that its runs have made stay, and go on.
    """
    await call.stentor.series.delete(series)


@operations.get("/series/{series}/runs", Scope.VIEW, raises=(UnknownSeries,))
async def list_series_runs(call: Call, series: str, query: RunsQuery) -> RunsPage:
    """What became of the runs of a recurring campaign, the newest first. The newest thousand are kept."""
    found = await call.stentor.series.runs(series, before=query.before, limit=query.limit)
    following = found[-1].due if len(found) == query.limit else None
    return RunsPage(runs=[shapes.run(each) for each in found], next=following)


def _made(made: Series) -> Made:
    return Made(shape=shapes.series(made), location=f"/v1/series/{made.id}")
