"""One request for a page: who asks, what they may, what they filled in, and how it is answered."""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from stentor.access.caller import Caller
from stentor.access.scopes import Scope
from stentor.access.sessions import UserSession
from stentor.config import Config
from stentor.dashboard.cookies import Cookies
from stentor.dashboard.counting import Counts
from stentor.dashboard.form import NOTHING, Form
from stentor.dashboard.notices import SAID
from stentor.dashboard.once import FIELD, OnceForms
from stentor.dashboard.templates import Templates
from stentor.runtime.preview import Preview
from stentor.runtime.stentor import Stentor
from stentor.store.along import Along
from stentor.store.campaigns import new_id

T = TypeVar("T")
_ID = re.compile(r"[0-9a-z]{16}")


@dataclass(slots=True)
class Deed:
    """What became of an action, as far as its answer doesn't show it: for the log of who did what."""

    about: str = ""
    """What it was done to; empty: to what the path names."""
    detail: str = ""
    """What else the log says of it."""
    refusal: str = ""
    """Why it was not done, although the next page is shown."""
    nothing: bool = False
    """Whether nothing was asked for that the log tells of, such as one more row in a form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """What a page's function is given."""

    stentor: Stentor
    config: Config
    templates: Templates
    cookies: Cookies
    request: Request
    session: UserSession | None
    """None: nobody is signed in."""
    token: str
    """What forms are bound to: the session's cookie, or that of a browser in which nobody is signed in."""
    form: Form = NOTHING
    """What was filled in; empty if the page is only looked at."""
    counts: Counts[Preview]
    """The checks of drafts that are under way in this process."""
    forms: OnceForms
    """What forms that count once have made in this process."""
    now: float
    """Epoch seconds."""
    deed: Deed = field(default_factory=Deed)
    """What the page's function says of what it did."""
    nonce: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    """Of this answer: which scripts may run."""

    @property
    def caller(self) -> Caller:
        """Who is signed in. Only for pages that need that."""
        assert self.session is not None
        return self.session.caller

    @property
    def is_fragment(self) -> bool:
        """Whether a part of a page is asked for, by htmx."""
        return self.request.headers.get("hx-request") == "true"

    def filled_in(self, form: Form) -> Visit:
        """The same with what was filled in."""
        return replace(self, form=form)

    def may(self, scope: str) -> bool:
        """Whether whoever asks may do what needs this scope."""
        return self.session is not None and self.session.caller.scope.covers(Scope(scope))

    def query(self, name: str) -> str:
        """A parameter of the address; empty if it isn't there."""
        return self.request.query_params.get(name, "").strip()

    async def render(self, template: str, status: int = 200, **values: Any) -> Response:
        """A page, or a part of one.

        Args:
            values: what the template shows.
        """
        access = self.stentor.access
        given = {
            "visit": self,
            "may": self.may,
            "nonce": self.nonce,
            "csrf": await access.csrf.token(self.token),
            "said": SAID.get(self.query("said"), ""),
            "now": self.now,
            "once": secrets.token_urlsafe(16),
            **values,
        }
        return Response(self.templates.render(template, given), status, media_type="text/html")

    async def once(self, make: Callable[[Along[Any] | None], Awaitable[T]]) -> T | None:
        """Do what a form asks for, once, however often it is clicked: the form has a field `once`. See `OnceForms`."""
        return await self.forms.send(self.caller.id, self.request.url.path, self.form.get(FIELD), make)

    @property
    def reserved(self) -> str:
        """The id of the campaign that a form is to make: the form's own, so that a second click makes no second one."""
        given = self.form.get("id")
        return given if _ID.fullmatch(given) else new_id(self.now)

    def go(self, path: str, said: str | None = None, **query: str) -> Response:
        """Send the browser on, after something was done.

        Args:
            said: which of `notices.SAID` the next page begins with.
        """
        return self.send_on(with_query(path, {**({} if said is None else {"said": said}), **query}))

    def send_on(self, address: str) -> Response:
        """Send the browser to an address."""
        if self.is_fragment:
            return Response(None, 204, {"HX-Redirect": address})
        return RedirectResponse(address, 303)


def with_query(path: str, query: Mapping[str, str]) -> str:
    """A path of this site with parameters."""
    return f"{path}?{urlencode(query)}" if query else path
