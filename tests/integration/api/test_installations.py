"""Installations over the API: one, a stream of many, and a person erased."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable
from typing import Any

from stentor.access.scopes import Scope
from tests.integration.api.conftest import Service
from tests.integration.api.test_operations import problem

TOKEN = "ab" * 32


async def stream(service: Service, lines: Iterable[Any], query: str = "") -> Any:
    async def pieces() -> AsyncIterator[bytes]:
        for line in lines:
            yield (line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n"

    return await service.anybody.put(
        f"/v1/installations{query}",
        content=pieces(),
        headers={**service.headers(Scope.WRITE), "Content-Type": "application/jsonl"},
    )


async def test_one_installation(service: Service) -> None:
    said = {"address": TOKEN, "channel": "apns", "language": "de", "attributes": {"plan": "pro"}}
    put = await service.made("PUT", "/installations/4711", said)
    assert put["change"] == "added"
    assert TOKEN not in json.dumps(put)
    found = await service.made("GET", "/installations/4711")
    assert (found["language"], found["attributes"]) == ("de", {"plan": "pro"})
    assert found["address"].endswith("…")
    assert (await service.ask("GET", "/installations/4711", scope=Scope.VIEW)).json()["attributes"] == {}
    whole = await service.ask("GET", "/installations/4711?address=true", scope=Scope.WRITE)
    assert whole.json()["address"] == TOKEN
    assert problem(await service.ask("GET", "/installations/4711?address=true", scope=Scope.VIEW)) == "forbidden"
    await service.made("GET", "/installations?addresses=true")
    told = [(each["action"], each["object"], each["detail"]) for each in (await service.made("GET", "/log"))["actions"]]
    assert told[:2] == [("installation.list", "", "with addresses"), ("installation.read", "4711", "with addresses")]
    assert (await service.made("PUT", "/installations/4711", {"language": "en"}))["change"] == "changed"
    wrong = await service.ask("PUT", "/installations/4711", {"address": "zz", "channel": "apns"})
    assert (problem(wrong), wrong.json()["errors"][0]["pointer"]) == ("invalid-input", "/address")
    assert "zz" not in wrong.json()["detail"]
    await service.made("DELETE", "/installations/4711", status=204)
    assert problem(await service.ask("GET", "/installations/4711")) == "not-found"
    assert problem(await service.ask("DELETE", "/installations/4711")) == "not-found"


async def test_a_stream_of_many(service: Service) -> None:
    good = [{"id": str(number), "address": f"{number:064x}", "channel": "apns"} for number in range(2500)]
    bad = [
        b"{",
        {"id": "x", "address": "zz", "channel": "apns"},
        {"id": "0", "address": f"{1:064x}", "channel": "apns"},
    ]
    answer = await stream(service, [*good, *bad])
    told = answer.json()
    assert answer.status_code == 200
    assert (told["counts"]["read"], told["counts"]["added"], told["counts"]["duplicates"]) == (2503, 2500, 1)
    assert [each["line"] for each in told["rejected"] if each["fate"] == "rejected"] == [2501, 2502]
    again = (await stream(service, good)).json()
    assert again["counts"]["unchanged"] + again["counts"]["changed"] == 2500
    assert problem(await stream(service, [], "?channel=nosuch")) == "invalid-input"
    kind = {**service.headers(), "Content-Type": "text/csv"}
    assert problem(await service.anybody.put("/v1/installations", content=b"id", headers=kind)) == (
        "unsupported-media-type"
    )
    found: list[str] = []
    cursor = ""
    while True:
        page = await service.made("GET", f"/installations?limit=1000{cursor}")
        found += [each["id"] for each in page["installations"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert len(found) == len(set(found)) == 2500
    assert problem(await service.ask("GET", f"/installations?dead=true{cursor}")) == "invalid-cursor"
    assert problem(await service.ask("GET", "/installations?app=ios")) == "invalid-input"


async def test_an_id_may_have_a_slash(service: Service) -> None:
    await service.made("PUT", "/installations/a%2Fb", {"address": TOKEN, "channel": "apns"})
    assert (await service.made("GET", "/installations/a%2fb"))["id"] == "a/b"
    assert problem(await service.ask("GET", "/installations/a/b")) == "not-found"
    assert (await service.made("POST", "/installations/a%2Fb/erase"))["registered"] is True
    assert problem(await service.ask("GET", "/installations/a%2Fb")) == "not-found"


async def test_a_person_is_erased(service: Service) -> None:
    await service.made("PUT", "/installations/4711", {"address": TOKEN, "channel": "apns"})
    told = await service.made("POST", "/installations/4711/erase")
    assert (told["registered"], told["left"]) == (True, [])
    assert problem(await service.ask("GET", "/installations/4711")) == "not-found"
    log = await service.ask("GET", "/log")
    assert "4711" not in log.text
    assert [each["object"] for each in log.json()["actions"][:2]] == ["", "erased"]
