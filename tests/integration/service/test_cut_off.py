"""An export that cannot be ended is cut off: its client sees that it is not whole, and the log has one line."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from stentor.access.caller import local_caller
from stentor.access.scopes import Scope
from stentor.api import cutting
from stentor.audience.contract import Selection
from stentor.config import Config
from stentor.errors import StoreUnavailable
from stentor.model import Message
from stentor.planning.content import Content
from stentor.recording.recipients import RecipientShape
from stentor.runtime.doors import open_door
from stentor.runtime.draft import Draft
from stentor.runtime.outcomes import Outcomes
from stentor.runtime.stentor import Stentor
from stentor.service.process import serve

SOON = 60.0
"""Seconds within which what a test waits for must happen."""


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config.model_validate({"store": {"url": f"sqlite:///{tmp_path / 'stentor.db'}"}})


class Rows:
    """An export of a row, and of what comes after that."""

    def __init__(self) -> None:
        self.sent = asyncio.Event()
        self.fails = False

    async def pages(self, *_: Any, **__: Any) -> AsyncIterator[Sequence[RecipientShape]]:
        self.sent.set()
        if self.fails:
            raise StoreUnavailable("the store's database cannot be reached")
        await asyncio.Event().wait()
        yield []


@pytest.mark.parametrize("fails", [False, True], ids=["stopped", "no store"])
async def test_an_export_is_cut_off(
    config: Config, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, fails: bool
) -> None:
    rows, stop, ready = Rows(), asyncio.Event(), asyncio.Event()
    rows.fails = fails
    monkeypatch.setattr(Outcomes, "recipients", rows.pages)
    monkeypatch.setattr(cutting, "END_WITHIN", 0.1)
    async with Stentor(config) as stentor:
        key = (await stentor.access.keys.create(local_caller(), "tests", Scope.ADMIN)).text
        draft = Draft(Content(message=Message(title="News")), Selection(source="registry"))
        made = await stentor.campaigns.create(draft, count=False)
    caplog.set_level(logging.WARNING)
    with open_door("127.0.0.1:0") as door:
        serving = asyncio.create_task(serve(config, stop, doors=[door], tell=lambda _: ready.set()))
        await ready.wait()
        try:
            broken = await asyncio.wait_for(_export(door, key, made.id, rows, stop), SOON)
        finally:
            stop.set()
            await asyncio.wait_for(serving, SOON)
    assert isinstance(broken, httpx.RemoteProtocolError | httpx.ReadError), "it would look whole"
    lines = [each for each in caplog.records if each.levelno >= logging.WARNING]
    why = "the store's database cannot be reached" if fails else "this process stops"
    path = f"/v1/campaigns/{made.id}/recipients/export"
    assert [each.getMessage() for each in lines] == [f"{path} was cut off before its end: {why}"]
    assert not any(each.exc_info for each in lines)


async def _export(door: socket.socket, key: str, campaign: str, rows: Rows, stop: asyncio.Event) -> Exception:
    """What an export ends with, of whose process it is said that it stops as soon as there is a first row."""
    url = "http://{}:{}".format(*door.getsockname())
    headers = {"Authorization": f"Bearer {key}", "Accept-Encoding": "identity"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=SOON) as client:
        path = f"/v1/campaigns/{campaign}/recipients/export?format=csv"
        try:
            async with client.stream("GET", path) as answer:
                assert answer.status_code == 200
                await rows.sent.wait()
                if not rows.fails:
                    stop.set()
                async for _ in answer.aiter_raw():
                    pass
        except httpx.TransportError as error:
            return error
    raise AssertionError("the export ended as if it was whole")
