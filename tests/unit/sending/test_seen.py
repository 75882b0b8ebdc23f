"""What a sender has seen of campaigns is known as long as it is of use, and never more than so much of it is kept."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from stentor.outcome import Scope, Verdict
from stentor.providers.contract import Answer
from stentor.sending import seen
from stentor.sending.seen import Campaigns

REFUSAL = Answer(verdict=Verdict.FIX, reason="BadMessage", scope=Scope.MESSAGE)


class Desk:
    """Knows the content of every campaign."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def content(self, campaign_id: str) -> str:
        self.asked.append(campaign_id)
        return campaign_id


class Lane:
    """Prepares it."""

    async def prepare(self, campaign: str) -> str:
        return f"prepared {campaign}"


def campaigns(desk: Desk) -> Campaigns:
    lane: Any = Lane()
    given: Any = desk
    return Campaigns(lane, given)


async def prepared(by: Campaigns, name: str) -> object:
    return await by.prepare(name)


def names(numbers: Iterable[int]) -> list[str]:
    return [f"c{number}" for number in numbers]


def test_of_many_campaigns_the_latest_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seen, "CAMPAIGNS", 10)
    found = campaigns(Desk())
    for name in names(range(100)):
        found[name].learn(accepted=0, refusal=REFUSAL)
        found[name].pause(0.5, 5.0)
        assert found["c0"].refused is REFUSAL, "it is asked for again and again"
    assert len(found._seen) == 10
    assert all(found[name].refused is REFUSAL for name in names(range(91, 100)))
    assert found["c50"].refused is None, "it is learnt again"


async def test_of_many_contents_the_latest_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seen, "CONTENTS", 3)
    desk = Desk()
    found = campaigns(desk)
    for name in names(range(10)):
        assert await prepared(found, name) == f"prepared {name}"
        assert await prepared(found, "c0") == "prepared c0"
    assert len(found._prepared) == 3
    assert desk.asked == names(range(10))
    await prepared(found, "c5")
    assert desk.asked == [*names(range(10)), "c5"]
