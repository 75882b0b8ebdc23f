"""The service itself, on a port of this machine, and a network before it that fails on request."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from stentor.access.caller import local_caller
from stentor.access.scopes import Scope
from stentor.client import BlockingClient, Client
from stentor.client.fields import Audience, MessageFile
from stentor.config import Config
from stentor.runtime.stentor import Stentor
from stentor.service.process import serve
from stentor.testing.proxy import Proxy
from tests.integration.runtime.rehearsal import AUDIENCE, Facts, change, providers, rehearse

PHONES = 40
MESSAGE: MessageFile = {"title": "News", "ttl": 3600}
USERS: Audience = {"source": AUDIENCE}


@pytest.fixture(scope="session")
def facts() -> Iterator[Facts]:
    with providers() as found:
        yield found


@pytest.fixture
def config(tmp_path: Path, facts: Facts) -> Config:
    found = rehearse(tmp_path, facts, PHONES, more="\n[api]\nrate = 100_000\n")
    change(tmp_path, "UPDATE devices SET platform = NULL WHERE id <= 10")
    return found


@dataclass(frozen=True)
class Served:
    """A service that answers requests."""

    stentor: Stentor
    """Of the same store: for keys, and to send."""
    proxy: Proxy
    key: str

    @property
    def url(self) -> str:
        """Through the network that fails on request."""
        return f"http://127.0.0.1:{self.proxy.port}"

    def client(self, key: str | None = None, patience: float = 60.0) -> Client:
        return Client(self.url, key or self.key, patience=patience)

    def blocking_client(self) -> BlockingClient:
        return BlockingClient(self.url, self.key)

    async def sent(self) -> str:
        """The id of a campaign that has ended. Ten of its recipients couldn't be served."""
        async with self.client() as client:
            made = await client.campaigns.create(message=MESSAGE, audience=USERS, start=True)
        await self.stentor.roles.run(made.id)
        return made.id


@pytest.fixture
async def served(config: Config) -> AsyncIterator[Served]:
    stop, ready = asyncio.Event(), asyncio.Event()
    with socket.create_server(("127.0.0.1", 0)) as door:
        async with (
            Stentor(config) as stentor,
            Proxy("127.0.0.1", door.getsockname()[1]) as proxy,
            asyncio.TaskGroup() as group,
        ):
            group.create_task(serve(config, stop, doors=[door], tell=lambda _: ready.set()))
            await ready.wait()
            key = await stentor.access.keys.create(local_caller(), "tests", Scope.ADMIN)
            yield Served(stentor, proxy, key.text)
            stop.set()
