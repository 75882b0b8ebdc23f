"""What is told of series as JSON: the command line's `--json` and the API say the same. Times are epoch seconds."""

from __future__ import annotations

from typing import Any

from stentor.recording.shapes import SelectionShape, Shape, shown_selection
from stentor.runtime.series import NextTimes, SeriesDraft
from stentor.store.series import Series, SeriesRun


class SeriesRunShape(Shape, frozen=True, kw_only=True):
    """What became of a run of a series."""

    due: float
    state: str
    """`due`: being made, or tried again. `started`: `campaign` says the rest. `failed`: it could not be made.
    `skipped`: the run before it was not over. `missed`: no scheduler ran."""
    campaign: str | None
    """The run's campaign, if it was started. It may have been pruned since."""
    reason: str | None
    """Why it was not sent, or why making it is tried again."""
    runs: int
    """If several in a row were missed: how many, from `due` on. Else 1."""
    at: float
    """When it got its state."""


class SeriesShape(Shape, frozen=True, kw_only=True):
    """A recurring campaign."""

    id: str
    name: str
    cron: str
    """Minute, hour, day, month and weekday, as cron has them."""
    zone: str
    """The IANA name of the time zone whose clocks `cron` means."""
    missed: str
    """What becomes of runs that were due while no scheduler ran: `skip`, or `one`, which sends the newest late."""
    paused: bool
    next_at: float | None
    """When the next run is due. Null: it is paused."""
    revision: int
    """How often it was changed, paused or resumed."""
    created_at: float
    changed_at: float


class ListedSeriesShape(SeriesShape, frozen=True, kw_only=True):
    """A recurring campaign in a list."""

    last_run: SeriesRunShape | None
    """Its newest run. Null: there was none yet."""


class SeriesDraftShape(Shape, frozen=True, kw_only=True):
    """What the runs of a series are made of, without the message."""

    title: str | None
    """What its runs are called, before their date."""
    audience: SelectionShape
    max_rate: float | None
    pause_above: float | None


class NextTimesShape(Shape, frozen=True, kw_only=True):
    """When the runs of a series are due."""

    explained: str
    """The cron line in English."""
    times: list[float]
    local: list[str]
    """The same as the clocks of the time zone show them."""


def series(each: Series) -> SeriesShape:
    return SeriesShape(**_series(each))


def _series(each: Series) -> dict[str, Any]:
    return {name: getattr(each, name) for name in SeriesShape.__struct_fields__} | {"missed": each.missed.value}


def listed(each: Series, last: SeriesRun | None) -> ListedSeriesShape:
    return ListedSeriesShape(**_series(each), last_run=None if last is None else run(last))


def run(each: SeriesRun) -> SeriesRunShape:
    return SeriesRunShape(
        due=each.due,
        state=each.state.value,
        campaign=each.campaign_id if each.was_started else None,
        reason=each.reason,
        runs=each.runs,
        at=each.at,
    )


def draft(each: SeriesDraft) -> SeriesDraftShape:
    of = each.draft
    return SeriesDraftShape(
        title=of.title, audience=shown_selection(of.selection), max_rate=of.max_rate, pause_above=of.pause_above
    )


def next_times(found: NextTimes) -> NextTimesShape:
    return NextTimesShape(explained=found.explained, times=list(found.times), local=list(found.written))
