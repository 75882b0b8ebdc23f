"""Users of the dashboard: who may sign in, and what each may do."""

from __future__ import annotations

from dataclasses import replace

from starlette.responses import Response

from stentor.access.scopes import Scope, read_scope
from stentor.access.users import OneTimeLink, User
from stentor.access.wording import ROLES, way_in
from stentor.dashboard.page import Pages
from stentor.dashboard.visit import Visit
from stentor.errors import InvalidInput, InvalidState
from stentor.store.along import Along

pages = Pages()
SHOWN = 100
"""Users of a page."""


@pages.get("/users", Scope.ADMIN)
async def list_users(visit: Visit) -> Response:
    return await _list(visit)


@pages.post("/users", Scope.ADMIN)
async def add_user(visit: Visit) -> Response:
    users, name = visit.stentor.access.users, visit.form.get("name")

    async def add(along: Along[OneTimeLink] | None) -> OneTimeLink:
        made = await users.add(visit.caller, name, read_scope("role", visit.form.get("role")))
        return await users.link(visit.caller, made.id, along=along)

    try:
        link = await visit.once(add)
    except InvalidInput as error:
        return await _list(visit, {error.field: error.problem}, status=422)
    except InvalidState as error:
        return await _list(visit, {"name": str(error)}, status=409)
    return visit.go("/users", "user-added-already") if link is None else await _show_link(visit, link, made=True)


@pages.get("/users/{user}", Scope.ADMIN)
async def show_user(visit: Visit, user: str) -> Response:
    return await _show(visit, await visit.stentor.access.users.find(visit.caller, user))


@pages.post("/users/{user}/role", Scope.ADMIN)
async def set_role(visit: Visit, user: str) -> Response:
    found = await visit.stentor.access.users.find(visit.caller, user)
    try:
        role = read_scope("role", visit.form.get("role"))
        await visit.stentor.access.users.set_role(visit.caller, found.id, role)
    except (InvalidInput, InvalidState) as error:
        return await _show(visit, found, str(error), status=409)
    return visit.go(f"/users/{found.id}", "role-set")


@pages.post("/users/{user}/link", Scope.ADMIN)
async def make_link(visit: Visit, user: str) -> Response:
    users = visit.stentor.access.users
    found = await users.find(visit.caller, user)
    try:
        link = await visit.once(lambda along: users.link(visit.caller, found.id, along=along))
    except InvalidState as error:
        return await _show(visit, found, str(error), status=409)
    return visit.go(f"/users/{found.id}", "link-made-already") if link is None else await _show_link(visit, link)


@pages.post("/users/{user}/sign-out", Scope.ADMIN)
async def sign_out(visit: Visit, user: str) -> Response:
    found = await visit.stentor.access.users.find(visit.caller, user)
    await visit.stentor.access.sessions.end_all(visit.caller, found.id)
    return visit.go(f"/users/{found.id}", "user-signed-out")


@pages.get("/users/{user}/disable", Scope.ADMIN)
async def confirm_disabling(visit: Visit, user: str) -> Response:
    found = await visit.stentor.access.users.find(visit.caller, user)
    sessions = await visit.stentor.access.sessions.of_user(visit.caller, found.id)
    return await visit.render("user_disable.html", user=found, sessions=len(sessions))


@pages.post("/users/{user}/disable", Scope.ADMIN)
async def disable(visit: Visit, user: str) -> Response:
    found = await visit.stentor.access.users.find(visit.caller, user)
    try:
        await visit.stentor.access.users.disable(visit.caller, found.id)
    except InvalidState as error:
        return await _show(visit, found, str(error), status=409)
    return visit.go(f"/users/{found.id}", "user-disabled")


@pages.post("/users/{user}/enable", Scope.ADMIN)
async def enable(visit: Visit, user: str) -> Response:
    found = await visit.stentor.access.users.find(visit.caller, user)
    await visit.stentor.access.users.enable(visit.caller, found.id)
    return visit.go(f"/users/{found.id}", "user-enabled")


async def _list(visit: Visit, errors: dict[str, str] | None = None, *, status: int = 200) -> Response:
    """All users in the order of their names, a page at a time, and a form for one more."""
    after = visit.query("after") or None
    found = await visit.stentor.access.users.page(visit.caller, after=after, limit=SHOWN + 1)
    page = found[:SHOWN]
    return await visit.render(
        "users.html",
        status,
        users=page,
        following=page[-1].name if len(found) > SHOWN else None,
        after=after,
        way_in=way_in,
        roles=ROLES,
        errors=errors or {},
    )


async def _show(visit: Visit, user: User, error: str = "", *, status: int = 200) -> Response:
    sessions = await visit.stentor.access.sessions.of_user(visit.caller, user.id)
    return await visit.render(
        "user.html", status, user=user, sessions=sessions, way_in=way_in(user), roles=ROLES, error=error
    )


async def _show_link(visit: Visit, link: OneTimeLink, *, made: bool = False) -> Response:
    """Show a link, once. It leads to where this dashboard is reached, unless the settings say where that is."""
    base = visit.config.api.public_url or str(visit.request.base_url).rstrip("/")
    return await visit.render("user_link.html", link=replace(link, base=base), made=made)
