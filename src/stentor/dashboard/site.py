"""From pages to routes: who is signed in, what they may, whether a form is one of ours, and what is answered.

Rules: a page that its reader may not see is refused here, not only left out of the menu. A form counts only with the
token that the page had. Whatever goes wrong is answered by a page that says what to do. No page may be framed, run a
script that isn't ours, or load anything from elsewhere.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from stentor.access.log import DONE, REFUSED
from stentor.access.sessions import UserSession
from stentor.api import problems
from stentor.api.limits import RequestLimits
from stentor.api.meter import ApiMeter
from stentor.api.problems import ProblemAnswer
from stentor.api.slashes import id_of
from stentor.api.streams import EVENT_STREAM
from stentor.config import Config
from stentor.dashboard.assets import Assets
from stentor.dashboard.cookies import BROWSER, SESSION, Cookies
from stentor.dashboard.counting import Counts
from stentor.dashboard.form import read_form
from stentor.dashboard.once import OnceForms
from stentor.dashboard.page import DashboardPage
from stentor.dashboard.templates import Templates
from stentor.dashboard.visit import Visit
from stentor.errors import StentorError
from stentor.runtime.preview import Preview
from stentor.runtime.stentor import Stentor

logger = logging.getLogger(__name__)

SIGN_IN = "/sign-in"
TOKEN = "csrf"
"""The field of a form that shows that it is one of ours."""
HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Dashboard:
    """Answers the requests for pages of one process."""

    def __init__(self, stentor: Stentor, config: Config, pages: Sequence[DashboardPage], meter: ApiMeter) -> None:
        self._stentor = stentor
        self._config = config
        self._pages = pages
        self._meter = meter
        self._assets = Assets()
        self._templates = Templates(self._assets)
        self._limits = RequestLimits(config.api.rate)
        self._cookies = Cookies(config.api)
        self._counts: Counts[Preview] = Counts()
        self._forms = OnceForms(stentor.replies)

    def routes(self) -> list[Route]:
        """A route for each path."""
        by_path: dict[str, list[DashboardPage]] = {}
        for each in self._pages:
            by_path.setdefault(each.path, []).append(each)
        fixed_first = sorted(by_path.items(), key=lambda item: item[0].count("{"))
        routes = [
            Route(path, self._endpoint({each.method: each for each in found}), methods=[each.method for each in found])
            for path, found in fixed_first
        ]
        return [self._assets.route(), *routes]

    async def not_found(self, request: Request, error: Exception) -> Response:
        """For paths that lead nowhere, and for forms where there is none."""
        visit = self._nobody(request)
        if isinstance(error, HTTPException) and error.status_code == 405:
            said, headers = f"{request.method} cannot be used here.", dict(error.headers or {})
            problem = ProblemAnswer(problems.METHOD_NOT_ALLOWED, said, headers=headers)
        else:
            problem = ProblemAnswer(problems.NOT_FOUND, f"There is nothing at {request.url.path}.")
        return self._finish(visit, self._tell(visit, problem))

    def _endpoint(self, by_method: Mapping[str, DashboardPage]) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            return await self._respond(by_method["GET" if request.method == "HEAD" else request.method], request)

        return endpoint

    async def _respond(self, page: DashboardPage, request: Request) -> Response:
        began = time.perf_counter()
        visit = self._nobody(request)
        try:
            visit = await self._visit(request)
            response = await self._answer(page, visit)
        except asyncio.CancelledError:
            if not request.app.state.stop.is_set():
                raise
            response = self._tell(visit, ProblemAnswer(problems.UNAVAILABLE, "This process stops just now."))
        except ProblemAnswer as problem:
            response = self._tell(visit, problem)
        except StentorError as error:
            told = problems.problem_of(error)
            if told.kind.status >= 500:
                logger.warning("%s: %s", page.path, error)
            response = self._tell(visit, told)
        except Exception:
            logger.exception("%s failed (request %s)", page.path, request.state.request_id)
            said = f"Something failed. The log says more about it, under {request.state.request_id}."
            response = self._tell(visit, ProblemAnswer(problems.INTERNAL, said))
        self._meter.answered(f"{page.method} {page.path}", response.status_code, time.perf_counter() - began)
        return self._finish(visit, response)

    # -- who asks -----------------------------------------------------------------------------------------------------

    def _nobody(self, request: Request) -> Visit:
        """A visit of somebody who isn't signed in, or of whom that isn't known."""
        token = self._cookies.read(request, BROWSER) or secrets.token_urlsafe(32)
        return self._made(request, None, token)

    async def _visit(self, request: Request) -> Visit:
        """Raises: StoreUnavailable."""
        cookie = self._cookies.read(request, SESSION)
        session = await self._stentor.access.sessions.find(cookie) if cookie else None
        return self._nobody(request) if session is None else self._made(request, session, cookie)

    def _made(self, request: Request, session: UserSession | None, token: str) -> Visit:
        return Visit(
            stentor=self._stentor,
            config=self._config,
            templates=self._templates,
            cookies=self._cookies,
            request=request,
            session=session,
            token=token,
            counts=self._counts,
            forms=self._forms,
            now=time.time(),
        )

    # -- what is answered ---------------------------------------------------------------------------------------------

    async def _answer(self, page: DashboardPage, visit: Visit) -> Response:
        request = visit.request
        if page.scope is not None and visit.session is None:
            if page.streams:
                raise ProblemAnswer(problems.UNAUTHENTICATED, "You are not signed in any more. Sign in again.")
            return self._to_sign_in(page, visit)
        if visit.session is not None and not self._limits.ask(visit.session.user.id).allowed:
            said = "You ask for more pages a second than this server allows. Wait for a moment."
            raise ProblemAnswer(problems.TOO_MANY, said, headers={"Retry-After": "1"})
        if page.scope is not None:
            visit.caller.require(page.scope)
        if page.method == "POST":
            visit = visit.filled_in(await read_form(request))
            if not await self._stentor.access.csrf.holds(visit.token, visit.form.get(TOKEN)):
                said = "This form is too old, or was made for somebody else. Load the page again, and repeat it."
                raise ProblemAnswer(problems.FORBIDDEN, said)
        if page.streams and request.method == "HEAD":
            return Response(None, 200, media_type=EVENT_STREAM)
        arguments = {name: id_of(request.path_params[name]) for name in page.path_names}
        try:
            response = await page.run(visit, **arguments)
        except (ProblemAnswer, StentorError) as error:
            await self._note(page, visit, str(error))
            raise
        failed = "" if response.status_code < 400 else "What was asked for could not be done."
        await self._note(page, visit, visit.deed.refusal or failed)
        return response

    async def _note(self, page: DashboardPage, visit: Visit, refusal: str) -> None:
        """Tell the log of who did what."""
        if page.action is None or visit.session is None or visit.deed.nothing:
            return
        about = visit.deed.about or id_of(next(iter(visit.request.path_params.values()), ""))
        outcome = REFUSED if refusal else DONE
        detail = refusal or visit.deed.detail
        await self._stentor.access.log.record(visit.caller, page.action, about, outcome=outcome, detail=detail)

    def _to_sign_in(self, page: DashboardPage, visit: Visit) -> Response:
        """Send somebody to sign in, and from there to the page that was asked for; not to what a form would do."""
        url = visit.request.url
        asked = url.path + (f"?{url.query}" if url.query else "")
        back = {"back": asked} if page.method == "GET" and not visit.is_fragment and asked != "/" else {}
        return visit.go(SIGN_IN, **back)

    def _tell(self, visit: Visit, problem: ProblemAnswer) -> Response:
        """A problem as a page, or as the part of one that htmx puts in its place."""
        template = "problem_fragment.html" if visit.is_fragment else "problem.html"
        shown = {"problem": problem.document, "signed_in": visit.session is not None}
        text = self._templates.render(template, shown)
        return Response(text, problem.kind.status, dict(problem.headers), media_type="text/html")

    def _finish(self, visit: Visit, response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        response.headers["Content-Security-Policy"] = policy(visit.nonce)
        if visit.session is None and not self._cookies.read(visit.request, BROWSER):
            self._cookies.set(response, BROWSER, visit.token)
        return response


def policy(nonce: str) -> str:
    """What a page may do (CSP level 3): run our scripts, use our styles, and speak to us alone."""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src 'nonce-{nonce}'",
            "style-src 'self'",
            "img-src 'self'",
            "connect-src 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types htmx",
        )
    )
