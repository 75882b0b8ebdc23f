"""A request whose process is killed after it did what was asked, before it answered: repeated, it does nothing twice.

The answer is kept in the transaction of what was done, and so is what the log says.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from stentor.access.caller import local_caller
from stentor.access.log import ActionFilter
from stentor.config import Config
from stentor.runtime.stentor import Stentor
from stentor.store.database import Database
from tests.integration.api.conftest import DRAFT, Service
from tests.integration.api.test_operations import problem
from tests.integration.reporting.receivers import HttpReceiver, http_receiver
from tests.integration.runtime.rehearsal import Facts, rehearse

Cut = Callable[..., Awaitable[None]]


class Killed(BaseException):
    """As if the process was killed here."""


async def _die(*_: object, **__: object) -> None:
    raise Killed


@pytest.fixture
async def team() -> AsyncIterator[HttpReceiver]:
    """Where reports go to."""
    async with http_receiver() as found:
        yield found


@pytest.fixture
def config(tmp_path: Path, facts: Facts, team: HttpReceiver) -> Config:
    target = f'[reports.targets.team]\nurl = "json://127.0.0.1:{team.port}/hook"\n'
    return rehearse(tmp_path, facts, more=f"\n[api]\nrate = 100_000\n\n{target}")


@pytest.fixture
def cut(service: Service, stentor: Stentor, monkeypatch: pytest.MonkeyPatch) -> Cut:
    """Sends a request whose process is killed before it answers."""

    async def ask(path: str, body: Any = None, *, at: Any = None, name: str = "answer") -> None:
        with monkeypatch.context() as broken:
            broken.setattr(stentor.replies if at is None else at, name, _die)
            broken.setattr(stentor.replies, "give_back", _die)
            with pytest.raises(Killed):
                await service.ask("POST", path, body, Idempotency_Key="k")

    return ask


async def _logged(stentor: Stentor, about: str) -> list[tuple[str, str]]:
    found = await stentor.access.log.page(local_caller(), ActionFilter(object=about))
    return [(each.action, each.outcome) for each in found]


async def _again(service: Service, path: str, body: Any = None) -> httpx.Response:
    answer = await service.ask("POST", path, body, Idempotency_Key="k")
    assert answer.headers.get("idempotency-replayed") == "true", answer.text
    return answer


async def test_a_start_is_answered_as_it_would_have_been(service: Service, stentor: Stentor, cut: Cut) -> None:
    made = await service.made("POST", "/campaigns", DRAFT, status=201)
    path = f"/campaigns/{made['id']}"
    etag = (await service.ask("GET", path)).headers["etag"]
    await cut(f"{path}/start", {"hold": 600})
    again = await _again(service, f"{path}/start", {"hold": 600})
    assert (again.status_code, again.json()["state"]) == (200, "scheduled")
    assert again.headers["etag"] == (await service.ask("GET", path)).headers["etag"] != etag
    assert await _logged(stentor, made["id"]) == [("campaign.start", "done"), ("campaign.create", "done")]


async def test_a_start_that_was_taken_back_meanwhile_starts_nothing(service: Service, cut: Cut) -> None:
    made = await service.made("POST", "/campaigns", DRAFT, status=201)
    path = f"/campaigns/{made['id']}"
    await cut(f"{path}/start", {"hold": 600})
    await service.made("POST", f"{path}/unschedule")
    assert (await _again(service, f"{path}/start", {"hold": 600})).json()["state"] == "scheduled"
    assert (await service.made("GET", path))["state"] == "draft"


async def test_nor_does_one_that_was_made_in_the_same_call(service: Service, cut: Cut) -> None:
    later = {**DRAFT, "starts_at": time.time() + 86_400}
    await cut("/campaigns?start=true", later)
    (made,) = (await service.made("GET", "/campaigns"))["campaigns"]
    await service.made("POST", f"/campaigns/{made['id']}/unschedule")
    again = await _again(service, "/campaigns?start=true", later)
    assert (again.status_code, again.json()["id"]) == (201, made["id"])
    assert again.headers["location"] == f"/v1/campaigns/{made['id']}"
    assert (await service.made("GET", f"/campaigns/{made['id']}"))["state"] == "draft"


async def test_a_pause_that_somebody_ended_meanwhile_pauses_nothing(service: Service, cut: Cut) -> None:
    made = await service.made("POST", "/campaigns?start=true", {**DRAFT, "starts_at": time.time() + 86_400}, status=201)
    path = f"/campaigns/{made['id']}"
    await cut(f"{path}/pause")
    assert (await service.made("GET", path))["state"] == "paused"
    await service.made("POST", f"{path}/resume")
    assert (await _again(service, f"{path}/pause")).json()["state"] == "paused", "as the first would have said"
    assert (await service.made("GET", path))["state"] == "scheduled"


async def test_a_key_is_rolled_once(service: Service, stentor: Stentor, cut: Cut) -> None:
    made = await service.made("POST", "/keys", {"name": "shop"}, status=201)
    about = made["about"]["id"]
    await cut(f"/keys/{about}/roll", {"overlap": 0})
    mine = {"Authorization": f"Bearer {made['key']}"}
    again = await _again(service, f"/keys/{about}/roll", {"overlap": 0})
    assert (again.status_code, again.json()["key"], again.json()["about"]["id"]) == (200, None, about)
    assert [name for name, _ in await _logged(stentor, about)] == ["key.roll", "key.create"]
    assert (await service.anybody.get("/v1/me", headers=mine)).status_code == 401


async def test_a_link_is_made_once(service: Service, stentor: Stentor, cut: Cut) -> None:
    made = await service.made("POST", "/users", {"name": "ada"}, status=201)
    await cut(f"/users/{made['id']}/link")
    again = await _again(service, f"/users/{made['id']}/link")
    assert (again.status_code, again.json()["link"], again.json()["user"]["name"]) == (200, None, "ada")
    assert [name for name, _ in await _logged(stentor, made["id"])] == ["user.link", "user.add"]


async def test_a_user_who_is_let_in_again_stays_in(service: Service, cut: Cut) -> None:
    made = await service.made("POST", "/users", {"name": "ada"}, status=201)
    await cut(f"/users/{made['id']}/disable")
    await service.made("POST", f"/users/{made['id']}/enable")
    assert (await _again(service, f"/users/{made['id']}/disable")).json()["disabled_at"] is not None
    assert (await service.made("GET", f"/users/{made['id']}"))["disabled_at"] is None


async def test_of_two_that_do_the_same_one_does_it(
    service: Service, stentor: Stentor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One was thought to be gone while it still worked."""
    made = await service.made("POST", "/keys", {"name": "shop"}, status=201)
    path = f"/keys/{made['about']['id']}/roll"
    roll = stentor.access.keys.roll

    async def overtaken(*args: Any, **more: Any) -> Any:
        monkeypatch.setattr(stentor.access.keys, "roll", roll)
        expired = sa.text("UPDATE stentor_replies SET until = 0")
        await stentor._resources.database.write(lambda connection: connection.execute(expired))
        assert (await service.ask("POST", path, {}, Idempotency_Key="k")).status_code == 200
        return await roll(*args, **more)

    monkeypatch.setattr(stentor.access.keys, "roll", overtaken)
    late = await service.ask("POST", path, {}, Idempotency_Key="k")
    assert (late.status_code, problem(late)) == (409, "wrong-state")
    assert [name for name, _ in await _logged(stentor, made["about"]["id"])] == ["key.roll", "key.create"]


