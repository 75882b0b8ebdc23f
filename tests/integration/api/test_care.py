"""Opt-outs, exclusion lists and a campaign's care over the API."""

from __future__ import annotations

from stentor.access.scopes import Scope
from tests.integration.api.conftest import DRAFT, Service
from tests.integration.api.test_operations import problem


async def test_opt_outs_are_added_set_listed_and_taken_back(service: Service) -> None:
    body = {"installations": ["4711", "4712"], "category": "news"}
    assert await service.made("POST", "/opt-outs", body) == {"added": 2}
    assert await service.made("POST", "/opt-outs", {"installations": ["4711"]}) == {"added": 1}
    first = await service.made("GET", "/opt-outs?limit=2")
    assert [(each["installation"], each["category"]) for each in first["opt_outs"]] == [
        ("4711", "all"),
        ("4711", "news"),
    ]
    rest = await service.made("GET", f"/opt-outs?cursor={first['next']}")
    assert ([each["installation"] for each in rest["opt_outs"]], rest["next"]) == (["4712"], None)
    only = await service.made("GET", "/opt-outs?category=all")
    assert [each["installation"] for each in only["opt_outs"]] == ["4711"]
    said = await service.made("PUT", "/opt-outs/4711", {"categories": ["offers"]})
    assert [each["category"] for each in said["opt_outs"]] == ["offers"]
    assert await service.made("GET", "/opt-outs/4711") == said
    assert await service.made("PUT", "/opt-outs/4711", {"categories": []}) == {"opt_outs": []}
    assert problem(await service.ask("POST", "/opt-outs", {"installations": []})) == "invalid-input"
    wrong = {"installations": ["1"], "category": "no good"}
    assert problem(await service.ask("POST", "/opt-outs", wrong)) == "invalid-input"


async def test_who_may_only_view_sees_nobody(service: Service) -> None:
    for path in ("/opt-outs", "/opt-outs/4711", "/exclusions", "/exclusions/staff"):
        assert problem(await service.ask("GET", path, scope=Scope.VIEW)) == "forbidden", path


async def test_lists_are_filled_shown_and_deleted(service: Service) -> None:
    ids = {"installations": ["2", "1", "3"]}
    assert await service.made("POST", "/exclusions/staff/add", ids) == {"added": 3}
    assert await service.made("POST", "/exclusions/staff/remove", {"installations": ["2"]}) == {"removed": 1}
    (found,) = (await service.made("GET", "/exclusions"))["lists"]
    assert (found["name"], found["installations"]) == ("staff", 2)
    assert await service.made("GET", "/exclusions/staff?limit=1") == {"installations": ["1"], "next": "1"}
    assert await service.made("GET", "/exclusions/staff?after=1") == {"installations": ["3"], "next": None}
    await service.made("DELETE", "/exclusions/staff", status=204)
    assert problem(await service.ask("GET", "/exclusions/staff")) == "not-found"


async def test_a_campaign_says_whom_it_leaves_alone(service: Service) -> None:
    await service.made("POST", "/exclusions/staff/add", {"installations": ["1"]})
    await service.made("POST", "/opt-outs", {"installations": ["2"], "category": "news"})
    care = {"category": "news", "exclude": ["staff"], "caps": ["1 per day"]}
    seen = await service.made("POST", "/campaigns/preview", {**DRAFT, **care})
    assert (seen["left_out"], seen["left_out_about"]) == ({"Excluded": 1, "OptedOut": 1}, False)
    made = await service.made("POST", "/campaigns", {**DRAFT, **care}, status=201)
    assert {name: made[name] for name in care} == {**care, "caps": ["1 a day"]}
    after = await service.made("POST", "/campaigns", {**DRAFT, "not_reached_by": [made["id"]]}, status=201)
    assert (after["category"], after["not_reached_by"]) == (None, [made["id"]])
    for name, value in (
        ("exclude", ["nobody"]),
        ("caps", ["0 a day"]),
        ("category", "all"),
        ("not_reached_by", ["nobody"]),
    ):
        answer = await service.ask("POST", "/campaigns", {**DRAFT, name: value})
        assert problem(answer) == "invalid-input", name
        assert [each["pointer"] for each in answer.json()["errors"]] == [f"/{name}"]
