"""Signing in and out, and setting a password by a one-time link."""

from __future__ import annotations

from starlette.responses import Response

from stentor.access.oidc import TICKET_LASTS, is_local
from stentor.access.sessions import OpenedSession
from stentor.access.users import PATH as LINK
from stentor.access.users import OneTimeLink
from stentor.dashboard.cookies import BROWSER, JOURNEY, SESSION
from stentor.dashboard.page import Pages
from stentor.dashboard.visit import Visit
from stentor.errors import InvalidConfiguration, InvalidInput, LinkInvalid, SignInRefused, SignInUnavailable

pages = Pages()
HOME = "/"


@pages.get("/sign-in", None)
async def show_sign_in(visit: Visit) -> Response:
    if visit.session is not None:
        return visit.go(_local(visit.query("back")))
    return await _sign_in_page(visit)


@pages.post("/sign-in", None)
async def sign_in(visit: Visit) -> Response:
    name, password = visit.form.get("name"), visit.form.raw("password")
    previous = visit.cookies.read(visit.request, SESSION) or None
    address = visit.request.client.host if visit.request.client else None
    try:
        opened = await visit.stentor.access.sessions.sign_in(name, password, address=address, previous=previous)
    except SignInRefused as error:
        return await _sign_in_page(visit, str(error), status=403)
    return _signed_in(visit, opened, visit.form.get("back"))


@pages.get("/sign-in/provider", None)
async def sign_in_elsewhere(visit: Visit) -> Response:
    """Send somebody to the OpenID provider."""
    try:
        journey = await visit.stentor.access.oidc.begin(_local(visit.query("back")))
    except (SignInUnavailable, InvalidConfiguration) as error:
        return await _sign_in_page(visit, str(error), status=503)
    response = visit.send_on(journey.url)
    visit.cookies.set(response, JOURNEY, journey.ticket, seconds=int(TICKET_LASTS))
    return response


@pages.get("/sign-in/callback", None)
async def come_back(visit: Visit) -> Response:
    """Where the OpenID provider sends somebody back to."""
    ticket = visit.cookies.read(visit.request, JOURNEY)
    previous = visit.cookies.read(visit.request, SESSION) or None
    try:
        arrival = await visit.stentor.access.oidc.finish(ticket, visit.request.query_params, previous=previous)
    except SignInRefused as error:
        return await _sign_in_page(visit, str(error), status=403)
    except SignInUnavailable as error:
        return await _sign_in_page(visit, str(error), status=503)
    response = _signed_in(visit, arrival.opened, arrival.back)
    visit.cookies.forget(response, JOURNEY)
    return response


@pages.post("/sign-out", None)
async def sign_out(visit: Visit) -> Response:
    await visit.stentor.access.sessions.end(visit.cookies.read(visit.request, SESSION))
    response = visit.go("/sign-in", "signed-out")
    visit.cookies.forget(response, SESSION)
    return response


@pages.get(LINK + "{token}", None)
async def show_link(visit: Visit, token: str) -> Response:
    """What a one-time link is for. Looking at it doesn't use it up: mail programs open links before people do."""
    try:
        link = await visit.stentor.access.users.look_at_link(token)
    except LinkInvalid as error:
        return await visit.render("link_invalid.html", 404, error=str(error))
    return await _link_page(visit, link)


@pages.post(LINK + "{token}", None)
async def use_link(visit: Visit, token: str) -> Response:
    users = visit.stentor.access.users
    try:
        link = await users.look_at_link(token)
        problem = await _set_password(visit, link)
    except LinkInvalid as error:
        return await visit.render("link_invalid.html", 404, error=str(error))
    return await _link_page(visit, link, problem) if problem else visit.go("/sign-in", "password-set")


async def _set_password(visit: Visit, link: OneTimeLink) -> str:
    """What is wrong with what was filled in; empty: the password is set. Raises: LinkInvalid."""
    form = visit.form
    if form.raw("password") != form.raw("again"):
        return "The two passwords differ. Type the same one twice."
    try:
        await visit.stentor.access.users.use_link(link.token, form.raw("password"), name=form.get("name") or None)
    except InvalidInput as error:
        return str(error)
    return ""


async def _sign_in_page(visit: Visit, error: str = "", *, status: int = 200) -> Response:
    back = _local(visit.form.get("back") or visit.query("back"))
    issuer = visit.stentor.access.oidc.issuer
    name = visit.form.get("name")
    return await visit.render("sign_in.html", status, back=back, error=error, issuer=issuer, name=name)


async def _link_page(visit: Visit, link: OneTimeLink, error: str = "") -> Response:
    name = visit.form.get("name")
    return await visit.render("link.html", 422 if error else 200, link=link, error=error, name=name)


def _signed_in(visit: Visit, opened: OpenedSession, back: str) -> Response:
    response = visit.go(_local(back))
    visit.cookies.set(response, SESSION, opened.token, seconds=int(opened.session.ends_at - visit.now))
    visit.cookies.forget(response, BROWSER)
    return response


def _local(path: str) -> str:
    """A page of this site; the first one if it is another site's."""
    return path if is_local(path) else HOME
