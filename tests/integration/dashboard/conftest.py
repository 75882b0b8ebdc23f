"""A dashboard over a rehearsed Stentor, and somebody with a browser without eyes: it opens pages and sends forms."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest

from stentor.access.caller import local_caller
from stentor.access.scopes import Scope
from stentor.access.users import User
from stentor.api.meter import ApiMeter
from stentor.config import Config
from stentor.dashboard.cookies import SESSION
from stentor.runtime.stentor import Stentor
from stentor.service.app import application
from tests.integration.runtime.rehearsal import Facts, providers, rehearse

PASSWORD = "an owl reads at noon"
HOST = "https://push.example.com"
_TOKEN = re.compile(r'name="csrf" value="([^"]+)"')


@pytest.fixture(scope="session")
def facts() -> Iterator[Facts]:
    with providers() as found:
        yield found


@pytest.fixture
def config(tmp_path: Path, facts: Facts, request: pytest.FixtureRequest) -> Config:
    """Its parameter: settings of the API."""
    api = getattr(request, "param", "rate = 100_000")
    return rehearse(tmp_path, facts, more=f"\n[api]\n{api}\n")


@pytest.fixture
async def stentor(config: Config) -> AsyncIterator[Stentor]:
    async with Stentor(config) as found:
        yield found


class Browser:
    """Keeps cookies and follows redirects, as browsers do."""

    def __init__(self, stentor: Stentor, transport: httpx.AsyncBaseTransport) -> None:
        self.stentor = stentor
        self._transport = transport
        self.client = httpx.AsyncClient(transport=transport, base_url=HOST, follow_redirects=True)

    async def open(self, path: str, **query: str) -> httpx.Response:
        return await self.client.get(path, params=query or None)

    async def fragment(self, path: str, **query: str) -> httpx.Response:
        """A part of a page, as htmx asks for it."""
        return await self.client.get(path, params=query or None, headers={"HX-Request": "true"})

    async def post(self, path: str, *, follow: bool = True, **fields: Any) -> httpx.Response:
        return await self.client.post(path, data=fields, follow_redirects=follow)

    async def submit(self, page: httpx.Response, path: str, *, follow: bool = True, **fields: Any) -> httpx.Response:
        """Send a form that is on a page."""
        return await self.post(path, follow=follow, csrf=self.token(page), **fields)

    @staticmethod
    def token(page: httpx.Response) -> str:
        found = _TOKEN.search(page.text)
        assert found is not None, page.text
        return unescape(found[1])

    async def add_user(self, name: str, role: Scope) -> User:
        """With a password."""
        users = self.stentor.access.users
        user = await users.add(local_caller(), name, role)
        return await users.set_password(local_caller(), user.id, PASSWORD)

    async def sign_in(self, name: str, role: Scope) -> User:
        """As a user who is made for it, without a password: to hash one takes long."""
        user = await self.stentor.access.users.add(local_caller(), name, role)
        opened = await self.stentor.access.sessions.begin(user)
        self.client.cookies.set(SESSION, opened.token)
        return user

    @asynccontextmanager
    async def another(self) -> AsyncIterator[Browser]:
        """Another one, of somebody else."""
        browser = Browser(self.stentor, self._transport)
        async with browser.client:
            yield browser


@pytest.fixture
async def browser(stentor: Stentor, config: Config) -> AsyncIterator[Browser]:
    app = application(stentor, config, ApiMeter(), asyncio.Event())
    found = Browser(stentor, httpx.ASGITransport(app=app, raise_app_exceptions=True))
    async with found.client:
        yield found
