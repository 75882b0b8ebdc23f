"""One's own account: the role, the password, and the browsers in which one is signed in."""

from __future__ import annotations

from starlette.responses import Response

from stentor.access.scopes import Scope
from stentor.access.wording import ROLES
from stentor.dashboard.cookies import SESSION
from stentor.dashboard.page import Pages
from stentor.dashboard.visit import Visit
from stentor.errors import InvalidInput, InvalidState, SignInRefused, TooManyAttempts

pages = Pages()


@pages.get("/account", Scope.VIEW)
async def show_account(visit: Visit) -> Response:
    return await _show(visit)


@pages.post("/account/password", Scope.VIEW)
async def change_password(visit: Visit) -> Response:
    form = visit.form
    if form.raw("password") != form.raw("again"):
        return await _show(visit, {"again": "The two passwords differ. Type the same one twice."}, status=422)
    try:
        await visit.stentor.access.users.change_password(visit.caller, form.raw("old"), form.raw("password"))
    except InvalidInput as error:
        return await _show(visit, {error.field: error.problem}, status=422)
    except (SignInRefused, InvalidState) as error:
        return await _show(visit, {"old": str(error)}, status=403)
    except TooManyAttempts as error:
        return await _show(visit, {"old": str(error)}, status=429)
    response = visit.go("/sign-in", "password-set")
    visit.cookies.forget(response, SESSION)
    return response


@pages.post("/account/sessions/end-others", Scope.VIEW)
async def end_others(visit: Visit) -> Response:
    assert visit.session is not None
    sessions = visit.stentor.access.sessions
    await sessions.end_all(visit.caller, visit.caller.id, besides=visit.session.id)
    return visit.go("/account", "sessions-ended")


@pages.post("/account/sessions/{session}/end", Scope.VIEW)
async def end_session(visit: Visit, session: str) -> Response:
    await visit.stentor.access.sessions.end_all(visit.caller, visit.caller.id, only=session)
    return visit.go("/account", "session-ended")


async def _show(visit: Visit, errors: dict[str, str] | None = None, *, status: int = 200) -> Response:
    assert visit.session is not None
    return await visit.render(
        "account.html",
        status,
        user=visit.session.user,
        current=visit.session.id,
        sessions=await visit.stentor.access.sessions.of_user(visit.caller, visit.caller.id),
        roles=ROLES,
        errors=errors or {},
    )
