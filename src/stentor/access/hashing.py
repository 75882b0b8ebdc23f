"""Hashes passwords with argon2id, in few threads, so that a flood of sign-ins can't take the machine.

Rules: at most AT_ONCE hashes are computed at the same time, and at most WAITING attempts wait; all others are told to
try again. A name that doesn't exist, or has no password, costs the same time as a wrong password.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from stentor.errors import TooManyAttempts

T = TypeVar("T")

AT_ONCE = 2
WAITING = 32
"""Who hash or wait for it, at most."""
RETRY_AFTER = 2.0
PASSES, MEMORY, LANES = 3, 32 * 1024, 1
"""Rounds, KiB and threads of one hash: above OWASP's minimum, some 50 ms, and 64 MB for AT_ONCE of them."""


class Hasher:
    """Makes and verifies hashes. Use `turn` around each call."""

    def __init__(self, passes: int = PASSES, memory: int = MEMORY) -> None:
        self._argon2 = PasswordHasher(time_cost=passes, memory_cost=memory, parallelism=LANES)
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="stentor-password")
        self._inside = 0
        self._dummy: str | None = None

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Take one of the WAITING places. Raises: TooManyAttempts: all are taken."""
        if self._inside >= WAITING:
            raise TooManyAttempts(RETRY_AFTER)
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1

    async def hash(self, password: str) -> str:
        """The hash to store."""
        return await self._run(lambda: self._argon2.hash(password))

    async def verify(self, stored: str | None, password: str) -> bool:
        """Whether the password is the one of the stored hash.

        Args:
            stored: None: the user has no password, or there is no such user. The answer takes as long.
        """
        return await self._run(lambda: self._verify(stored, password))

    def outdated(self, stored: str) -> bool:
        """Whether a hash was made with other parameters than today's."""
        return self._argon2.check_needs_rehash(stored)

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _verify(self, stored: str | None, password: str) -> bool:
        if stored is None:
            if self._dummy is None:
                self._dummy = self._argon2.hash("")
            self._matches(self._dummy, password)
            return False
        return self._matches(stored, password)

    def _matches(self, stored: str, password: str) -> bool:
        try:
            return self._argon2.verify(stored, password)
        except (VerificationError, InvalidHashError, UnicodeEncodeError):
            return False

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.wrap_future(self._threads.submit(work))
