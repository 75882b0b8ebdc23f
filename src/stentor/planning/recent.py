"""What was learned lately, by key. It is forgotten after a while and bounded, so that nothing stays of what others saw
to an end. Pure, but for the clock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from stentor.clock import steady

V = TypeVar("V")


class Recent(Generic[V]):
    """Values by key, each until it is older than so many seconds, or the oldest of too many."""

    def __init__(self, seconds: float, most: int, clock: Callable[[], float] = steady) -> None:
        """Args:
        clock: seconds that never go back.
        """
        self._seconds = seconds
        self._most = most
        self._clock = clock
        self._known: dict[str, tuple[float, V]] = {}  # the one that was put longest ago first

    def __repr__(self) -> str:
        return f"<Recent: {len(self)} of {self._most}>"

    def __len__(self) -> int:
        self._forget()
        return len(self._known)

    def put(self, key: str, value: V) -> None:
        """Learn a value, in place of the one before."""
        self._known.pop(key, None)
        self._known[key] = (self._clock(), value)
        self._forget()

    def get(self, key: str) -> V | None:
        self._forget()
        found = self._known.get(key)
        return None if found is None else found[1]

    def pop(self, key: str) -> None:
        """Forget it, if it is known."""
        self._known.pop(key, None)

    @property
    def oldest(self) -> V | None:
        """The value that was put longest ago; None if there is none."""
        self._forget()
        return next((value for _, value in self._known.values()), None)

    def _forget(self) -> None:
        since = self._clock() - self._seconds
        while self._known:
            key, (at, _) = next(iter(self._known.items()))
            if at > since and len(self._known) <= self._most:
                return
            del self._known[key]
