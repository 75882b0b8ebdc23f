"""A browser, a Stentor that it shows, and people who sit at it."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, ViewportSize, async_playwright, expect

from stentor.access.scopes import Scope
from tests.browser.visitor import HEIGHT, PICTURES, WIDTHS, Visitor
from tests.integration.runtime.rehearsal import Facts, providers
from tests.integration.service.server import Server, serving

NAMES = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 60_000
"""Milliseconds for which a page may take to show what is waited for; a busy machine is slow."""
PHONES = 120_000 if os.environ.get(PICTURES) else 400
"""In the audience: more on the documentation's pictures, so that they show what a campaign looks like."""
FAULTS = {"devices": {"unregistered": 0.05}}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests here share a browser, so they run on one event loop."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
            item.add_marker(pytest.mark.timeout(600))


@pytest.fixture(scope="session")
def executable() -> str:
    """Where the browser is. Without one, these tests are skipped; in continuous integration they fail."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        missing = "there is no Chromium: install it to test the dashboard (Debian, Ubuntu: apt install chromium)"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    return found


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium(executable: str) -> AsyncIterator[Browser]:
    """Chromium's own sandbox needs another user than root."""
    expect.set_options(timeout=PATIENCE)
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable, args=options, timeout=PATIENCE)
        yield browser
        await browser.close()


@pytest.fixture(scope="session")
def facts(executable: str) -> Iterator[Facts]:
    """What the simulators say of themselves. Nothing is started without a browser."""
    with providers() as found:
        yield found


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def server(facts: Facts, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """One for all tests: they leave users and campaigns behind. Some of its phones are gone."""
    async with httpx.AsyncClient(timeout=PATIENCE / 1000) as control:
        for each in facts.values():
            (await control.post(f"{each['control_url']}/faults", json=FAULTS)).raise_for_status()
    async with serving(tmp_path_factory.mktemp("server"), facts, PHONES, "serve") as found:
        yield found


@pytest_asyncio.fixture(loop_scope="session")
async def new_server(facts: Facts, tmp_path: Path) -> AsyncIterator[Server]:
    """One without users, that sends nothing."""
    async with serving(tmp_path, facts, 1, "worker", "api") as found:
        yield found


@pytest_asyncio.fixture(loop_scope="session")
async def visitors(chromium: Browser, server: Server) -> AsyncIterator[Visitors]:
    """Whoever comes to the server during a test. At its end, nothing may have gone wrong in any page."""
    async with AsyncExitStack() as stack:
        found = Visitors(chromium, server, stack)
        yield found
        for each in found.all:
            each.nothing_wrong()


class Visitors:
    """Opens a window for each."""

    def __init__(self, chromium: Browser, server: Server, stack: AsyncExitStack) -> None:
        self._chromium = chromium
        self._server = server
        self._stack = stack
        self.all: list[Visitor] = []

    async def anybody(self, url: str = "") -> Visitor:
        """Somebody who isn't signed in.

        Args:
            url: of another server than that of all tests.
        """
        size: ViewportSize = {"width": WIDTHS[0], "height": HEIGHT}
        context = await self._chromium.new_context(viewport=size, color_scheme="light", reduced_motion="reduce")
        await self._stack.enter_async_context(context)
        context.set_default_timeout(PATIENCE)
        visitor = Visitor(context, url or self._server.url)
        await visitor.prepare()
        self.all.append(visitor)
        return visitor

    async def somebody(self, role: Scope, name: str = "") -> Visitor:
        """A user of this role, signed in."""
        visitor = await self.anybody()
        token = await self._server.open_session(name or f"{role.value}-{secrets.token_hex(4)}", role)
        await visitor.sign_in(token)
        return visitor
