"""Somebody else's Web Push client works against the simulator, and its browsers read what it encrypted."""

from __future__ import annotations

import asyncio
import csv
import json

import pytest
import requests
from pywebpush import WebPushException, webpush  # type: ignore[import-untyped]  # has no annotations

from stentor.providers.webpush.channel import WebPushApp, check_address
from stentor.providers.webpush.vapid import generate_key, private_pem
from stentor.simulators.webpush import SUBJECT, WebPushSimulator


def push(web: WebPushSimulator, subscription: str, **other: object) -> requests.Response:
    given = {
        "data": json.dumps({"title": "Sale"}),
        "vapid_private_key": str(web.private_key_file),
        "vapid_claims": {"sub": SUBJECT},
        "ttl": 60,
        "headers": {"topic": "abcd"},
    }
    answer = webpush(json.loads(subscription), **{**given, **other})
    assert isinstance(answer, requests.Response)
    return answer


async def test_pywebpush(monkeypatch: pytest.MonkeyPatch) -> None:
    async with WebPushSimulator() as web:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(web.ca_file))
        for number, subscription in enumerate(web.subscriptions(30)):
            answer = await asyncio.to_thread(push, web, subscription)
            assert (answer.status_code, number) == (201, number)
        delivered = [each for service in web.services.values() for each in service.deliver()]
        assert [json.loads(each.payload) for each in delivered] == [{"title": "Sale"}] * 30
        assert sorted(web.ledger.addresses()) == sorted(web.subscriptions(30))


async def test_pywebpush_is_told_of_a_key_that_is_not_the_subscriptions(monkeypatch: pytest.MonkeyPatch) -> None:
    async with WebPushSimulator() as web:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(web.ca_file))
        other = web.directory / "other.pem"
        other.write_bytes(private_pem(generate_key()))
        said = []
        for subscription in web.subscriptions(3):
            with pytest.raises(WebPushException) as raised:
                await asyncio.to_thread(push, web, subscription, vapid_private_key=str(other))
            assert raised.value.response is not None
            said.append(raised.value.response.status_code)
        assert said == [401, 403, 400]
        assert len(web.ledger) == 0


async def test_what_a_sender_needs_is_written_and_told() -> None:
    async with WebPushSimulator(subscriptions=7) as web:
        facts = web.facts()
        with web.subscriptions_file.open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert [row["address"] for row in rows] == list(web.subscriptions(7))
        assert {row["channel"] for row in rows} == {"webpush"}
        assert len({row["id"] for row in rows}) == 7
        assert all(check_address(row["address"]) is None for row in rows)
        assert facts["subscriptions_file"] == str(web.subscriptions_file)
        assert facts["url"] == facts["origins"]["mozilla"]
        assert len(set(facts["origins"].values())) == 3
        assert WebPushApp(
            **{name: facts[name] for name in ("private_key_file", "subject", "ca_file", "allow_private_endpoints")}
        ).allow_private_endpoints
        assert json.loads(json.dumps(facts)) == facts
