"""The dashboard's cookies: of this site alone, out of scripts' reach, and over https alone where there is https."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from stentor.config import ApiConfig

SESSION = "stentor_session"
"""Who is signed in."""
BROWSER = "stentor_browser"
"""A browser in which nobody is signed in: what the form for that is bound to."""
JOURNEY = "stentor_journey"
"""A sign-in that is under way at an OpenID provider."""
SECURE = "__Host-"
"""What browsers accept only for this very host, over https (RFC 6265bis, 4.1.3.2)."""
LONGEST = 4096


class Cookies:
    """Reads and writes them."""

    def __init__(self, settings: ApiConfig) -> None:
        self.secure = settings.is_https
        """Whether people reach the dashboard over https."""

    def name(self, cookie: str) -> str:
        """What a browser calls it."""
        return SECURE + cookie if self.secure else cookie

    def read(self, request: Request, cookie: str) -> str:
        """Empty if there is none."""
        found = request.cookies.get(self.name(cookie), "")
        return found if len(found) <= LONGEST else ""

    def set(self, response: Response, cookie: str, value: str, *, seconds: int | None = None) -> None:
        """Args:
        seconds: for which it is kept; None: until the browser is closed.
        """
        response.set_cookie(
            self.name(cookie), value, max_age=seconds, path="/", secure=self.secure, httponly=True, samesite="lax"
        )

    def forget(self, response: Response, cookie: str) -> None:
        response.delete_cookie(self.name(cookie), path="/", secure=self.secure, httponly=True, samesite="lax")
