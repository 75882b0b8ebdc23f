"""What a lane makes of its credential files: kept, and made anew when one of the files has changed.

Rules: it is made once, however many ask for it at a time; where the new files are wrong, the old ones stay in use.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Generic, TypeVar

from stentor.errors import PoolClosed

A = TypeVar("A")


class Opened(Generic[A]):
    """`current` is None until somebody asks for it."""

    def __init__(self, files: Callable[[], Sequence[Path | None]], load: Callable[[], Awaitable[A]]) -> None:
        """Args:
        files: those that `load` reads.
        load: raises CredentialError, InvalidConfiguration.
        """
        self.current: A | None = None
        self._files = files
        self._load = load
        self._mark = b""
        self._loading = asyncio.Lock()
        self._stopped = False

    async def get(self) -> A:
        """Raises: PoolClosed: it was stopped. CredentialError, InvalidConfiguration."""
        if self.current is None and not self._stopped:
            async with self._loading:
                if self.current is None:
                    await self._read()
        if self.current is None or self._stopped:
            raise PoolClosed
        return self.current

    async def reload(self) -> tuple[bool, A | None]:
        """Whether the files were changed, or read for the first time; and what was made of the old ones.

        Raises: CredentialError, InvalidConfiguration.
        """
        async with self._loading:
            old = self.current
            if self._stopped or (old is not None and await self._fingerprint() == self._mark):
                return False, None
            await self._read()
            return True, old

    def stop(self) -> None:
        """Nobody gets it any more."""
        self._stopped = True

    async def last(self) -> A | None:
        """What there is at the end, after whatever is being read just now."""
        async with self._loading:
            found, self.current = self.current, None
            return found

    async def _read(self) -> None:
        mark = await self._fingerprint()  # before: what is changed meanwhile is read again
        self.current = await self._load()
        self._mark = mark

    async def _fingerprint(self) -> bytes:
        return await asyncio.to_thread(_fingerprint, self._files())


def _fingerprint(files: Sequence[Path | None]) -> bytes:
    """Changes with the content of any of the files; one that can't be read is for whoever loads it to complain of."""
    digest = blake2b()
    for file in files:
        with suppress(OSError):
            digest.update(b"" if file is None else file.read_bytes())
        digest.update(b"\0")
    return digest.digest()
