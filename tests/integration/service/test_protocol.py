"""Clients that dawdle or send too much are hung up on, and others are answered meanwhile."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from stentor.access.caller import local_caller
from stentor.access.scopes import Scope
from stentor.api import bodies
from stentor.config import Config
from stentor.runtime.doors import open_door
from stentor.runtime.stentor import Stentor
from stentor.service import protocol
from stentor.service.process import serve
from tests.integration.api.test_operations import until_refused


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config.model_validate({"store": {"url": f"sqlite:///{tmp_path / 'stentor.db'}"}})


@pytest.fixture
async def door(config: Config) -> AsyncIterator[socket.socket]:
    """Where a service answers that runs in this process."""
    stop, ready = asyncio.Event(), asyncio.Event()
    with open_door("127.0.0.1:0") as opened:
        serving = asyncio.create_task(serve(config, stop, doors=[opened], tell=lambda _: ready.set()))
        await ready.wait()
        yield opened
        stop.set()
        await serving


async def connect(door: socket.socket) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(*door.getsockname())


@pytest.mark.parametrize("begun", [b"", b"GET /v1/openapi.json HTTP/1.1\r\nHost: x\r\n"], ids=["nothing", "half"])
async def test_who_does_not_get_to_a_request_is_hung_up_on(
    door: socket.socket, monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    monkeypatch.setattr(protocol, "ASK_WITHIN", 0.2)
    reader, writer = await connect(door)
    writer.write(begun)
    async with asyncio.timeout(30):
        assert await reader.read() == b""
    writer.close()


async def test_headers_have_a_limit(door: socket.socket) -> None:
    reader, writer = await connect(door)
    writer.write(b"GET /v1/openapi.json HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 200_000)
    async with asyncio.timeout(30):
        assert (await reader.readline()).startswith(b"HTTP/1.1 400")
    writer.close()


async def test_a_body_that_trickles_in_is_not_waited_for(
    config: Config, door: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "READ_WITHIN", 0.2)
    async with Stentor(config) as stentor:
        key = (await stentor.access.keys.create(local_caller(), "tests", Scope.ADMIN)).text
    reader, writer = await connect(door)
    head = f"POST /v1/campaigns HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Length: 100\r\n"
    writer.write(head.encode() + b"Content-Type: application/json\r\n\r\n{")
    async with asyncio.timeout(30):
        answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"/v1/problems/too-slow" in answer
    writer.close()


async def test_behind_a_proxy_made_up_keys_are_counted_by_the_address_that_it_tells(tmp_path: Path) -> None:
    api = {"listen": "127.0.0.1:0", "trusted_proxies": ["127.0.0.1"]}
    config = Config.model_validate({"store": {"url": f"sqlite:///{tmp_path / 'stentor.db'}"}, "api": api})
    stop, ready = asyncio.Event(), asyncio.Event()
    with open_door("127.0.0.1:0") as door:
        serving = asyncio.create_task(serve(config, stop, doors=[door], tell=lambda _: ready.set()))
        await ready.wait()
        url = "http://{}:{}".format(*door.getsockname())
        async with httpx.AsyncClient(base_url=url, headers={"Authorization": "Bearer x"}, timeout=60) as client:
            for client_address in ("198.51.100.7", "203.0.113.9"):
                told = {"X-Forwarded-For": client_address}
                answers = await until_refused(client, told)
                assert len(answers) > 20
        stop.set()
        await serving
