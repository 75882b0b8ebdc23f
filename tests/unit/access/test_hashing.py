"""Passwords are hashed in few threads, and a flood is turned away."""

from __future__ import annotations

import asyncio
import threading

import pytest

from stentor.access import hashing
from stentor.access.hashing import AT_ONCE, WAITING, Hasher
from stentor.errors import TooManyAttempts

QUICK = {"passes": 1, "memory": 64}


async def test_a_hash_is_of_one_password_alone() -> None:
    hasher = Hasher(**QUICK)
    stored = await hasher.hash("correct horse")
    assert stored.startswith("$argon2id$")
    assert await hasher.verify(stored, "correct horse")
    assert not await hasher.verify(stored, "correct horsf")
    assert not await hasher.verify("$argon2id$nonsense", "correct horse")
    assert not await hasher.verify(stored, "half of a pair: \ud800")
    assert await hasher.hash("correct horse") != stored
    hasher.close()


async def test_nobody_signs_in_without_a_password() -> None:
    hasher = Hasher(**QUICK)
    assert not await hasher.verify(None, "")
    assert not await hasher.verify(None, "whatever")
    hasher.close()


async def test_who_has_no_password_costs_a_whole_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that nobody learns from the time who there is."""
    hasher = Hasher(**QUICK)
    stored = await hasher.hash("correct horse")
    verified: list[str] = []
    matches = hasher._matches

    def noted(given: str, password: str) -> bool:
        verified.append(given)
        return matches(given, password)

    monkeypatch.setattr(hasher, "_matches", noted)
    await hasher.verify(stored, "wrong")
    await hasher.verify(None, "wrong")
    parameters = [each.rsplit("$", 2)[0] for each in verified]
    assert parameters == [parameters[0]] * 2
    hasher.close()


async def test_older_hashes_are_told() -> None:
    old, new = Hasher(**QUICK), Hasher(passes=2, memory=64)
    stored = await old.hash("correct horse")
    assert not old.outdated(stored)
    assert new.outdated(stored)
    assert await new.verify(stored, "correct horse")
    old.close()
    new.close()


async def test_a_flood_takes_few_threads_and_is_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    hasher = Hasher(**QUICK)
    running, most, go = 0, 0, threading.Event()
    lock = threading.Lock()

    def slow(_stored: str | None, _password: str) -> bool:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        go.wait(30)
        with lock:
            running -= 1
        return True

    monkeypatch.setattr(hasher, "_verify", slow)

    async def attempt() -> bool:
        async with hasher.turn():
            return await hasher.verify("", "x")

    asked = [asyncio.create_task(attempt()) for _ in range(WAITING)]
    await asyncio.sleep(0)
    with pytest.raises(TooManyAttempts) as refused:
        await attempt()
    assert refused.value.retry_after == hashing.RETRY_AFTER
    asked[0].cancel()
    asked[-1].cancel()
    await asyncio.wait([asked[0], asked[-1]])
    go.set()
    assert await asyncio.gather(*asked[1:-1]) == [True] * (WAITING - 2)
    assert most <= AT_ONCE
    assert await attempt()
    hasher.close()
