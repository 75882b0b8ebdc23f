"""A crash before and after every single commit of a campaign, one at a time: what a kill can hit, in full.

The roles run here in the test's process. A crash lets nothing more be written, as a SIGKILL does, and then everything
is torn down; the clock jumps over the leases that are left behind, and new roles go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Literal, TypeVar

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.store.database import Database
from tests.integration.kill.inside import Clock, run_roles
from tests.integration.kill.stage import Providers, copy_of, open_providers, open_stage, prove

T = TypeVar("T")
When = Literal["before", "after"]
SENDING: dict[str, Any] = {"page": 10, "batch": 5, "ranges": 2, "lease": 30.0, "longest_backoff": 0.1}
RECIPIENTS = 24
COMMITS = 36
"""More than such a campaign ever has."""
CHUNKS = 3
AT_ONCE = 6
MOST = 1000


class Crash(BaseException):
    """Not an Exception: nothing may catch it."""


class CrashingDatabase(Database):
    """Lets so many commits through, crashes before or after the next one, and lets nothing through any more."""

    allowed: float = float("inf")
    when: When = "before"
    crashed: asyncio.Event

    @classmethod
    def crashing(cls, url: str, allowed: float, when: When) -> CrashingDatabase:
        made = cls.open(url)
        assert isinstance(made, CrashingDatabase)
        made.allowed, made.when, made.crashed = allowed, when, asyncio.Event()
        return made

    async def write(self, change: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        async def counted(connection: AsyncConnection) -> T:
            if self.crashed.is_set():
                raise Crash
            result = await change(connection)
            self.allowed -= 1
            if self.allowed < 0 and self.when == "before":
                self.crashed.set()
                raise Crash
            return result

        result = await super().write(counted)
        if self.allowed < 0:
            self.crashed.set()
            raise Crash
        return result


async def crash_at(commit: int, when: When, url: str, providers: Providers, first: int) -> bool:
    """Returns whether there was such a commit."""
    clock = Clock()
    async with open_stage(url, providers, first=first, recipients=RECIPIENTS, **SENDING) as stage:
        database = CrashingDatabase.crashing(url, commit, when)
        try:
            await run_roles(stage, database, clock)
        except* Crash:
            pass
        crashed = database.crashed.is_set()
        settled, before = await stage.settled(), await stage.counts()
        clock.ahead += 31.0
        await run_roles(stage, CrashingDatabase.crashing(url, float("inf"), when), clock)
        counts = await prove(stage)
        assert max(counts.values()) <= 1 + crashed
        again = {key for key in settled if counts.get(key, 0) > before.get(key, 0)}
        assert not again, "sent to again although their outcomes were durable"
        return crashed


@pytest.mark.parametrize("chunk", range(CHUNKS))
@pytest.mark.parametrize("when", ["before", "after"])
async def test_every_commit_may_be_the_last(when: When, chunk: int, tmp_path: Path, blank: Path) -> None:
    turn = asyncio.Semaphore(AT_ONCE)
    async with open_providers() as providers:

        async def crash(commit: int) -> bool:
            async with turn:
                url = copy_of(blank, tmp_path / f"{commit}.db")
                try:
                    return await crash_at(commit, when, url, providers, first=commit * MOST)
                except BaseException as error:
                    error.add_note(f"after a crash {when} commit {commit}")
                    raise

        crashed = await asyncio.gather(*(crash(commit) for commit in range(chunk, COMMITS, CHUNKS)))
    assert crashed[0]
    assert not crashed[-1], "there are more commits than are tried here"
