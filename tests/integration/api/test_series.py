"""Series over the API: made, listed, changed, paused, deleted; and when they are due."""

from __future__ import annotations

import pytest

from stentor.access.scopes import Scope
from tests.integration.api.conftest import DRAFT, Service
from tests.integration.api.test_operations import problem

DAILY = {**DRAFT, "name": "Daily news", "cron": "0 18 * * *", "zone": "Europe/Berlin", "pause_above": 0.2}


async def test_series_are_made_listed_changed_and_deleted(service: Service) -> None:
    made = await service.made("POST", "/series", DAILY, status=201)
    assert (made["name"], made["cron"], made["zone"]) == ("Daily news", "0 18 * * *", "Europe/Berlin")
    assert (made["missed"], made["paused"], made["revision"]) == ("skip", False, 0)
    assert made["next_at"] > made["created_at"]
    path = f"/series/{made['id']}"
    assert await service.made("GET", path) == made
    assert await service.made("GET", "/series") == {"series": [{**made, "last_run": None}], "next": None}
    assert await service.made("GET", f"{path}/runs") == {"runs": [], "next": None}
    assert (await service.made("GET", f"{path}/message"))["message"] == DRAFT["message"]
    draft = await service.made("GET", f"{path}/draft")
    assert (draft["audience"], draft["pause_above"]) == (DRAFT["audience"], 0.2)
    assert (await service.made("GET", "/campaigns"))["campaigns"] == []

    paused = await service.made("POST", f"{path}/pause")
    assert (paused["paused"], paused["next_at"]) == (True, None)
    resumed = await service.made("POST", f"{path}/resume")
    assert (resumed["paused"], resumed["next_at"]) == (False, made["next_at"])
    seen = (await service.ask("GET", path)).headers["etag"]
    better = {**DAILY, "name": "Weekly news", "cron": "0 18 * * mon", "missed": "one"}
    changed = await service.ask("PUT", path, better, If_Match=seen)
    assert (changed.json()["name"], changed.json()["missed"]) == ("Weekly news", "one")
    assert problem(await service.ask("PUT", path, DAILY, If_Match=seen)) == "precondition-failed"
    await service.made("DELETE", path, status=204)
    assert problem(await service.ask("GET", path)) == "not-found"
    assert problem(await service.ask("POST", f"{path}/pause")) == "not-found"
    log = [each["action"] for each in (await service.made("GET", "/log"))["actions"]]
    assert {"series.create", "series.pause", "series.resume", "series.change", "series.delete"} <= set(log)


async def test_a_request_that_comes_twice_makes_one_series(service: Service) -> None:
    answers = [await service.ask("POST", "/series", DAILY, Idempotency_Key="daily") for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert answers[0].headers["location"] == f"/v1/series/{answers[0].json()['id']}"
    assert len((await service.made("GET", "/series"))["series"]) == 1


async def test_it_is_told_when_a_series_would_be_due(service: Service) -> None:
    found = await service.made("POST", "/series/next", {"cron": "0 18 * * mon", "zone": "Europe/Berlin", "count": 2})
    assert found["explained"] == "At 18:00 on Monday"
    assert len(found["times"]) == len(found["local"]) == 2
    assert found["local"][0].startswith("Mon ")


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"cron": "daily"}, "/cron"),
        ({"zone": "Berlin"}, "/zone"),
        ({"name": ""}, "/name"),
        ({"starts_at": 2e9}, "/starts_at"),
        ({"message": {"title": "{{ x"}}, "/message/title"),
    ],
)
async def test_what_cannot_be_a_series_names_its_field(
    service: Service, change: dict[str, object], pointer: str
) -> None:
    answer = await service.ask("POST", "/series", {**DAILY, **change})
    assert answer.status_code == 422
    assert [each["pointer"] for each in answer.json()["errors"]] == [pointer]


async def test_who_may_not_send_makes_no_series_and_sees_no_message(service: Service) -> None:
    made = await service.made("POST", "/series", DAILY, status=201)
    path = f"/series/{made['id']}"
    for method, each in (("POST", "/series"), ("PUT", path), ("POST", f"{path}/pause"), ("DELETE", path)):
        body = DAILY if method in ("PUT", "POST") and not each.endswith("pause") else None
        assert problem(await service.ask(method, each, body, scope=Scope.WRITE)) == "forbidden"
    assert (await service.ask("GET", path, scope=Scope.VIEW)).status_code == 200
    for each in ("message", "draft"):
        assert problem(await service.ask("GET", f"{path}/{each}", scope=Scope.VIEW)) == "forbidden"


async def test_a_share_at_which_a_campaign_pauses_is_kept_with_it(service: Service) -> None:
    made = await service.made("POST", "/campaigns", {**DRAFT, "pause_above": 0.25}, status=201)
    assert made["pause_above"] == 0.25
    for wrong in (0, 1.5, -1, "20%"):
        answer = await service.ask("POST", "/campaigns", {**DRAFT, "pause_above": wrong})
        assert answer.status_code in (400, 422), wrong