async def test_a_start_whose_commit_was_not_heard_of_has_started(
    service: Service, stentor: Stentor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The transaction is repeated, as after a connection that was lost while it was committed."""
    made = await service.made("POST", "/campaigns", DRAFT, status=201)
    write = Database.write

    async def twice(database: Database, change: Any) -> Any:
        await write(database, change)
        return await write(database, change)

    monkeypatch.setattr(Database, "write", twice)
    started = await stentor.campaigns.start(made["id"])
    assert started.state.value == "running"


async def test_a_test_report_is_sent_once(service: Service, stentor: Stentor, team: HttpReceiver, cut: Cut) -> None:
    await cut("/reports/test", {}, at=stentor.access.log, name="add")
    assert len(team.got) == 1
    again = await _again(service, "/reports/test", {})
    assert (again.status_code, problem(again)) == (409, "wrong-state")
    assert "use a new key" in again.json()["detail"]
    assert len(team.got) == 1


async def test_a_report_is_sent_again_once(service: Service, stentor: Stentor, team: HttpReceiver, cut: Cut) -> None:
    made = await service.made("POST", "/campaigns?start=true", DRAFT, status=201)
    await stentor.roles.run(made["id"])
    wanted = {"report": f"completed/{made['id']}"}
    assert len(team.got) == 1
    await cut("/reports/replay", wanted)
    assert len(team.got) == 2
    again = await _again(service, "/reports/replay", wanted)
    (told,) = again.json()["reports"]
    assert (again.status_code, told["report"], told["target"]) == (200, wanted["report"], "team")
    assert len(team.got) == 2
