"""Somebody at a browser, and what must hold of every page that is looked at.

Rules: a page logs no error and violates no policy; axe finds nothing serious; no page scrolls sideways; all of that in
light and dark, on a wide screen and on a phone of 320 px.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from playwright.async_api import BrowserContext, ConsoleMessage, Page, expect

from stentor.dashboard.cookies import SESSION

IMAGES = Path(__file__).parents[2] / "docs" / "images"
PICTURES = "SCREENSHOTS"
"""The environment variable that asks for the pictures of the documentation."""
LARGEST = 150_000
"""Bytes that a picture may have."""
HEIGHT = 800
WIDTHS = (1280, 320)
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
SERIOUS = ("serious", "critical")
TELL_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", event =>
  console.error(`the policy was violated: ${event.effectiveDirective} ${event.blockedURI} ${event.sample}`));
"""
TOO_WIDE = """
[...document.querySelectorAll("body *")]
  .filter(each => each.getBoundingClientRect().right > innerWidth && !each.parentElement.closest(".scroll"))
  .map(each => each.outerHTML.slice(0, 100)).slice(-3)
"""


class Visitor:
    """One browser window with its own cookies, and what went wrong in it."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.context = context
        self.url = url
        self.wrong: list[str] = []
        """What the pages logged as errors."""

    async def prepare(self) -> None:
        """Before the first page is opened."""
        await self.context.add_init_script(TELL_VIOLATIONS)
        self.context.on("console", self._listen)
        self.context.on("weberror", lambda error: self.wrong.append(f"{error.error}"))

    def _listen(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.wrong.append(f"{urlsplit(message.page.url).path if message.page else ''}: {message.text}")

    async def tab(self, path: str = "/") -> Page:
        """Open a page in a new tab."""
        page = await self.context.new_page()
        await page.goto(self.url + path)
        return page

    async def sign_in(self, cookie: str) -> None:
        """Have the cookie of a session."""
        await self.context.add_cookies([{"name": SESSION, "value": cookie, "url": self.url, "httpOnly": True}])

    def expect(self, *parts: str) -> None:
        """Take errors with one of these in them for what they should be: somebody was refused, a process was killed."""
        self.wrong = [each for each in self.wrong if not any(part in each for part in parts)]

    def nothing_wrong(self) -> None:
        assert self.wrong == [], self.wrong

    async def look(self, page: Page) -> None:
        """See that a page is as every page must be."""
        found: list[str] = []
        for scheme in SCHEMES:
            await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            for width in WIDTHS:
                await page.set_viewport_size({"width": width, "height": HEIGHT})
                found += [f"{scheme}, {width} px: {each}" for each in await _faults(page, width)]
        await page.emulate_media(color_scheme="light", reduced_motion="reduce")
        await page.set_viewport_size({"width": WIDTHS[0], "height": HEIGHT})
        assert found == [], f"{urlsplit(page.url).path}: {found}"
        self.nothing_wrong()

    async def picture(self, page: Page, name: str, *, shows: re.Pattern[str] | str = "") -> None:
        """Take the documentation's picture of a page, once it shows something, if somebody asks for pictures."""
        if not os.environ.get(PICTURES):
            return
        await expect(page.get_by_role("main")).to_contain_text(shows)
        IMAGES.mkdir(exist_ok=True)
        file = IMAGES / f"{name}.png"
        await page.screenshot(path=file, animations="disabled")
        assert file.stat().st_size < LARGEST


async def _faults(page: Page, width: int) -> list[str]:
    found = []
    whole = await page.evaluate("document.documentElement.scrollWidth")
    if whole > width:
        found.append(f"the page is {whole} px wide: {await page.evaluate(TOO_WIDE)}")
    results: dict[str, Any] = (await Axe().run(page)).response
    for each in results["violations"]:
        if each["impact"] in SERIOUS:
            found += [f"{each['id']}: {node['html']}: {node['failureSummary']}" for node in each["nodes"]]
    return found
