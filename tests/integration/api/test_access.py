"""Keys, users and the log over the API."""

from __future__ import annotations

import sqlalchemy as sa

from stentor.access.scopes import Scope
from stentor.runtime.stentor import Stentor
from stentor.store.tables import replies
from tests.integration.api.conftest import Service
from tests.integration.api.test_operations import problem


async def test_who_asks_is_told(service: Service) -> None:
    answer = await service.ask("GET", "/me", scope=Scope.VIEW)
    assert (answer.json()["name"], answer.json()["scope"], answer.json()["kind"]) == ("view", "view", "key")


async def test_a_key_from_its_making_to_its_end(service: Service) -> None:
    wanted = {"name": "shop", "scope": "send"}
    made = await service.ask("POST", "/keys", wanted, Idempotency_Key="k")
    assert made.status_code == 201
    text, about = made.json()["key"], made.json()["about"]
    assert (about["name"], about["scope"]) == ("shop", "send")
    again = await service.ask("POST", "/keys", wanted, Idempotency_Key="k")
    assert again.json() == {"key": None, "about": about}, "the text is shown once, and kept nowhere"
    mine = {"Authorization": f"Bearer {text}"}
    assert (await service.anybody.get("/v1/me", headers=mine)).json()["id"] == about["id"]
    assert text not in (await service.ask("GET", "/keys")).text
    rolled = await service.made("POST", f"/keys/{about['id']}/roll", {"overlap": 60})
    assert rolled["key"] != text
    assert (await service.anybody.get("/v1/me", headers=mine)).status_code == 200
    await service.made("DELETE", f"/keys/{about['id']}", status=204)
    for each in (text, rolled["key"]):
        gone = await service.anybody.get("/v1/me", headers={"Authorization": f"Bearer {each}"})
        assert problem(gone) == "unauthenticated"
    assert problem(await service.ask("DELETE", "/keys/nosuch")) == "not-found"
    assert problem(await service.ask("POST", "/keys", {"name": ""})) == "invalid-input"
    assert problem(await service.ask("POST", "/keys", {"name": "x", "scope": "root"})) == "invalid-input"


async def test_users(service: Service) -> None:
    made = await service.made("POST", "/users", {"name": "ada", "role": "write"}, status=201)
    link = await service.made("POST", f"/users/{made['id']}/link")
    assert "/link/" in link["link"]
    assert (await service.made("PUT", f"/users/{made['id']}/role", {"role": "view"}))["role"] == "view"
    assert (await service.made("POST", f"/users/{made['id']}/disable"))["disabled_at"] is not None
    assert (await service.made("POST", f"/users/{made['id']}/enable"))["disabled_at"] is None
    assert (await service.made("POST", f"/users/{made['id']}/sign-out")) == {"ended": 0}
    assert [each["name"] for each in (await service.made("GET", "/users"))["users"]] == ["ada"]
    assert problem(await service.ask("POST", "/users", {"name": "Ada"})) in ("wrong-state", "invalid-input")
    assert problem(await service.ask("GET", "/users/nosuch")) == "not-found"


async def test_a_page_of_users_begins_where_the_one_before_ended(service: Service) -> None:
    for name in ("ada", "bob", "Cy", "dora", "eve"):
        await service.made("POST", "/users", {"name": name}, status=201)
    page = await service.made("GET", "/users?limit=2")
    seen = page["users"]
    while page["next"]:
        page = await service.made("GET", f"/users?limit=2&cursor={page['next']}")
        seen += page["users"]
    assert [each["name"] for each in seen] == ["ada", "bob", "Cy", "dora", "eve"]


async def test_the_log_of_who_did_what(service: Service) -> None:
    for name in ("a", "b", "c"):
        await service.made("POST", "/keys", {"name": name}, status=201)
    await service.made("PUT", "/queue/drain")
    await service.made("DELETE", "/queue/drain", status=204)
    log = await service.made("GET", "/log?limit=2")
    assert [each["action"] for each in log["actions"]] == ["queue.end_drain", "queue.drain"]
    rest = await service.made("GET", f"/log?limit=200&cursor={log['next']}")
    assert {each["action"] for each in rest["actions"]} == {"key.create"}
    only = await service.made("GET", "/log?action=queue.drain")
    assert [each["caller_name"] for each in only["actions"]] == ["admin"]
    wrong = await service.ask("GET", f"/log?action=queue.drain&cursor={log['next']}")
    assert problem(wrong) == "invalid-cursor"


async def test_the_same_row_is_written_once(service: Service) -> None:
    made = await service.made("POST", "/keys", {"name": "x"}, status=201)
    rows = (await service.made("GET", f"/log?object={made['about']['id']}"))["actions"]
    assert [each["action"] for each in rows] == ["key.create"]


async def test_a_key_whose_text_nobody_got_is_there_once(service: Service, stentor: Stentor) -> None:
    first = await service.ask("POST", "/keys", {"name": "shop"}, Idempotency_Key="k")
    user = await service.ask("POST", "/users", {"name": "ada"}, Idempotency_Key="u")
    forgotten = sa.update(replies).values(status=None, until=0.0)  # as if it was killed before it answered
    await stentor._resources.database.write(lambda connection: connection.execute(forgotten))
    again = await service.ask("POST", "/keys", {"name": "shop"}, Idempotency_Key="k")
    assert again.json() == {"key": None, "about": first.json()["about"]}
    same = await service.ask("POST", "/users", {"name": "ada"}, Idempotency_Key="u")
    assert (same.status_code, same.json()["id"]) == (201, user.json()["id"])


async def test_a_key_ends_within_a_century(service: Service) -> None:
    answer = await service.ask("POST", "/keys", {"name": "x", "expires_at": 1e308})
    assert (problem(answer), answer.json()["errors"][0]["pointer"]) == ("invalid-input", "/expires_at")
