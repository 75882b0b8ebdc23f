"""Server-sent events: the whole state first, what changes, an end; many watchers, one look."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from stentor.access.caller import local_caller
from stentor.access.scopes import Scope
from stentor.api import streams as module
from stentor.api.operations import events as operations
from stentor.runtime.stentor import Stentor
from tests.integration.api.conftest import DRAFT, Service
from tests.integration.api.test_operations import problem


class Told:
    """What an event stream sent, piece by piece, as a client of the protocol reads it."""

    def __init__(self, pieces: Any) -> None:
        self._pieces = pieces

    async def next(self) -> tuple[str, int, Any]:
        """Kind, id and data of the next event."""
        while True:
            block = (await anext(self._pieces)).decode()
            fields = dict(line.split(": ", 1) for line in block.strip().splitlines() if not line.startswith(":"))
            if "event" in fields:
                return fields["event"], int(fields["id"]), json.loads(fields["data"])


async def everybody() -> bool:
    """Whoever watches may."""
    return True


async def watch(stentor: Stentor, campaign: str | None, stop: asyncio.Event | None = None) -> Told:
    events, stop = stentor.events(campaign), stop or asyncio.Event()
    return Told(module._pieces(events, stop, "somebody", operations._encoded, everybody))


async def test_a_campaign_is_watched_to_its_end(service: Service, stentor: Stentor) -> None:
    made = await service.made("POST", "/campaigns?start=true", DRAFT, status=201)
    running = asyncio.create_task(stentor.roles.run(made["id"]))
    answer = await service.ask("GET", f"/campaigns/{made['id']}/events")
    await running
    assert answer.headers["content-type"].startswith("text/event-stream")
    blocks = [block for block in answer.text.split("\n\n") if "event: " in block]
    kinds = [block.splitlines()[0].removeprefix("event: ") for block in blocks]
    assert kinds[0] == "snapshot"
    assert kinds[-2:] == ["report", "end"]
    ids = [int(block.splitlines()[1].removeprefix("id: ")) for block in blocks]
    assert ids == sorted(ids)
    first = json.loads(blocks[0].splitlines()[2].removeprefix("data: "))
    assert first["campaign"]["id"] == made["id"]
    assert problem(await service.ask("GET", "/campaigns/nosuch/events")) == "not-found"


async def test_the_first_event_is_whole_whenever_one_connects(service: Service, stentor: Stentor) -> None:
    made = await service.made("POST", "/campaigns?start=true", DRAFT, status=201)
    for _ in range(2):
        told = await watch(stentor, made["id"])
        kind, _, data = await told.next()
        assert (kind, data["campaign"]["state"]) == ("snapshot", "running")
        await told._pieces.aclose()
    await service.made("POST", f"/campaigns/{made['id']}/pause")
    told = await watch(stentor, None)
    kind, _, data = await told.next()
    assert (kind, data["campaigns"][made["id"]]["state"]) == ("campaigns", "paused")
    await service.made("POST", f"/campaigns/{made['id']}/resume")
    kind, _, data = await told.next()
    assert (kind, data["before"], data["state"]) == ("state", "paused", "running")
    await told._pieces.aclose()


async def test_silence_is_broken_and_a_stop_ends_it(
    service: Service, stentor: Stentor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HEARTBEAT", 0.01)
    made = await service.made("POST", "/campaigns?start=true", DRAFT, status=201)
    stop = asyncio.Event()
    pieces = module._pieces(stentor.events(made["id"]), stop, "somebody", operations._encoded, everybody)
    seen = [await anext(pieces) for _ in range(200)]
    assert b": still here\n\n" in seen
    stop.set()
    async for _ in pieces:
        pass
    assert not module._watchers


async def test_who_leaves_is_forgotten(service: Service, stentor: Stentor) -> None:
    made = await service.made("POST", "/campaigns?start=true", DRAFT, status=201)
    watchers = [await watch(stentor, made["id"]) for _ in range(20)]
    for each in watchers:
        await each.next()
    reading = [asyncio.create_task(each.next()) for each in watchers]
    await asyncio.sleep(0)
    for task in reading:
        task.cancel()
    await asyncio.gather(*reading, return_exceptions=True)
    for each in watchers:
        await each._pieces.aclose()
    assert not module._watchers
    while stentor._events._hubs:  # noqa: ASYNC110 - the last of them leaves by itself
        await asyncio.sleep(0.01)


async def test_there_is_an_end_to_how_many_may_watch(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MOST_WATCHERS", "MOST_OF_ONE"):
        with monkeypatch.context() as few:
            few.setattr(module, name, 0)
            answer = await service.ask("GET", "/events")
            assert (answer.status_code, problem(answer)) == (429, "too-many-requests")
    head = await service.ask("HEAD", "/events")
    assert head.status_code == 200
    assert head.headers["content-type"].startswith("text/event-stream")
    assert not module._watchers


@pytest.mark.parametrize("path", ["/events", "/campaigns/{id}/events"])
async def test_a_revoked_key_watches_no_longer(
    service: Service, stentor: Stentor, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(module, "HEARTBEAT", 0.01)
    monkeypatch.setattr(module, "CHECKED_EVERY", 0.01)
    made = await service.made("POST", "/campaigns?start=true", DRAFT, status=201)
    key = await stentor.access.keys.create(local_caller(), "watcher", Scope.VIEW)
    headers = {"Authorization": f"Bearer {key.text}"}
    watching = asyncio.create_task(service.anybody.get(f"/v1{path.format(**made)}", headers=headers))
    while not module._watchers:  # noqa: ASYNC110 - the stream begins by itself
        await asyncio.sleep(0.01)
    assert not watching.done()
    await stentor.access.keys.revoke(local_caller(), key.key.id)
    await asyncio.wait_for(watching, 60)
    assert not module._watchers
