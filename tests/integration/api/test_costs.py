"""What the usual requests ask of the database: each question is a wait, and on a busy machine a long one."""

from __future__ import annotations

import asyncio
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from stentor.config import Config
from stentor.store.database import SQLITE
from tests.integration.api.conftest import DRAFT, Service
from tests.integration.asking import Asked, asking
from tests.integration.runtime.rehearsal import AUDIENCE, Facts, rehearse

STORE = "stentor_"
"""What the names of the store's tables begin with."""
IOS = "apns/ios"
_KEYS = count()


@pytest.fixture
def config(tmp_path: Path, facts: Facts, database_url: str) -> Config:
    return rehearse(tmp_path, facts, store=database_url, more="\n[api]\nrate = 100_000\n")


async def _cost(service: Service, path: str, body: Any) -> Asked:
    """What a request asks that isn't the first of its kind."""

    async def ask() -> None:
        answer = await service.ask("POST", path, body, Idempotency_Key=f"k{next(_KEYS)}")
        assert answer.status_code == 201, answer.text

    await ask()
    await asyncio.gather(*service.stentor.access.keys._notes)  # when the key was used: written once in a while
    with asking() as asked:
        await ask()
    return asked


def _transactions(service: Service, *, writing: int, reading: int) -> int:
    """SQLite has a transaction for each thing that is written, PostgreSQL none where that is a single statement: the
    claim of the request's key."""
    is_sqlite = service.stentor._resources.database.dialect == SQLITE
    return writing + reading if is_sqlite else writing - 1 + reading


async def test_a_message_is_stored_queued_logged_and_answered_in_one_transaction(service: Service) -> None:
    body = {"message": {"title": "Code"}, "lane": IOS, "addresses": ["0a" * 32]}
    asked = await _cost(service, "/messages", body)
    written = ("replies", "tasks", "payloads", "campaigns", "chains", "batches", "actions", "replies")
    assert [len(asked.of(f"INTO {STORE}{name}", f"UPDATE {STORE}{name}")) for name in written[:-1]] == [2, *[1] * 6]
    assert len(asked.statements) == len(written) + 1, "and one that asks whether the queue is being drained"
    assert asked.transactions == _transactions(service, writing=2, reading=0)


async def test_a_draft_is_stored_logged_and_answered_in_one_transaction(service: Service) -> None:
    asked = await _cost(service, "/campaigns?count=false", DRAFT)
    assert len(asked.statements) == 4, "the key, the draft, the log and the answer"
    assert asked.transactions == _transactions(service, writing=2, reading=0)


@pytest.mark.parametrize("only", [None, ["2"]])
async def test_an_audience_is_checked_and_counted_in_one_look(service: Service, only: list[str] | None) -> None:
    body = {**DRAFT, "audience": {"source": AUDIENCE, "only": only}}
    asked = await _cost(service, "/campaigns", body)
    assert len(asked.of(STORE)) == 4
    assert len(asked.statements) - 4 <= 8, asked.statements
    assert asked.transactions == _transactions(service, writing=2, reading=1)


async def test_what_is_answered_is_what_is_stored(service: Service) -> None:
    """The answer is made of what was asked for, not read again."""
    made = await service.made("POST", "/campaigns", {**DRAFT, "title": "A", "starts_at": 4e9 - 2e9}, status=201)
    assert await service.made("GET", f"/campaigns/{made['id']}") == made
    body = {"message": {"title": "Code"}, "to": ["2", "nobody", "1"], "audience": AUDIENCE}
    sent = await service.made("POST", "/messages", body, status=201)
    assert [(each["installation"], each["outcome"], each["reason"]) for each in sent["recipients"]] == [
        ("2", "waiting", ""),
        ("nobody", "rejected", "NotInAudience"),
        ("1", "waiting", ""),
    ]
    found = await service.made("GET", f"/messages/{sent['id']}")
    assert {**found, "at": None} == {**sent, "at": None}
