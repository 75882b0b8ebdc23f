"""Series: campaigns that recur, when they are due, and what became of their runs."""

from __future__ import annotations

from dataclasses import replace

from starlette.responses import Response

from stentor.access.scopes import Scope
from stentor.audience.described import described
from stentor.dashboard.page import Pages
from stentor.dashboard.visit import Visit
from stentor.errors import InvalidInput
from stentor.runtime.series import SeriesDraft
from stentor.store.series import Missed

pages = Pages()
SHOWN = 100
"""Series of a page."""
RUNS = 50
"""Runs of a page."""
MISSED = {Missed.SKIP.value: "leave them out", Missed.ONE.value: "send the newest of them late"}
"""What becomes of missed runs, as a form offers it."""


@pages.get("/series", Scope.VIEW)
async def list_series(visit: Visit) -> Response:
    after = visit.query("after") or None
    found = await visit.stentor.series.list(after=after, limit=SHOWN + 1)
    page = found[:SHOWN]
    return await visit.render(
        "series_list.html",
        series=page,
        runs=await visit.stentor.series.newest_runs(page),
        following=page[-1].name if len(found) > SHOWN else None,
        after=after,
    )


@pages.get("/series/{series}", Scope.VIEW)
async def show_series(visit: Visit, series: str) -> Response:
    control = visit.stentor.series
    found = await control.get(series)
    before = visit.query("before")
    try:
        moment = float(before) if before else None
    except ValueError:
        moment = None
    runs = await control.runs(series, before=moment, limit=RUNS + 1)
    draft = (await control.draft(series)).draft
    return await visit.render(
        "series.html",
        series=found,
        message=draft.content.name or "untitled",
        whom=described(draft.selection) if visit.may("write") else draft.selection.source,
        times=control.next_times(found.cron, found.zone),
        runs=runs[:RUNS],
        following=runs[RUNS - 1].due if len(runs) > RUNS else None,
        before=before,
    )


@pages.post("/series/{series}/pause", Scope.SEND, action="series.pause")
async def pause(visit: Visit, series: str) -> Response:
    await visit.stentor.series.pause(series)
    return visit.go(f"/series/{series}", "series-paused")


@pages.post("/series/{series}/resume", Scope.SEND, action="series.resume")
async def resume(visit: Visit, series: str) -> Response:
    await visit.stentor.series.resume(series)
    return visit.go(f"/series/{series}", "series-resumed")


@pages.get("/series/{series}/delete", Scope.SEND)
async def ask_to_delete(visit: Visit, series: str) -> Response:
    return await visit.render("series_delete.html", series=await visit.stentor.series.get(series))


@pages.post("/series/{series}/delete", Scope.SEND, action="series.delete")
async def delete(visit: Visit, series: str) -> Response:
    await visit.stentor.series.delete(series)
    return visit.go("/series", "series-deleted")


@pages.get("/campaigns/{campaign}/repeat", Scope.SEND)
async def ask_to_repeat(visit: Visit, campaign: str) -> Response:
    return await _form(visit, campaign)


@pages.post("/campaigns/{campaign}/repeat", Scope.SEND, action="series.create")
async def repeat(visit: Visit, campaign: str) -> Response:
    """Show when a series would be due, or save it, if that was shown."""
    if visit.form.get("do") != "save" or visit.form.get("shown") != _shown(visit):
        visit.deed.nothing = True
        return await _form(visit, campaign, asked=True)
    try:
        draft = replace(await visit.stentor.campaigns.draft(campaign), starts_at=None, title=None, collapse_id=None)
        new = SeriesDraft(
            name=visit.form.get("name"),
            draft=draft,
            cron=visit.form.get("cron"),
            zone=visit.form.get("zone") or "UTC",
            missed=_missed(visit.form.get("missed")),
        )
        made = await visit.stentor.series.add(new, series_id=visit.reserved)
    except InvalidInput as error:
        return await _form(visit, campaign, {error.field: error.problem}, status=422)
    visit.deed.about = made.id
    return visit.go(f"/series/{made.id}", "series-saved")


async def _form(
    visit: Visit, campaign: str, errors: dict[str, str] | None = None, *, asked: bool = False, status: int = 200
) -> Response:
    """The form of a new series.

    Args:
        asked: show when it would be due.
    """
    found = await visit.stentor.campaigns.get(campaign)
    wrong, times = errors or {}, None
    if asked:
        try:
            times = visit.stentor.series.next_times(visit.form.get("cron"), visit.form.get("zone") or "UTC")
        except InvalidInput as error:
            wrong, status = {error.field: error.problem}, 422
    return await visit.render(
        "series_form.html",
        status,
        campaign=found,
        id=visit.reserved,
        missed=MISSED,
        times=times,
        shown=_shown(visit),
        errors=wrong,
    )


def _shown(visit: Visit) -> str:
    """What the times that are shown are of: whoever changes that sees the new ones before anything is saved."""
    return f"{visit.form.get('cron')} {visit.form.get('zone')}"


def _missed(text: str) -> Missed:
    """Raises: InvalidInput: the form doesn't offer this."""
    try:
        return Missed(text)
    except ValueError:
        raise InvalidInput("missed", "choose one of those that are offered") from None
