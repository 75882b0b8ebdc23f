"""Templates over the API: saved in versions, compared, restored, and used in campaigns and messages."""

from __future__ import annotations

import asyncio

from stentor.access.scopes import Scope
from tests.integration.api.conftest import DRAFT, Service
from tests.integration.api.test_operations import problem

SALE = {"title": "Sale in {{ city }}", "ttl": 3600, "translations": {"de": {"title": "Angebot in {{ city }}"}}}
BETTER = {**SALE, "title": "Big sale in {{ city }}"}


async def test_templates_are_saved_looked_at_compared_restored_and_deleted(service: Service) -> None:
    saved = await service.made("PUT", "/templates/sale", {"message": SALE})
    assert (saved["version"], saved["newest"], saved["message"], saved["saved_by"]) == (1, 1, SALE, "admin")
    assert (await service.made("PUT", "/templates/sale", {"message": BETTER, "over": 1}))["version"] == 2
    first = await service.made("GET", "/templates/sale/versions/1")
    assert (first["message"], first["newest"]) == (SALE, 2)
    assert (await service.made("GET", "/templates/sale"))["message"] == BETTER
    compared = await service.made("GET", "/templates/sale/changes?version=1")
    assert compared["changes"] == [
        {
            "field": "title",
            "told": 'title: "Sale in {{ city }}" became "Big sale in {{ city }}"',
            "before": "Sale in {{ city }}",
            "after": "Big sale in {{ city }}",
        }
    ]
    restored = await service.made("POST", "/templates/sale/restore", {"version": 1, "over": 2})
    assert (restored["version"], restored["restored"], restored["message"]) == (3, 1, SALE)
    page = await service.made("GET", "/templates/sale/versions?limit=2")
    assert ([each["version"] for each in page["versions"]], page["next"]) == ([3, 2], 2)
    page = await service.made("GET", "/templates/sale/versions?limit=2&before=2")
    assert ([each["version"] for each in page["versions"]], page["next"]) == ([1], None)
    await service.made("PUT", "/templates/news", {"message": {"title": "News"}})
    page = await service.made("GET", "/templates?limit=1")
    assert ([each["name"] for each in page["templates"]], page["next"]) == (["news"], "news")
    page = await service.made("GET", "/templates?after=news")
    assert ([each["name"] for each in page["templates"]], page["next"]) == (["sale"], None)
    await service.made("DELETE", "/templates/sale", status=204)
    for method, path in (
        ("GET", "/templates/sale"),
        ("DELETE", "/templates/sale"),
        ("GET", "/templates/news/versions/x"),
    ):
        assert problem(await service.ask(method, path)) == "not-found"


async def test_who_saves_over_a_version_that_they_did_not_see_is_told(service: Service) -> None:
    seen = (await service.ask("PUT", "/templates/sale", {"message": SALE})).headers["etag"]
    seen = (await service.ask("GET", "/templates/sale", if_match=seen)).headers["etag"]
    texts = [{"message": {**SALE, "title": f"{number}"}} for number in range(3)]
    answers = await asyncio.gather(*(service.ask("PUT", "/templates/sale", each, if_match=seen) for each in texts))
    assert sorted(each.status_code for each in answers) == [200, 412, 412]
    again = await service.ask("PUT", "/templates/sale", {"message": BETTER, "over": 1})
    assert problem(again) == "precondition-failed"
    assert "version 2 of sale was saved by admin" in again.json()["detail"]
    assert problem(await service.ask("DELETE", "/templates/sale", if_match=seen)) == "precondition-failed"
    assert problem(await service.ask("PUT", "/templates/x", {"message": SALE}, if_match=seen)) == "precondition-failed"
    assert len((await service.made("GET", "/templates/sale/versions"))["versions"]) == 2


async def test_a_restore_that_is_repeated_is_one_version(service: Service) -> None:
    for message in (SALE, BETTER):
        await service.made("PUT", "/templates/sale", {"message": message})
    ask = ("POST", "/templates/sale/restore", {"version": 1, "over": 2})
    first = await service.ask(*ask, idempotency_key="k")
    again = await service.ask(*ask, idempotency_key="k")
    assert (first.json()["version"], again.json()) == (3, first.json())
    assert len((await service.made("GET", "/templates/sale/versions"))["versions"]) == 3


async def test_who_may_view_sees_templates_and_saves_none(service: Service) -> None:
    await service.made("PUT", "/templates/sale", {"message": SALE})
    for path in ("/templates", "/templates/sale", "/templates/sale/versions", "/templates/sale/changes?version=1"):
        assert (await service.ask("GET", path, scope=Scope.VIEW)).status_code == 200
    for method, path, body in (
        ("PUT", "/templates/sale", {"message": BETTER}),
        ("POST", "/templates/sale/restore", {"version": 1}),
        ("DELETE", "/templates/sale", None),
    ):
        assert problem(await service.ask(method, path, body, scope=Scope.VIEW)) == "forbidden"


async def test_campaigns_and_messages_are_made_from_a_template(service: Service) -> None:
    for message in (SALE, BETTER):
        await service.made("PUT", "/templates/sale", {"message": message})
    draft = {"template": "sale@1", "values": {"city": "Bern"}, "audience": DRAFT["audience"]}
    assert (await service.made("POST", "/campaigns/preview", draft))["recipients"] == 40
    made = await service.made("POST", "/campaigns", draft, status=201)
    assert (made["title"], made["template"]) == ("Sale in Bern", {"name": "sale", "version": 1})
    told = await service.made("GET", f"/campaigns/{made['id']}/message")
    assert told == {"message": SALE, "values": {"city": "Bern"}}
    changed = await service.made("PUT", f"/campaigns/{made['id']}", {**draft, "template": "sale"})
    assert changed["template"] == {"name": "sale", "version": 2}
    sent = {"template": "sale", "values": {"city": "Bern"}, "audience": DRAFT["audience"]["source"], "to": ["1"]}
    message = await service.made("POST", "/messages", sent, status=201)
    assert message["template"] == {"name": "sale", "version": 2}
    await service.made("DELETE", "/templates/sale", status=204)
    assert (await service.made("GET", f"/campaigns/{made['id']}"))["template"] == {"name": "sale", "version": 2}


async def test_a_campaign_has_a_message_or_a_template(service: Service) -> None:
    for body, said in [
        ({**DRAFT, "template": "sale"}, "template: stands in the place of a message; give one of them"),
        ({"audience": DRAFT["audience"]}, "message: is missing; give a message, or the name of a template"),
        ({"audience": DRAFT["audience"], "template": "sale"}, "template: there is no template 'sale'"),
    ]:
        answer = await service.ask("POST", "/campaigns", body)
        assert problem(answer) == "invalid-input"
        assert said in answer.json()["detail"]
    answer = await service.ask("PUT", "/templates/sale", {"message": {"title": "{{ broken"}})
    assert problem(answer) == "invalid-message"
    assert answer.json()["errors"][0]["pointer"] == "/message/title"
