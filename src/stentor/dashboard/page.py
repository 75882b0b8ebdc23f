"""What a page of the dashboard is: one description, of which its route and its checks are made.

It is made of a function that takes a `Visit` and what is in the path.

Example:
    pages = Pages()

    @pages.get("/campaigns/{campaign}", Scope.VIEW)
    async def show_campaign(visit: Visit, campaign: str) -> Response:
        return visit.render("campaign.html", campaign=await visit.stentor.campaigns.get(campaign))

    @pages.post("/campaigns/{campaign}/pause", Scope.SEND, action="campaign.pause")
    async def pause(visit: Visit, campaign: str) -> Response:
        await visit.stentor.campaigns.pause(campaign)
        return visit.go(f"/campaigns/{campaign}", "paused")
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeVar

from starlette.responses import Response

from stentor.access.scopes import Scope

F = TypeVar("F", bound=Callable[..., Awaitable[Response]])
_IN_PATH = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class DashboardPage:
    """See this module."""

    method: Literal["GET", "POST"]
    path: str
    scope: Scope | None
    """None: anybody may, signed in or not."""
    action: str | None
    """What the log of who did what calls it; None: it changes nothing, or whoever does it writes the log itself."""
    path_names: tuple[str, ...]
    streams: bool = False
    """Whether it is a stream of events. A script asks for it: it is refused by a status, and never sent elsewhere."""
    run: Callable[..., Awaitable[Response]]


class Pages:
    """The pages of one module, in the order in which they are declared."""

    def __init__(self) -> None:
        self._all: list[DashboardPage] = []

    def __iter__(self) -> Iterator[DashboardPage]:
        return iter(self._all)

    def get(self, path: str, scope: Scope | None) -> Callable[[F], F]:
        """A page that shows something."""
        return self._add("GET", path, scope, None)

    def stream(self, path: str, scope: Scope) -> Callable[[F], F]:
        """Server-sent events for a page."""
        return self._add("GET", path, scope, None, streams=True)

    def post(self, path: str, scope: Scope | None, *, action: str | None = None) -> Callable[[F], F]:
        """What a form does. It is refused unless it comes from one of our pages (`access.csrf`)."""
        return self._add("POST", path, scope, action)

    def _add(
        self,
        method: Literal["GET", "POST"],
        path: str,
        scope: Scope | None,
        action: str | None,
        *,
        streams: bool = False,
    ) -> Callable[[F], F]:
        def add(run: F) -> F:
            names = tuple(_IN_PATH.findall(path))
            self._all.append(
                DashboardPage(
                    method=method, path=path, scope=scope, action=action, path_names=names, streams=streams, run=run
                )
            )
            return run

        return add
