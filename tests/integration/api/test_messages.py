"""Transactional messages over the API."""

from __future__ import annotations

from typing import Any

from stentor.access.scopes import Scope
from stentor.runtime.stentor import Stentor
from tests.integration.api.conftest import DRAFT, Service
from tests.integration.api.test_operations import problem
from tests.integration.runtime.rehearsal import AUDIENCE

CODE: dict[str, Any] = {"message": {"title": "Your code", "body": "4711"}, "audience": AUDIENCE}
PHONE = "ab" * 32


async def test_a_message_and_its_outcome(service: Service, stentor: Stentor) -> None:
    asked = await service.ask("POST", "/messages", {**CODE, "to": ["1", "nosuch"]}, scope=Scope.SEND)
    made = asked.json()
    assert (asked.status_code, asked.headers["location"]) == (201, f"/v1/messages/{made['id']}")
    assert [(each["outcome"], each["reason"]) for each in made["recipients"]] == [
        ("waiting", ""),
        ("rejected", "NotInAudience"),
    ]
    async with stentor.roles.at_work():
        told = await service.made("GET", f"/messages/{made['id']}?wait=30")
    assert told["settled"]
    assert told["recipients"][0]["outcome"] == "accepted"
    listed = (await service.made("GET", "/messages"))["messages"]
    assert [each["id"] for each in listed] == [made["id"]]
    assert (await service.made("GET", "/campaigns"))["campaigns"] == []


async def test_a_message_to_an_address_shows_none(service: Service) -> None:
    body = {"message": {"title": "Hello"}, "lane": "apns/ios", "addresses": [PHONE]}
    made = await service.ask("POST", "/messages", body)
    assert made.status_code == 201
    assert made.json()["recipients"][0]["installation"] == "address-1"
    assert PHONE not in made.text
    assert PHONE not in (await service.ask("GET", "/log")).text


async def test_a_repeated_message_is_sent_once(service: Service, stentor: Stentor) -> None:
    body = {**CODE, "to": ["1"]}
    first = await service.ask("POST", "/messages", body, Idempotency_Key="code-1")
    again = await service.ask("POST", "/messages", body, Idempotency_Key="code-1")
    assert (again.content, again.headers["idempotency-replayed"]) == (first.content, "true")
    assert len(await stentor.messages.newest()) == 1
    once = {**body, "once": "k"}
    sent = await service.made("POST", "/messages", once, status=201)
    refused = await service.ask("POST", "/messages", once)
    assert (refused.status_code, problem(refused)) == (409, "already-sent")
    assert refused.json()["campaign"] == sent["id"]


async def test_what_cannot_be_meant_is_told_by_field(service: Service) -> None:
    for body, kind, pointer in (
        ({**CODE, "to": []}, "invalid-input", "/to"),
        ({**CODE, "to": [str(number) for number in range(101)]}, "invalid-input", "/to"),
        ({**CODE, "to": ["1"], "lane": "apns/ios", "addresses": [PHONE]}, "invalid-input", "/to"),
        ({**CODE, "addresses": [PHONE]}, "invalid-input", "/lane"),
        ({**CODE, "lane": "apns/ipad", "addresses": [PHONE]}, "invalid-input", "/lane"),
        ({**CODE, "message": {}, "to": ["1"]}, "invalid-message", "/message"),
    ):
        answer = await service.ask("POST", "/messages", body)
        assert problem(answer) == kind, answer.text
        assert answer.json()["errors"][0]["pointer"] == pointer
    assert problem(await service.ask("POST", "/messages", {**CODE, "to": ["1"]}, scope=Scope.WRITE)) == "forbidden"
    assert problem(await service.ask("GET", "/messages/nosuch")) == "not-found"
    made = await service.made("POST", "/campaigns", DRAFT, status=201)
    assert problem(await service.ask("GET", f"/messages/{made['id']}")) == "not-found", "it is a campaign"
