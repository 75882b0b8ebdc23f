"""`stentor bench pages`: how long the server takes for each page of the dashboard, over a store as it is after years.

A page is asked for in this process, without a network: what is measured is the server's own time, its database's
included.
"""

from __future__ import annotations

import re
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop

from stentor.access.caller import local_caller
from stentor.access.scopes import Scope
from stentor.bench.filling import REASONS, fill
from stentor.config import Config
from stentor.counted import counted
from stentor.model import Message
from stentor.planning.content import Content
from stentor.runtime.stentor import Stentor
from stentor.store.database import Database

Scopes = MutableMapping[str, Any]
Application = Callable[[Scopes, Callable[[], Awaitable[Scopes]], Callable[[Scopes], Awaitable[None]]], Awaitable[None]]
"""What ASGI calls one."""
PLACES = (
    "/campaigns",
    "/campaigns?state=failed",
    "/campaigns?state=paused",
    "/campaigns/new",
    "/campaigns/{campaign}",
    "/campaigns/{campaign}/actions",
    "/campaigns/{campaign}/answer-times",
    "/campaigns/{campaign}/reasons",
    "/campaigns/{campaign}/failures",
    f"/campaigns/{{campaign}}/failures?reason={REASONS[1][0]}&dead=true",
    "/campaigns/{campaign}/explain?installation={installation}",
    "/campaigns/{campaign}/audit",
    "/campaigns/{campaign}/retry",
    "/installations",
    "/installations?dead=true",
    "/installations/{installation}",
    "/installations/{installation}/edit",
    "/installations/{installation}/delete",
    "/installations/{installation}/erase",
    "/templates",
    "/templates/{name}",
    "/templates/{name}?version=1",
    "/templates/{name}/delete",
    "/segments",
    "/segments/new",
    "/segments/{name}",
    "/segments/{name}/delete",
    "/lanes",
    "/lanes/drain",
    "/users",
    "/users/{user}",
    "/users/{user}/disable",
    "/keys",
    "/keys/{key}",
    "/keys/{key}/revoke",
    "/log",
    "/log?outcome=refused",
    "/account",
)
"""The pages, with what is put into their addresses."""
NAME = "sale"
"""Of a template and of a segment."""
FIRST = "/campaigns"
"""What is opened first, with its styles and scripts."""
_ASSET = re.compile(r'(?:href|src)="(/[^"]+\.(?:css|js|svg)[^"]*)"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What serves the pages."""

    open: Callable[[Stentor, Config], Application]
    cookie: str
    """The name of the cookie that says who is signed in."""


@dataclass(frozen=True, slots=True)
class Amounts:
    """How much the store holds."""

    campaigns: int
    installations: int
    failures: int
    """Of the newest campaign."""


def run(amounts: Amounts, times: int, site: Site, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure every page; `say` is told what is being measured.

    Args:
        times: how often each page is asked for.

    Returns: a JSON object, described in `bench/README.md`.

    Raises: RuntimeError: a page could not be shown.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stentor-bench-")))
        return uvloop.run(_run(f"sqlite:///{folder / 'store.db'}", amounts, times, site, say))


async def _run(url: str, amounts: Amounts, times: int, site: Site, say: Callable[[str], None]) -> dict[str, Any]:
    config = Config.model_validate({"store": {"url": url}})
    async with Stentor(config) as stentor:
        say(
            f"making {counted(amounts.campaigns, 'campaign')}, {counted(amounts.installations, 'installation')}"
            f" and {counted(amounts.failures, 'failure')}"
        )
        database = Database.open(url)
        try:
            campaign = await fill(
                database, many=amounts.campaigns, registered=amounts.installations, failed=amounts.failures
            )
        finally:
            await database.aclose()
        access, caller = stentor.access, local_caller()
        user = await access.users.add(caller, "bench", Scope.ADMIN)
        key = (await access.keys.create(caller, "bench", Scope.VIEW)).key
        browser = _Browser(site.open(stentor, config), f"{site.cookie}={(await access.sessions.begin(user)).token}")
        for title in ("Sale", "Big sale"):
            await stentor.templates.save(NAME, Content(message=Message(title=title)))
        await stentor.segments.save(NAME, "language in [de, en]")
        named = {"name": NAME, "campaign": campaign, "installation": "00000001", "user": user.id, "key": key.id}
        pages = {}
        for place in PLACES:
            say(f"asking for {place}")
            pages[place] = await browser.measure(place.format(**named), times)
        first = await browser.get(FIRST)
        assets = [await browser.get(each) for each in sorted(set(_ASSET.findall(first.decode())))]
        return {
            "campaigns": amounts.campaigns,
            "installations": amounts.installations,
            "failures": amounts.failures,
            "times": times,
            "first_load_bytes": len(first) + sum(map(len, assets)),
            "pages": pages,
        }


class _Browser:
    """Asks for pages, as somebody who is signed in."""

    def __init__(self, application: Application, cookie: str) -> None:
        self._application = application
        self._headers = [(b"host", b"localhost"), (b"cookie", cookie.encode())]

    async def measure(self, path: str, times: int) -> dict[str, Any]:
        """What the first time took, which reads templates and fills caches, and the times after it."""
        took, page = [], b""
        for _ in range(times + 1):
            began = time.perf_counter()
            page = await self.get(path)
            took.append(1000 * (time.perf_counter() - began))
        first, *others = took
        return {
            "first_ms": round(first, 2),
            "median_ms": round(statistics.median(others), 2),
            "slowest_ms": round(max(others), 2),
            "bytes": len(page),
        }

    async def get(self, path: str) -> bytes:
        """The body. Raises: RuntimeError: the page is not shown."""
        path, _, query = path.partition("?")
        scope: Scopes = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": self._headers,
            "client": ("127.0.0.1", 1),
            "server": ("localhost", 80),
        }
        status, parts = 0, []

        async def receive() -> Scopes:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Scopes) -> None:
            nonlocal status
            status = message.get("status", status)
            parts.append(message.get("body", b""))

        await self._application(scope, receive, send)
        if status != 200:
            raise RuntimeError(f"the page {path} cannot be measured: its status is {status}")
        return b"".join(parts)
