"""An API over a rehearsed Stentor, without a server around it: requests go in as they would from one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from stentor.access.caller import local_caller
from stentor.access.scopes import Scope
from stentor.api.meter import ApiMeter
from stentor.config import Config
from stentor.runtime.stentor import Stentor
from stentor.service.app import application
from tests.integration.runtime.rehearsal import AUDIENCE, Facts, providers, rehearse

DRAFT: dict[str, Any] = {"message": {"title": "News", "ttl": 3600}, "audience": {"source": AUDIENCE}}


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


@dataclass(frozen=True)
class Service:
    """An API, and clients of it."""

    stentor: Stentor
    meter: ApiMeter
    keys: dict[Scope, str]
    anybody: httpx.AsyncClient

    def headers(self, scope: Scope = Scope.ADMIN) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.keys[scope]}"}

    async def ask(
        self, method: str, path: str, body: Any = None, *, scope: Scope = Scope.ADMIN, **headers: str
    ) -> httpx.Response:
        """Headers' names are given with underscores."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.anybody.request(method, f"/v1{path}", json=body, headers={**self.headers(scope), **named})

    async def made(self, method: str, path: str, body: Any = None, *, status: int = 200) -> Any:
        """The JSON of an answer that must be good."""
        answer = await self.ask(method, path, body)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None


@pytest.fixture
async def service(stentor: Stentor, config: Config) -> AsyncIterator[Service]:
    meter, stop = ApiMeter(), asyncio.Event()
    keys = {scope: (await stentor.access.keys.create(local_caller(), scope.value, scope)).text for scope in Scope}
    app = application(stentor, config.model_copy(), meter, stop)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=True)
    async with httpx.AsyncClient(transport=transport, base_url="http://push.example.com") as client:
        yield Service(stentor, meter, keys, client)
