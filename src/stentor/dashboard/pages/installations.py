"""Installations of the registry: looked up, listed, added and changed, deleted, and a person erased."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

from stentor.access.log import DONE, FAILED
from stentor.access.scopes import Scope
from stentor.api.installations import ERASED_WITHIN, InstallationFilters, installations_page, seen
from stentor.api.problems import INVALID_CURSOR, ProblemAnswer
from stentor.dashboard.attributes import FIELD, from_lines, to_lines
from stentor.dashboard.page import Pages
from stentor.dashboard.places import Query, filters, place
from stentor.dashboard.visit import Visit
from stentor.errors import InvalidInput, StentorError, UnknownInstallation
from stentor.runtime.installations import Installation

pages = Pages()
ON_A_PAGE = 50
TEXTS = ("address", "language", "time_zone", "registered_at")
ERASE = "installation.erase"


class ListFilters(InstallationFilters, frozen=True, kw_only=True):
    on: str | None = None
    """A channel, or a channel and its app: `apns/ios`."""


@pages.get("/installations", Scope.VIEW)
async def show_installations(visit: Visit) -> Response:
    """The list; with `id`, the one that somebody looks for; with `add`, the form for a new one."""
    if wanted := visit.query("id"):
        return visit.go(place("installations", wanted))
    if added := visit.query("add"):
        return visit.go(place("installations", added, "edit"))
    chosen = filters(visit.request.query_params.multi_items(), ListFilters)
    channel, _, app = (chosen.on or "").partition("/")
    wanted_ones = InstallationFilters(channel=channel or None, app=app or None, dead=chosen.dead)
    cursor = visit.query("cursor") or None
    asked = (visit.stentor, visit.caller, wanted_ones, ON_A_PAGE)
    try:
        page, misled = await installations_page(*asked, cursor, visit.now), False
    except ProblemAnswer as problem:
        if problem.kind is not INVALID_CURSOR:
            raise
        page, misled = await installations_page(*asked, None, visit.now), True
    again: Query = {"on": chosen.on, "dead": chosen.dead}
    return await visit.render(
        "installations.html",
        400 if misled else 200,
        misled=misled,
        chosen=chosen,
        filtered=bool(chosen.on) or chosen.dead is not None,
        places=_places(visit, chosen.on),
        rows=[(each, place("installations", each.id)) for each in page.installations],
        first=cursor is None or misled,
        first_href=place("installations", **again),
        more_href=None if page.next is None else place("installations", **again, cursor=page.next),
    )


@pages.get("/installations/{installation}", Scope.VIEW)
async def show_installation(visit: Visit, installation: str) -> Response:
    try:
        found = seen(visit.caller, await visit.stentor.installations.get(installation))
    except UnknownInstallation:
        return await _unknown(visit, installation)
    lines = to_lines(found.attributes).split("\n") if found.attributes else []
    return await visit.render("installation.html", found=found, attributes=lines, **_hrefs(installation))


@pages.get("/installations/{installation}/edit", Scope.WRITE)
async def show_form(visit: Visit, installation: str) -> Response:
    return await _form(visit, installation, await _find(visit, installation))


@pages.post("/installations/{installation}/edit", Scope.WRITE, action="installation.put")
async def change(visit: Visit, installation: str) -> Response:
    form = visit.form
    channel, _, app = form.get("on").partition("/")
    said: dict[str, Any] = {"id": installation, "channel": channel, "app": app}
    said |= {name: form.get(name) for name in TEXTS}
    said = {name: value for name, value in said.items() if value}
    try:
        put = await visit.stentor.installations.put({**said, "attributes": from_lines(form.raw(FIELD))})
    except InvalidInput as error:
        return await _form(visit, installation, await _find(visit, installation), error)
    return visit.go(place("installations", installation), f"installation-{put.change}")


@pages.get("/installations/{installation}/delete", Scope.WRITE)
async def ask_to_delete(visit: Visit, installation: str) -> Response:
    found = await _find(visit, installation)
    if found is None:
        return await _unknown(visit, installation)
    return await visit.render("installation_delete.html", found=found, **_hrefs(installation))


@pages.post("/installations/{installation}/delete", Scope.WRITE, action="installation.delete")
async def delete(visit: Visit, installation: str) -> Response:
    if not await visit.stentor.installations.delete(installation):
        return await _unknown(visit, installation)
    return visit.go("/installations", "installation-deleted")


@pages.get("/installations/{installation}/erase", Scope.ADMIN)
async def ask_to_erase(visit: Visit, installation: str) -> Response:
    """Also for one that the registry hasn't: campaigns may know it all the same."""
    found = await _find(visit, installation)
    return await visit.render("installation_erase.html", id=installation, found=found, **_hrefs(installation))


@pages.post("/installations/{installation}/erase", Scope.ADMIN)
async def erase(visit: Visit, installation: str) -> Response:
    """It writes the log itself: whoever is gone is not named there."""
    log = visit.stentor.access.log
    try:
        done = await visit.stentor.installations.erase(installation, patience=ERASED_WITHIN)
    except StentorError as error:
        await log.record(visit.caller, ERASE, installation, outcome=FAILED, detail=str(error))
        raise
    await log.record(visit.caller, ERASE, installation if done.left else "", outcome=DONE)
    return await visit.render("installation_erased.html", id=installation, done=done, **_hrefs(installation))


async def _find(visit: Visit, installation: str) -> Installation | None:
    try:
        return await visit.stentor.installations.get(installation)
    except UnknownInstallation:
        return None


async def _unknown(visit: Visit, installation: str) -> Response:
    return await visit.render("installation_unknown.html", 404, id=installation, **_hrefs(installation))


async def _form(visit: Visit, id_: str, found: Installation | None, error: InvalidInput | None = None) -> Response:
    """The form as it was filled in, or with what is known. An address is never filled in."""
    known = {} if found is None else msgspec.structs.asdict(found)
    given: dict[str, str] = {name: known.get(name) or "" for name in ("language", "time_zone")}
    given |= {"registered_at": "", "on": _lane(found), FIELD: "" if found is None else to_lines(found.attributes)}
    if visit.request.method == "POST":
        given = {name: visit.form.raw(name) for name in given}
    wrong = dict.fromkeys(("id", *given, "address"), "")
    if error is not None:
        wrong[error.field if error.field in wrong else "on"] = error.problem
    return await visit.render(
        "installation_form.html",
        422 if error else 200,
        id=id_,
        found=found,
        given=given,
        wrong=wrong,
        places=_places(visit, given["on"] or None),
        **_hrefs(id_),
    )


def _places(visit: Visit, also: str | None) -> list[str]:
    """Channels, and apps of them, as the settings have them: what a lane may be called."""
    apps = {f"{app.channel}/{name}" for name, app in visit.config.apps.items()}
    channels = {app.channel for app in visit.config.apps.values()}
    return sorted(apps | channels | ({also} if also else set()))


def _lane(found: Installation | None) -> str:
    if found is None:
        return ""
    return f"{found.channel}/{found.app}" if found.app else found.channel


def _hrefs(installation: str) -> dict[str, Any]:
    names = ("edit", "delete", "erase")
    return {
        "href": place("installations", installation),
        **{f"{name}_href": place("installations", installation, name) for name in names},
    }
